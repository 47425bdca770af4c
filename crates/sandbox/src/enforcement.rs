//! What confines the runs of a host, said mechanism by mechanism.
//!
//! The launcher fails closed on everything its level has, so that what is said here is true once it has answered.

use rollcage_types::{Enforcement, IsolationLevel, Mechanism, MechanismState};

use crate::workspace::Sharing;

/// All that decides what is in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) level: IsolationLevel,
    /// Whether control groups keep the accounts.
    pub(crate) has_groups: bool,
    /// Of mounted workspaces.
    pub(crate) sharing: Sharing,
    /// Whether workspaces are views of another directory.
    pub(crate) has_base: bool,
    pub(crate) landlock_abi: u32,
    /// Whether the capability bounding set was empty to begin with.
    pub(crate) bounding_set_is_empty: bool,
}

/// What is in force on a host with these facts.
pub(crate) fn enforcement(facts: Facts) -> Enforcement {
    let mut enforcement = Enforcement::nothing(facts.level);
    for mechanism in Mechanism::ALL {
        enforcement.set(mechanism, MechanismState::Full);
    }
    let mut partial = |mechanism, why: &str| {
        enforcement.set(mechanism, MechanismState::Partial(why.to_owned()));
    };
    if facts.has_base && facts.level != IsolationLevel::Process {
        let why = "what is changed in the workspace and /tmp are bounded separately";
        partial(Mechanism::DiskLimit, why);
    }
    match facts.level {
        IsolationLevel::Full => {
            if facts.sharing == Sharing::Separate {
                let why =
                    "the workspace and /tmp are bounded separately; one bound for both needs Linux 6.15";
                partial(Mechanism::DiskLimit, why);
            }
        }
        IsolationLevel::Rootless => {
            let why = "cages share one user of the host, each in a user namespace of its own";
            partial(Mechanism::LeasedUid, why);
        }
        IsolationLevel::Process => {
            partial(Mechanism::DiskLimit, "the workspace is measured from time to time");
            if !facts.bounding_set_is_empty {
                let why = "the bounding set is not empty, and no_new_privs keeps it without effect";
                partial(Mechanism::NoCapabilities, why);
            }
        }
    }
    if !facts.has_groups {
        partial(
            Mechanism::MemoryLimit,
            "RLIMIT_DATA for each process, and the tree's PSS is looked at every 10 ms",
        );
        partial(Mechanism::ProcessLimit, "RLIMIT_NPROC, and the tree is counted every 10 ms");
        partial(Mechanism::CpuAccounting, "the tree's times are looked at every 10 ms");
    }
    let abi = facts.landlock_abi;
    if abi < 5 {
        let why = format!("ioctl on devices is not restricted before ABI 5 (this kernel has ABI {abi})");
        partial(Mechanism::Landlock, &why);
    }
    if abi < 6 {
        let why =
            format!("abstract sockets and signals are not scoped before ABI 6 (this kernel has ABI {abi})");
        partial(Mechanism::LandlockScope, &why);
    }
    if facts.level == IsolationLevel::Process {
        for (mechanism, why) in WITHOUT_NAMESPACES {
            enforcement.set(mechanism, MechanismState::Absent(why.to_owned()));
        }
    }
    enforcement
}

/// What level process lacks, and what stands in for it.
const WITHOUT_NAMESPACES: [(Mechanism, &str); 7] = [
    (Mechanism::MountNamespace, "the host's tree is there; Landlock allows the toolchains and the workspace"),
    (Mechanism::PidNamespace, "the host's processes are there; Landlock hides and shields them"),
    (Mechanism::IpcNamespace, "the filter refuses System V and POSIX objects instead"),
    (Mechanism::UtsNamespace, "the host's name is there to read"),
    (Mechanism::CgroupNamespace, "Landlock allows no way to read where the group is"),
    (Mechanism::NetworkNamespace, "the filter refuses all sockets but connected pairs instead"),
    (Mechanism::LeasedUid, "all cages run as one user"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(level: IsolationLevel, has_groups: bool, landlock_abi: u32) -> Vec<&'static str> {
        let facts = Facts {
            level,
            has_groups,
            sharing: Sharing::OneFileSystem,
            has_base: false,
            landlock_abi,
            bounding_set_is_empty: true,
        };
        let enforcement = enforcement(facts);
        enforcement.gaps().map(|(mechanism, _)| mechanism.as_str()).collect()
    }

    #[test]
    fn each_level_and_tier_says_what_it_lacks() {
        let accounts = ["memory_limit", "process_limit", "cpu_accounting"];
        assert_eq!(gaps(IsolationLevel::Full, true, 7), [""; 0]);
        assert_eq!(gaps(IsolationLevel::Full, false, 7), accounts);
        assert_eq!(gaps(IsolationLevel::Full, true, 4), ["landlock", "landlock_scope"]);
        assert_eq!(gaps(IsolationLevel::Rootless, true, 7), ["leased_uid"]);
        let process = gaps(IsolationLevel::Process, false, 7);
        assert!(accounts.iter().all(|name| process.contains(name)), "{process:?}");
        assert_eq!(process.len(), WITHOUT_NAMESPACES.len() + accounts.len() + 1);
    }
}
