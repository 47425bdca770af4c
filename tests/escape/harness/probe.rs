//! What a probe is.

use rollcage_types::{ExecOutcome, LimitKind, Limits};

/// What the attack would gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Risk {
    /// Sees what is the host's.
    Reading,
    /// Changes what is the host's.
    Writing,
    /// Talks to somebody outside.
    Network,
    /// Becomes more than it was.
    Privilege,
    /// Reaches parts of the kernel that no snippet needs.
    Kernel,
    /// Uses more than its share.
    Exhaustion,
    /// Disturbs other cages, before or beside it.
    Interference,
    /// Attacks the process that judges it.
    Supervisor,
}

impl Risk {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading the host",
            Self::Writing => "writing outside",
            Self::Network => "network",
            Self::Privilege => "privilege",
            Self::Kernel => "kernel surface",
            Self::Exhaustion => "exhaustion",
            Self::Interference => "interference",
            Self::Supervisor => "supervisor",
        }
    }
}

/// A second program, which the attack is aimed at. It calls `ready(…)`, whose words become the attack's arguments
/// after the companion's process id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Companion {
    None,
    /// Lives on the host beside the cage.
    Host(&'static str),
    /// Lives in another cage meanwhile, and must neither end nor print `HARMED`.
    Neighbour(&'static str),
    /// Ran before, in the same slot of the same host.
    Earlier(&'static str),
}

/// Whether the attack works unconfined.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Control {
    /// It must succeed.
    Succeeds,
    /// It succeeds only on some kernels; elsewhere the control is skipped with this reason.
    NeedsKernel(&'static str),
}

/// Who runs the control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Nobody,
}

/// How an outcome shows that the cage held. In every case the attack must not have printed `BREACHED`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held {
    /// The attack says `HELD` and with what it was refused.
    Refused,
    /// The kernel ended it with this signal.
    Signal(i32),
    /// A limit ended it.
    Limit(LimitKind),
    /// The outcome is looked at; `Err` is a breach.
    Outcome(fn(&ExecOutcome) -> Result<String, String>),
}

/// What is read back from the workspace afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workspace {
    Left,
    Collected,
}

/// What is expected of a probe in modes that cannot be held to the usual.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expectation {
    /// The attack may take more than its limit, which the mode says it enforces in part; nobody else may feel it.
    Partial,
    /// The mode has nothing that this attacks.
    NotApplicable,
}

/// A mode, or several, in which a probe has its own expectation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exception {
    /// What the names of these modes have in common.
    pub(crate) modes: &'static str,
    pub(crate) expectation: Expectation,
    pub(crate) reason: &'static str,
}

/// Without a memory controller, what lies in no address space is memory that nobody counts.
pub(crate) const UNCOUNTED: &[Exception] = &[Exception {
    modes: "/none/",
    expectation: Expectation::Partial,
    reason: "kernel memory is not counted without a memory controller",
}];

/// One attack and what is expected of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) risk: Risk,
    /// Python, after `prelude.py`.
    pub(crate) attack: &'static str,
    pub(crate) companion: Companion,
    pub(crate) control: Control,
    pub(crate) user: User,
    /// Run as root before the control only, for what the attack cannot prepare itself.
    pub(crate) control_setup: &'static str,
    pub(crate) held: Held,
    pub(crate) exceptions: &'static [Exception],
    pub(crate) limits: fn(&mut Limits),
    pub(crate) workspace: Workspace,
}

impl Probe {
    /// An attack that meets a refusal.
    pub(crate) const fn new(name: &'static str, risk: Risk, attack: &'static str) -> Self {
        Self {
            name,
            risk,
            attack,
            companion: Companion::None,
            control: Control::Succeeds,
            user: User::Root,
            control_setup: "",
            held: Held::Refused,
            exceptions: &[],
            limits: |_limits| {},
            workspace: Workspace::Left,
        }
    }
    /// What is said of this mode, where it is not the usual.
    pub(crate) fn exception(&self, mode: &str) -> Option<&'static Exception> {
        self.exceptions.iter().find(|exception| mode.contains(exception.modes))
    }
}
