//! The ways a cage can be built and used, as a table: each is a column of the matrix.

use rollcage_sandbox::{HostConfig, LauncherProgram};
use rollcage_types::IsolationLevel;

use super::station::Setup;

/// Selects modes whose name contains this.
pub(super) const MODE_FILTER: &str = "ROLLCAGE_MODE";

/// One column: how cages are built, by whom, and what the attack passes for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// Level, accounting and place. Said of control groups is the first version; see [`Mode::title`].
    pub(super) name: &'static str,
    pub(super) level: IsolationLevel,
    pub(super) accounting: Accounting,
    pub(super) supervisor: Supervisor,
    pub(super) place: Place,
}

/// Every mode. Those that differ only in their place share a supervisor and stand together.
pub(super) const MODES: &[Mode] = &[
    Mode {
        name: "full/v1/cold",
        level: IsolationLevel::Full,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Cold,
    },
    Mode {
        name: "full/v1/warm",
        level: IsolationLevel::Full,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Warm,
    },
    Mode {
        name: "full/v1/session",
        level: IsolationLevel::Full,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Session,
    },
    Mode {
        name: "full/v1/branch",
        level: IsolationLevel::Full,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Branch,
    },
    Mode {
        name: "full/v1/compile",
        level: IsolationLevel::Full,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Compile,
    },
    Mode {
        name: "full/v1/checker",
        level: IsolationLevel::Full,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Checker,
    },
    Mode {
        name: "full/v1/loopback",
        level: IsolationLevel::Full,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Loopback,
    },
    Mode {
        name: "full/v1/allowed",
        level: IsolationLevel::Full,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Allowed,
    },
    Mode {
        name: "full/none/cold",
        level: IsolationLevel::Full,
        accounting: Accounting::Sampled,
        supervisor: Supervisor::Root,
        place: Place::Cold,
    },
    Mode {
        name: "rootless/v1/cold",
        level: IsolationLevel::Rootless,
        accounting: Accounting::Groups,
        supervisor: Supervisor::Root,
        place: Place::Cold,
    },
    Mode {
        name: "rootless/none/cold",
        level: IsolationLevel::Rootless,
        accounting: Accounting::Sampled,
        supervisor: Supervisor::User,
        place: Place::Cold,
    },
    Mode {
        name: "rootless/none/warm",
        level: IsolationLevel::Rootless,
        accounting: Accounting::Sampled,
        supervisor: Supervisor::User,
        place: Place::Warm,
    },
    Mode {
        name: "rootless/none/compile",
        level: IsolationLevel::Rootless,
        accounting: Accounting::Sampled,
        supervisor: Supervisor::User,
        place: Place::Compile,
    },
    Mode {
        name: "rootless/none/allowed",
        level: IsolationLevel::Rootless,
        accounting: Accounting::Sampled,
        supervisor: Supervisor::User,
        place: Place::Allowed,
    },
    Mode {
        name: "process/none/cold",
        level: IsolationLevel::Process,
        accounting: Accounting::Sampled,
        supervisor: Supervisor::ContainerUser,
        place: Place::Cold,
    },
    Mode {
        name: "process/none/compile",
        level: IsolationLevel::Process,
        accounting: Accounting::Sampled,
        supervisor: Supervisor::ContainerUser,
        place: Place::Compile,
    },
];

/// What counts and limits a tree of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accounting {
    /// Control groups of the version this machine has: every limit is counted and named.
    Groups,
    /// A look from time to time: a tree is ended at its limits, but what the kernel refused it is not counted.
    Sampled,
}

/// Whose process makes the cages and reads what comes out of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supervisor {
    /// Root with every capability.
    Root,
    /// A uid of its own that can never have a capability.
    User,
    /// As [`Self::User`], and refused namespaces and mounts, as a container engine's default profile does.
    ContainerUser,
}

/// What the attack is run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The program itself.
    Cold,
    /// The program itself, as a copy of an interpreter that was started before.
    Warm,
    /// A cell of a session that is never branched.
    Session,
    /// A cell of a branch of a session.
    Branch,
    /// The compile step of a language.
    Compile,
    /// The checker program of a problem's author, beside what a solution read and wrote and what was expected of it.
    Checker,
    /// The program itself, with a network of its own.
    Loopback,
    /// The program itself, with a network of its own and a host that it may reach through the relay.
    Allowed,
}

impl Mode {
    /// The modes that the tester asked for, supervisor by supervisor.
    pub(super) fn wanted() -> Vec<Vec<Self>> {
        let filter = std::env::var(MODE_FILTER).unwrap_or_default();
        let wanted: Vec<_> = MODES.iter().copied().filter(|mode| mode.title().contains(&filter)).collect();
        wanted.chunk_by(|a, b| a.station() == b.station()).map(<[Self]>::to_vec).collect()
    }

    /// The mode of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        MODES.iter().copied().find(|mode| mode.name == name)
    }

    /// The name with the version of control groups that this machine has.
    pub(super) fn title(&self) -> String {
        // The memory controller is in one hierarchy only.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let is_first = mounts
            .lines()
            .filter_map(|line| line.split_once(" - cgroup "))
            .any(|(_, rest)| rest.split([' ', ',']).any(|option| option == "memory"));
        if is_first { self.name.to_owned() } else { self.name.replace("/v1/", "/v2/") }
    }

    /// The name without the place, which modes of one supervisor have in common.
    pub(super) fn station(&self) -> &'static str {
        self.name.rsplit_once('/').expect("a mode's name has three parts").0
    }

    /// The configuration of a host in this mode.
    pub(super) fn host_config(&self, slots: usize, setup: &Setup) -> HostConfig {
        let accounting = match self.accounting {
            Accounting::Groups => rollcage_sandbox::Accounting::Kernel,
            Accounting::Sampled => rollcage_sandbox::Accounting::Sampled,
        };
        HostConfig {
            slots,
            accounting,
            launcher: LauncherProgram::Path(setup.launcher.clone()),
            state_dir: setup.state_dir.clone(),
            ..HostConfig::at(self.level)
        }
    }
}

impl Accounting {
    /// Whether the kernel counts what a tree uses, so that the limit that ended it can be named.
    pub(super) const fn names_limits(self) -> bool {
        match self {
            Self::Groups => true,
            Self::Sampled => false,
        }
    }
}

impl Supervisor {
    /// The uid that is not root's. `number` tells supervisors of one run apart, the process id those of other runs.
    pub(super) fn uid(self, number: u32) -> u32 {
        /// Below the uids of cages, and above those that services and people have.
        const FIRST: u32 = 0x6F00_0000;
        /// Larger than any process id of the machines this is run on.
        const RUNS: u32 = 1 << 16;
        match self {
            Self::Root => 0,
            Self::User | Self::ContainerUser => FIRST + number * RUNS + std::process::id() % RUNS,
        }
    }
}
