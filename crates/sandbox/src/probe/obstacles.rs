//! Settings of the host or the container that keep cages at a lower level, each with what would lift it.

use std::fs;
use std::path::Path;

/// A setting in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// What it is.
    pub(super) setting: String,
    /// What would lift it.
    pub(super) remedy: &'static str,
}

/// `CAP_SYS_ADMIN` of linux/capability.h.
const SYS_ADMIN: u32 = 21;

/// What keeps this process from making namespaces, as far as it can be seen from inside.
pub(super) fn of_namespaces() -> Vec<Obstacle> {
    let status = read("/proc/self/status");
    let texts = Texts {
        userns_clone: read("/proc/sys/kernel/unprivileged_userns_clone"),
        max_user_namespaces: read("/proc/sys/user/max_user_namespaces"),
        apparmor_restriction: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        apparmor_profile: read("/proc/self/attr/current"),
        mounts: read("/proc/self/mountinfo"),
        is_kubernetes: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        is_container: Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists(),
        status,
    };
    found(&texts)
}

/// What is read of the host.
#[derive(Clone, Debug, Default)]
struct Texts {
    status: String,
    userns_clone: String,
    max_user_namespaces: String,
    apparmor_restriction: String,
    apparmor_profile: String,
    mounts: String,
    is_kubernetes: bool,
    is_container: bool,
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn found(texts: &Texts) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let mut add = |setting: String, remedy| obstacles.push(Obstacle { setting, remedy });
    let of_status = |name: &str| texts.status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let capabilities =
        of_status("CapEff:").and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    let may_administer = capabilities & 1 << SYS_ADMIN != 0;
    if !may_administer {
        if texts.userns_clone == "0" {
            add(
                "sysctl kernel.unprivileged_userns_clone = 0".to_owned(),
                "as root: sysctl -w kernel.unprivileged_userns_clone=1",
            );
        }
        if texts.apparmor_restriction == "1" {
            add(
                "sysctl kernel.apparmor_restrict_unprivileged_userns = 1".to_owned(),
                "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for \
                 rollcage with `userns,`",
            );
        }
    }
    if texts.max_user_namespaces == "0" {
        add(
            "sysctl user.max_user_namespaces = 0".to_owned(),
            "as root: sysctl -w user.max_user_namespaces=15000",
        );
    }
    if of_status("Seccomp:") == Some("2") && !may_administer {
        let remedy = match (texts.is_kubernetes, texts.is_container) {
            (true, _) => {
                "securityContext.seccompProfile of type Localhost with a profile that allows unshare, clone, mount, \
                 umount2 and pivot_root (or type Unconfined)"
            }
            (false, true) => {
                "docker run --security-opt seccomp=PROFILE with one that allows unshare, clone, mount, umount2 and \
                 pivot_root (or seccomp=unconfined)"
            }
            (false, false) => "start it without the system call filter that whoever started it has put on",
        };
        add("a system call filter is on this process".to_owned(), remedy);
    }
    let profile = texts.apparmor_profile.trim_end_matches('\0');
    if profile.ends_with("(enforce)") {
        add(
            format!("AppArmor profile {profile}"),
            "docker run --security-opt apparmor=unconfined, or in Kubernetes appArmorProfile of type Unconfined",
        );
    }
    // Fields of a mountinfo line: the fifth is the mount point.
    let masked = texts
        .mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .any(|point| point.starts_with("/proc/"));
    if masked && !may_administer {
        add(
            "parts of /proc are masked, and a user namespace may then mount none".to_owned(),
            "docker run --security-opt systempaths=unconfined, or in Kubernetes securityContext.procMount: Unmasked",
        );
    }
    obstacles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &Texts, expected: &[&str]) {
        let found = found(texts);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (obstacle, word) in found.iter().zip(expected) {
            let text = format!("{} {}", obstacle.setting, obstacle.remedy);
            assert!(text.contains(word), "{text}\n{word}");
        }
    }

    #[test]
    fn each_setting_is_named_with_what_lifts_it() {
        let user = "CapEff:\t0000000000000000\nSeccomp:\t0\n".to_owned();
        let filtered = "CapEff:\t00000000a80425fb\nSeccomp:\t2\n".to_owned();
        let root = "CapEff:\t000001ffffffffff\nSeccomp:\t2\n".to_owned();
        check(&Texts { status: user.clone(), userns_clone: "1".to_owned(), ..Texts::default() }, &[]);
        let debian = Texts { status: user.clone(), userns_clone: "0".to_owned(), ..Texts::default() };
        check(&debian, &["kernel.unprivileged_userns_clone=1"]);
        check(&Texts { status: root.clone(), ..debian }, &[]);
        let ubuntu = Texts { status: user.clone(), apparmor_restriction: "1".to_owned(), ..Texts::default() };
        check(&ubuntu, &["userns,"]);
        let none = Texts { status: root, max_user_namespaces: "0".to_owned(), ..Texts::default() };
        check(&none, &["user.max_user_namespaces"]);
        let docker = Texts {
            status: filtered,
            is_container: true,
            apparmor_profile: "docker-default (enforce)".to_owned(),
            mounts: "500 499 0:5 /null /proc/kcore rw - tmpfs tmpfs rw".to_owned(),
            ..Texts::default()
        };
        check(&docker, &["seccomp=PROFILE", "apparmor=unconfined", "systempaths=unconfined"]);
        check(
            &Texts { is_kubernetes: true, ..docker },
            &["seccompProfile", "appArmorProfile", "procMount: Unmasked"],
        );
    }
}
