//! Facts about the host.

use std::fs;

use super::obstacles;
use crate::cgroup::Hierarchy;

/// One fact about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    pub value: String,
    /// Whether a cage at level full can be had with it.
    pub suffices: bool,
    /// What would help, where something does.
    pub hint: Option<String>,
}

/// Slots a busy host wants; each takes about a dozen descriptors.
const COMFORTABLE_DESCRIPTORS: u64 = 4096;

/// Everything looked at, in the order to print it.
pub(super) fn all() -> Vec<Finding> {
    let mut all = vec![user(), kernel(), landlock(), cgroups()];
    all.extend(obstacles::of_namespaces().into_iter().map(|found| Finding {
        name: "namespaces",
        value: found.setting,
        suffices: false,
        hint: Some(found.remedy.to_owned()),
    }));
    all.extend([descriptors(), pids(), swap(), group_moves()]);
    all
}

fn user() -> Finding {
    let uid = rustix::process::geteuid();
    Finding {
        name: "user",
        value: format!("uid {}", uid.as_raw()),
        suffices: uid.is_root(),
        hint: (!uid.is_root()).then(|| "level full needs root: it leases uids and makes cgroups".to_owned()),
    }
}

fn kernel() -> Finding {
    let name = rustix::system::uname();
    Finding {
        name: "kernel",
        value: format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
        suffices: true,
        hint: None,
    }
}

fn landlock() -> Finding {
    let abi = rollcage_sys::landlock::abi();
    Finding {
        name: "landlock",
        value: abi.map_or_else(|errno| format!("none ({errno})"), |abi| format!("ABI {abi}")),
        suffices: abi.is_ok(),
        hint: match abi {
            Ok(abi) if abi < 6 => {
                Some("ABI 6 (Linux 6.12) scopes signals and abstract sockets too".to_owned())
            }
            Ok(_) => None,
            Err(_) => {
                Some("enable CONFIG_SECURITY_LANDLOCK and list landlock in the lsm= boot option".to_owned())
            }
        },
    }
}

fn cgroups() -> Finding {
    let found = Hierarchy::detect();
    Finding {
        name: "cgroups",
        value: match &found {
            Ok(hierarchy) => format!("{} with memory, pids and cpu accounting", hierarchy.as_str()),
            Err(reason) => reason.clone(),
        },
        suffices: found.is_ok(),
        hint: found.is_err().then(|| {
            "mount the controllers, let the container have them (docker: --privileged --cgroupns=host), or have a part \
             delegated (systemd-run --user --scope -p Delegate=yes); else `--accounting sampled`"
                .to_owned()
        }),
    }
}

fn descriptors() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    Finding {
        name: "open files",
        value: format!("limit {limit}"),
        suffices: limit >= 256,
        hint: (limit < COMFORTABLE_DESCRIPTORS)
            .then(|| format!("raise it with `ulimit -n {COMFORTABLE_DESCRIPTORS}` for many cages at once")),
    }
}

fn pids() -> Finding {
    let max = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    Finding { name: "pid_max", value: max.trim().to_owned(), suffices: true, hint: None }
}

fn swap() -> Finding {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default().lines().skip(1).count();
    Finding {
        name: "swap",
        value: if swaps == 0 { "none".to_owned() } else { format!("{swaps} areas") },
        suffices: true,
        hint: (swaps == 0).then(|| {
            "sessions can be parked only where there is some; in memory, compressed: `modprobe zram`, then `zramctl --find \
             --size 4G`, and `mkswap` and `swapon` of the device it names"
                .to_owned()
        }),
    }
}

/// Whoever moves a process to another control group, as a branch of a session is, waits for the kernel unless somebody just
/// did or this option is set: see `favordynmods` in Documentation/admin-guide/cgroup-v2.rst. Version 2 has it, and it holds for
/// version 1 too.
fn group_moves() -> Finding {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then_some((place, options))
    });
    let mut mounted = mounted.peekable();
    let place = mounted.peek().map(|(place, _)| (*place).to_owned());
    let is_favoured = mounted.any(|(_, options)| options.split(',').any(|option| option == "favordynmods"));
    Finding {
        name: "group moves",
        value: if is_favoured { "favoured" } else { "as usual" }.to_owned(),
        suffices: true,
        hint: (!is_favoured).then(|| {
            let mount = place.map_or_else(
                || "mount -t cgroup2 -o favordynmods none /mnt".to_owned(),
                |place| format!("mount -o remount,favordynmods {place}"),
            );
            format!("a fork of a session waits 10 to 20 ms for the kernel; with `{mount}` it takes 3, and forks of all programs a little longer")
        }),
    }
}
