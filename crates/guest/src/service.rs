//! From a launcher that has its namespaces and its tree to one that makes cages.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rollcage_sys::child::ForkPoint;
use rollcage_sys::mapping::SharedWords;
use rollcage_sys::seccomp::Instruction;
use rollcage_sys::{Errno, landlock};
use rollcage_types::IsolationLevel;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::filter::{self, Branching, Charge};
use crate::inherited;
use crate::intake::Intake;
use crate::launcher::{LauncherError, call, call_failed};
use crate::protocol::Wiring;
use crate::rules::{self, Grants};
use crate::serve::Launcher;
use crate::tree::SignalScope;

/// What all stubs share: made once, never changed.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) level: IsolationLevel,
    /// Whether stubs say that they wait; see [`crate::protocol::Report::Waiting`].
    pub(crate) announced: bool,
    /// Whether a slot's next cage is made only when it is asked for.
    pub(crate) on_demand: bool,
    /// Whether workspaces start as views of a directory; see `base.rs`.
    pub(crate) has_base: bool,
    pub(crate) confinement: Confinement,
    /// What each program takes on besides the launcher's own filter, without a network and with one.
    pub(crate) filters: [Vec<Instruction>; 2],
    /// The same for programs that may be branched, without a network; `None` where none may.
    pub(crate) branching_filter: Option<Vec<Instruction>>,
    /// See [`crate::protocol::start_clock_offset`].
    pub(crate) start_clock: SharedWords,
    pub(crate) birth: Birth,
}

/// How a stub's child becomes the program.
#[derive(Debug)]
pub(crate) enum Birth {
    /// It executes it.
    Execution,
    /// It is a copy of the launcher, which is an interpreter, and goes on with it.
    Fork {
        /// Where. Its stack is left before the first stub is made.
        point: *const ForkPoint,
        /// The interpreter's own descriptors, in ascending order.
        kept: Vec<i32>,
    },
}

impl Birth {
    /// Descriptors of the launcher's that programs get.
    pub(crate) fn kept(&self) -> &[i32] {
        match self {
            Self::Execution => &[],
            Self::Fork { kept, .. } => kept,
        }
    }
}

/// Where programs' Landlock rules come from; see `rules.rs`.
#[derive(Debug)]
pub(crate) enum Confinement {
    /// One ruleset for all that have a network, and one for all that have not.
    Template { sealed: OwnedFd, wired: OwnedFd },
    /// One for each cage, made of what all may see of the host and its own directories; and the ruleset that keeps a
    /// stub's signals to its own tree.
    Host { grants: Grants, signals: OwnedFd },
}

/// Makes a launcher of the calling process. Also gives the version of Landlock's interface.
pub(crate) fn take_up(
    control: BorrowedFd<'_>,
    level: IsolationLevel,
    intake: Intake,
    birth: Birth,
) -> Result<(Launcher, u32), LauncherError> {
    let Intake { order, start_clock, slots, descriptors: _ } = intake;
    let start_clock =
        SharedWords::map(start_clock.as_fd(), slots.len()).map_err(call("map the start clock"))?;
    let abi = landlock::abi().map_err(|_none| LauncherError::NoLandlock)?;
    inherited::seal_capabilities(level).map_err(call_failed)?;
    let (confinement, scope) = confinement(level, abi)?;
    let charge = if order.charged { Charge::Group } else { Charge::Nobody };
    let rules = |wiring, branching| filter::program_rules(level, wiring, charge, branching);
    let branches = order.fork_server.as_ref().is_some_and(|server| server.branches);
    let shared = Shared {
        level,
        announced: order.announced,
        on_demand: order.on_demand,
        has_base: order.base.is_some(),
        confinement,
        filters: [Wiring::Sealed, Wiring::Wired]
            .map(|wiring| filter::assemble(&rules(wiring, Branching::Never))),
        branching_filter: branches.then(|| filter::assemble(&rules(Wiring::Sealed, Branching::Asked))),
        start_clock,
        birth,
    };
    let slots = slots
        .into_iter()
        .map(|(setup, socket)| Ok((setup, socket, own_directories(level, &order.directory, setup.slot)?)))
        .collect::<Result<Vec<_>, Errno>>()
        .map_err(call("open the slots' directories"))?;
    Ok((Launcher::new(control, Box::leak(Box::new(shared)), scope, slots)?, abi))
}

/// Makes what confines programs, and without a pid namespace this process too: so that it can end every process it is
/// responsible for in one call, which then reaches no other.
fn confinement(level: IsolationLevel, abi: u32) -> Result<(Confinement, Option<SignalScope>), LauncherError> {
    let failed = || call("make the landlock rules");
    if level != IsolationLevel::Process {
        let sealed = rules::of_template(abi, Wiring::Sealed).map_err(failed())?;
        let wired = rules::of_template(abi, Wiring::Wired).map_err(failed())?;
        return Ok((Confinement::Template { sealed, wired }, None));
    }
    if abi < rules::SCOPING_ABI {
        return Err(LauncherError::NoSignalScope { found: abi });
    }
    let grants = Grants::collect(abi).map_err(failed())?;
    let signals = rules::signal_scope().map_err(failed())?;
    let scope = SignalScope::enter(signals.as_fd()).map_err(call("scope the launcher's signals"))?;
    Ok((Confinement::Host { grants, signals }, Some(scope)))
}

/// A slot's directories, where cages have no mounts of their own.
fn own_directories(
    level: IsolationLevel,
    directory: &Path,
    slot: u32,
) -> Result<Option<[OwnedFd; 2]>, Errno> {
    if level != IsolationLevel::Process {
        return Ok(None);
    }
    let open = |path: &Path| openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let own = directory.join(slot.to_string());
    Ok(Some([open(&own.join("work"))?, open(&own.join("tmp"))?]))
}
