//! What actually confined a run.

use std::collections::BTreeMap;
use std::fmt;

/// How a cage is built. Only the caller lowers it, never the code inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IsolationLevel {
    /// No namespaces, for containers and pods that refuse them: Landlock, seccomp, resource limits, a private directory,
    /// and a parent that can end the whole tree.
    Process,
    /// Namespaces made inside a user namespace, so without privilege on the host.
    Rootless,
    /// Namespaces made by root, a leased uid, cgroups, Landlock and seccomp.
    #[default]
    Full,
}

impl IsolationLevel {
    /// Every level, the strongest first.
    pub const ALL: [Self; 3] = [Self::Full, Self::Rootless, Self::Process];

    /// The name used in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Rootless => "rootless",
            Self::Process => "process",
        }
    }

    /// The level of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that confines or accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// Own mount namespace on a read-only root, the host's detached.
    MountNamespace,
    /// Own pid namespace.
    PidNamespace,
    /// Own System V IPC and POSIX message queues.
    IpcNamespace,
    /// Own host name.
    UtsNamespace,
    /// Own view of the cgroup tree.
    CgroupNamespace,
    /// A network namespace without interfaces.
    NetworkNamespace,
    /// A uid no other live cage has.
    LeasedUid,
    /// Empty capability sets, bounding set included.
    NoCapabilities,
    /// Set-uid and file capabilities have no effect.
    NoNewPrivileges,
    /// System call filter.
    Seccomp,
    /// File access rules that hold whatever is mounted.
    Landlock,
    /// Abstract unix sockets and signals stay inside.
    LandlockScope,
    /// Memory of the tree limited and out-of-memory kills counted by the kernel.
    MemoryLimit,
    /// Tasks of the tree limited by the kernel.
    ProcessLimit,
    /// CPU time of the whole tree counted by the kernel.
    CpuAccounting,
    /// Files of the workspace bounded together.
    DiskLimit,
    /// Per-process resource limits.
    ResourceLimits,
}

impl Mechanism {
    /// Every mechanism, in the order reports print them.
    pub const ALL: [Self; 17] = [
        Self::MountNamespace,
        Self::PidNamespace,
        Self::IpcNamespace,
        Self::UtsNamespace,
        Self::CgroupNamespace,
        Self::NetworkNamespace,
        Self::LeasedUid,
        Self::NoCapabilities,
        Self::NoNewPrivileges,
        Self::Seccomp,
        Self::Landlock,
        Self::LandlockScope,
        Self::MemoryLimit,
        Self::ProcessLimit,
        Self::CpuAccounting,
        Self::DiskLimit,
        Self::ResourceLimits,
    ];

    /// The name used in files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MountNamespace => "mount_namespace",
            Self::PidNamespace => "pid_namespace",
            Self::IpcNamespace => "ipc_namespace",
            Self::UtsNamespace => "uts_namespace",
            Self::CgroupNamespace => "cgroup_namespace",
            Self::NetworkNamespace => "network_namespace",
            Self::LeasedUid => "leased_uid",
            Self::NoCapabilities => "no_capabilities",
            Self::NoNewPrivileges => "no_new_privileges",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::LandlockScope => "landlock_scope",
            Self::MemoryLimit => "memory_limit",
            Self::ProcessLimit => "process_limit",
            Self::CpuAccounting => "cpu_accounting",
            Self::DiskLimit => "disk_limit",
            Self::ResourceLimits => "resource_limits",
        }
    }

    /// The mechanism of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.as_str() == name)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a mechanism was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MechanismState {
    /// In force as designed.
    Full,
    /// In force with a gap; the text says which.
    Partial(String),
    /// Not in force; the text says why.
    Absent(String),
}

/// The mechanisms in force during one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// How the cage was built.
    pub level: IsolationLevel,
    states: BTreeMap<Mechanism, MechanismState>,
}

impl Enforcement {
    /// Starts with every mechanism absent, so that forgetting to report one can only understate.
    pub fn nothing(level: IsolationLevel) -> Self {
        let absent = || MechanismState::Absent("not set up".to_owned());
        Self { level, states: Mechanism::ALL.into_iter().map(|mechanism| (mechanism, absent())).collect() }
    }

    /// Records the state of one mechanism.
    pub fn set(&mut self, mechanism: Mechanism, state: MechanismState) {
        self.states.insert(mechanism, state);
    }

    /// Every mechanism and its state, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (Mechanism, &MechanismState)> {
        self.states.iter().map(|(mechanism, state)| (*mechanism, state))
    }

    /// The state of one mechanism.
    pub fn state(&self, mechanism: Mechanism) -> &MechanismState {
        self.states.get(&mechanism).expect("every mechanism has a state from the start")
    }

    /// The mechanisms that are not [`MechanismState::Full`].
    pub fn gaps(&self) -> impl Iterator<Item = (Mechanism, &MechanismState)> {
        self.iter().filter(|(_, state)| **state != MechanismState::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgetting_understates() {
        let mut enforcement = Enforcement::nothing(IsolationLevel::Full);
        assert_eq!(enforcement.gaps().count(), Mechanism::ALL.len());
        enforcement.set(Mechanism::Seccomp, MechanismState::Full);
        assert!(enforcement.gaps().all(|(mechanism, _)| mechanism != Mechanism::Seccomp));
    }
}
