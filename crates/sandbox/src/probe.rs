//! What this host could enforce, for `doctor`.

use std::fs;

use crate::cgroup::Hierarchy;
use crate::config::HostConfig;
use crate::host::Host;

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

/// All findings, and whether a host really starts.
#[derive(Debug)]
pub struct HostReport {
    /// In the order to print them.
    pub findings: Vec<Finding>,
    /// The proof: a started host's enforcement, or why none starts.
    pub started: Result<std::sync::Arc<rollcage_types::Enforcement>, crate::HostError>,
}

/// Slots a busy host wants; each takes about a dozen descriptors.
const COMFORTABLE_DESCRIPTORS: u64 = 4096;

/// Looks at the host and tries to start on it.
pub fn probe(config: &HostConfig) -> HostReport {
    let findings = vec![user(), kernel(), landlock(), cgroups(), descriptors(), pids(), swap()];
    HostReport {
        findings,
        started: Host::start(config).map(|host| std::sync::Arc::clone(host.enforcement())),
    }
}

fn user() -> Finding {
    let uid = rustix::process::geteuid();
    Finding {
        name: "user",
        value: format!("uid {}", uid.as_raw()),
        suffices: uid.is_root(),
        hint: (!uid.is_root())
            .then(|| "run as root, or with sudo: level full leases uids and cgroups".to_owned()),
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
            "mount the controllers, or let the container have them (docker: --privileged --cgroupns=host)"
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
        hint: None,
    }
}
