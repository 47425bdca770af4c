//! A fork server at work: its launcher, its groups, and the runs by it.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rollcage_guest::fork_server::{
    COPIED_AHEAD_MAX, EXECUTABLE_VARIABLE, HIDDEN_VARIABLE, PASSES_VARIABLE, POINT_VARIABLE,
    PRELOAD_VARIABLE, STOP_VARIABLE,
};
use rollcage_guest::protocol::{Answer, ForkServerOrder, Order, Refusal};
use rollcage_types::{ByteSize, ExecOutcome, ExecRequest, IsolationLevel, Limits, Start};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::cgroup::{SlotCgroup, remove_tree};
use crate::config::RootTree;
use crate::error::{HostError, SandboxError};
use crate::fork_server::executable::is_static;
use crate::fork_server::library;
use crate::fork_server::spec::{ForkPoint, ForkServerSpec, Mismatch};
use crate::furnish::{End, pipe_for};
use crate::host::Host;
use crate::launch::{Launcher, StartError, Wait};
use crate::plan;
use crate::quarters::Quarters;

/// Tasks of a server for each slot: a stub, and a copy of the interpreter that waits.
const TASKS_OF_SLOT: u32 = 2;
/// Its other tasks: the interpreter, and what it starts before its fork point.
const TASKS_BESIDE_SLOTS: u32 = 64;
/// The end of what an interpreter said is kept, for the message.
const SAID_MAX: usize = 2048;

/// Why an interpreter is no fork server.
#[derive(Debug, thiserror::Error)]
pub enum ForkServerError {
    /// The level has no mounts, so that each program would have a directory of another path than the server.
    #[error("level process has no mounts, without which programs cannot be copies of an interpreter")]
    NoMounts,
    /// It is linked statically, and loads no library.
    #[error("`{program}` is linked statically, so no library can be loaded into it")]
    Static {
        /// The first element of its command line.
        program: String,
    },
    /// It stands at its fork point and cannot be copied.
    #[error("{}{}", reason.as_str(), after_colon(said))]
    Refused {
        /// Why.
        reason: Refusal,
        /// What [`Refusal`] says it is.
        detail: i64,
        /// The end of what it wrote to its standard streams.
        said: String,
    },
    /// It ended without coming to its fork point.
    #[error("it ended without opening the program's file{}", after_colon(said))]
    NeverOpened {
        /// As above.
        said: String,
    },
    /// It did not come to its fork point in time.
    #[error("it did not open the program's file within {milliseconds} ms{}", after_colon(said))]
    Late {
        /// How long was waited.
        milliseconds: u128,
        /// As above.
        said: String,
    },
    /// It could not be started, or could not become a launcher.
    #[error("the interpreter could not be started: {message}")]
    Launcher {
        /// Whose words they are says the launcher.
        message: String,
    },
    /// The caller wants it no more.
    #[error("it was cancelled")]
    Cancelled,
    /// Something of ours or the kernel's could not be had.
    #[error("cannot start an interpreter")]
    Host(#[source] HostError),
}

fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl ForkServerError {
    /// Whether the same interpreter may fare better a little later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NoMounts
            | Self::Static { .. }
            | Self::Refused { .. }
            | Self::NeverOpened { .. }
            | Self::Launcher { .. } => false,
            Self::Late { .. } | Self::Cancelled | Self::Host(_) => true,
        }
    }
}

fn system(action: &'static str) -> impl FnOnce(Errno) -> ForkServerError {
    move |errno| ForkServerError::Host(HostError::System { action, source: errno.into() })
}

/// An interpreter that waits at its fork point. Shared by reference between threads.
#[derive(Debug)]
pub struct ForkServer {
    /// Ended first of all.
    launcher: Arc<Launcher>,
    spec: ForkServerSpec,
    forks: AtomicU64,
    groups: Option<Groups>,
    /// Lives longer than its servers.
    host: Arc<Host>,
}

impl ForkServer {
    /// Starts an interpreter and waits until it stands at its fork point.
    pub fn start(host: &Arc<Host>, spec: ForkServerSpec, cancel: &Cancel) -> Result<Self, ForkServerError> {
        Self::start_in(host, host.quarters(), spec, cancel)
    }

    /// As [`ForkServer::start`], with these slots.
    pub(crate) fn start_in(
        host: &Arc<Host>,
        quarters: &Quarters,
        spec: ForkServerSpec,
        cancel: &Cancel,
    ) -> Result<Self, ForkServerError> {
        if host.enforcement().level == IsolationLevel::Process {
            return Err(ForkServerError::NoMounts);
        }
        let program = spec.argv.first().cloned().unwrap_or_default();
        let programs = plan::candidates(&program);
        let root = match host.tree() {
            RootTree::HostToolchains => Path::new("/"),
            RootTree::Directory(tree) => tree,
        };
        if is_static(root, &programs) {
            return Err(ForkServerError::Static { program });
        }
        let number = host.next_server();
        let groups = Groups::make(host, number, &spec, quarters.len())?;
        let order = order(host, quarters, &spec, programs);
        let streams =
            Streams::make(order.fork_server.as_ref().and_then(|server| server.uids).map(|uids| uids.own))?;
        let library = library::file().map_err(system("make the preloaded library"))?;
        let mut descriptors = vec![library];
        descriptors.extend(streams.theirs.iter().map(OwnedFd::as_fd));
        descriptors.extend(groups.iter().flat_map(Groups::entry));
        let recruit = host.recruit(&order, &descriptors, quarters);
        let waker = eventfd(0, EventfdFlags::CLOEXEC).map_err(system("create an eventfd"))?;
        let waker = Arc::new(waker);
        let _watch = cancel.watch(&waker).ok_or(ForkServerError::Cancelled)?;
        let mut said = Said::default();
        let wait = Wait {
            time: spec.start_time,
            interrupt: Some(waker.as_fd()),
            outputs: streams.ours.into(),
            read_some: &mut |pipe| said.take_from(pipe),
        };
        let started = Launcher::start(&recruit, wait);
        let launcher = started.map_err(|error| explain(error, &spec, &said.text()))?;
        tracing::debug!(launcher = launcher.process_id(), argv = ?spec.argv, "fork server ready");
        Ok(Self {
            launcher: Arc::new(launcher),
            spec,
            forks: AtomicU64::new(0),
            groups,
            host: Arc::clone(host),
        })
    }

    /// Whether a run of `request` by a copy is the run that it asks for.
    pub fn accepts(&self, request: &ExecRequest) -> Result<(), Mismatch> {
        if self.host.has_base() { Err(Mismatch::Base) } else { self.spec.accepts(request) }
    }

    /// Runs a request that it [accepts](Self::accepts) in a copy of the interpreter and waits for it. Blocks the calling
    /// thread, first for a free slot of the host.
    pub fn run(&self, request: &ExecRequest, cancel: &Cancel) -> Result<ExecOutcome, SandboxError> {
        self.forks.fetch_add(1, Ordering::Relaxed);
        self.host.run_by(&self.launcher, Start::Fork, request, cancel)
    }

    pub(crate) const fn launcher(&self) -> &Arc<Launcher> {
        &self.launcher
    }

    /// Runs that were begun.
    pub fn forks(&self) -> u64 {
        self.forks.load(Ordering::Relaxed)
    }

    /// Memory charged to the interpreter, its waiting cages and what the kernel holds for them, if a group counts it.
    pub fn memory(&self) -> Option<ByteSize> {
        self.groups.as_ref().and_then(|groups| groups.group.memory_now().ok())
    }

    /// What copies of the interpreter that wait may take of that, at the most: one for each slot.
    pub fn memory_of_copies(&self) -> ByteSize {
        memory_of_copies(self.host.slots())
    }

    /// How it was started.
    pub const fn spec(&self) -> &ForkServerSpec {
        &self.spec
    }

    /// The host that its runs share slots with others of.
    pub const fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Whether it still is what it was: one that is gone runs nothing any more.
    pub fn is_alive(&self) -> bool {
        self.launcher.is_alive()
    }

    /// The process below which the interpreter and its cages are.
    pub fn process_id(&self) -> u32 {
        self.launcher.process_id()
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        // Before its groups, and while whoever had one of its seats can still find out that it is gone.
        self.launcher.await_end();
    }
}

/// The control groups of the server itself.
#[derive(Debug)]
struct Groups {
    group: SlotCgroup,
    paths: Vec<PathBuf>,
}

/// What waiting copies may take of their interpreter's group, at the most.
fn memory_of_copies(slots: usize) -> ByteSize {
    /// Page tables, stacks and descriptors of the kernel's.
    const KERNEL_BYTES: u64 = 2 << 20;
    ByteSize::bytes((COPIED_AHEAD_MAX as u64 + KERNEL_BYTES).saturating_mul(slots as u64))
}

impl Groups {
    fn make(
        host: &Host,
        number: u64,
        spec: &ForkServerSpec,
        slots: usize,
    ) -> Result<Option<Self>, ForkServerError> {
        let Some(hierarchy) = host.hierarchy() else { return Ok(None) };
        let failed = |error: crate::cgroup::GroupError| {
            ForkServerError::Host(HostError::System {
                action: "make groups for an interpreter",
                source: std::io::Error::other(error),
            })
        };
        let name = host.group_name().join(format!("server-{number}"));
        let mut group = SlotCgroup::create(hierarchy, &name).map_err(failed)?;
        let paths = hierarchy.roots().into_iter().map(|root| root.join(&name)).collect();
        let copies = u32::try_from(slots).unwrap_or(u32::MAX);
        let processes = copies.saturating_mul(TASKS_OF_SLOT).saturating_add(TASKS_BESIDE_SLOTS);
        let memory = ByteSize::bytes(spec.memory.as_u64().saturating_add(memory_of_copies(slots).as_u64()));
        group.begin(&Limits { memory, processes, ..Limits::default() }).map_err(failed)?;
        Ok(Some(Self { group, paths }))
    }

    fn entry(&self) -> Vec<BorrowedFd<'_>> {
        self.group.entry(false).1
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for path in &self.paths {
            if let Err(error) = remove_tree(path) {
                tracing::warn!(%error, path = %path.display(), "an interpreter's group is left behind");
            }
        }
    }
}

fn order(host: &Host, quarters: &Quarters, spec: &ForkServerSpec, programs: Vec<String>) -> Order {
    let point = match &spec.point {
        ForkPoint::Program => format!("{}/{}", host.workspace_path(), spec.program.as_str()),
        ForkPoint::Path(path) => path.clone(),
    };
    let own = [
        (POINT_VARIABLE, Some(point)),
        (PASSES_VARIABLE, (spec.passes > 0).then(|| spec.passes.to_string())),
        (STOP_VARIABLE, spec.stop.setting()),
        (EXECUTABLE_VARIABLE, spec.executable.clone()),
        (PRELOAD_VARIABLE, spec.preload.clone()),
        (HIDDEN_VARIABLE, Some(names(&spec.start_vars))),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    let start = spec.start_vars.iter().map(|(name, value)| format!("{name}={value}"));
    let variables = plan::variables(&spec.env_vars, None).into_iter().chain(start).chain(own).collect();
    let server = ForkServerOrder {
        programs,
        arguments: spec.argv.clone(),
        variables,
        files: vec![spec.program.as_str().to_owned()],
        uids: quarters.server_uids,
        stack_bytes: spec.limits.stack.as_u64(),
        branches: spec.branches,
    };
    host.order(Some(server), quarters)
}

fn names(variables: &[(String, String)]) -> String {
    variables.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
}

fn explain(error: StartError, spec: &ForkServerSpec, said: &str) -> ForkServerError {
    let said = said.trim().to_owned();
    match error {
        StartError::Host(error) => ForkServerError::Host(error),
        StartError::Answered(Answer::Refused { reason, detail }) => {
            ForkServerError::Refused { reason, detail, said }
        }
        StartError::Answered(Answer::Failed(message)) => ForkServerError::Launcher { message },
        StartError::Answered(Answer::Ready { .. } | Answer::Asks) => {
            ForkServerError::Launcher { message: "it answered with nonsense".to_owned() }
        }
        StartError::Interrupted => ForkServerError::Cancelled,
        StartError::Ended => ForkServerError::NeverOpened { said },
        StartError::Late => ForkServerError::Late { milliseconds: spec.start_time.as_millis(), said },
    }
}

/// The interpreter's standard streams: pipes, as every program's are.
struct Streams {
    theirs: [OwnedFd; 3],
    /// Of output and error.
    ours: [OwnedFd; 2],
}

impl Streams {
    fn make(owner: Option<u32>) -> Result<Self, ForkServerError> {
        let make = |end| {
            pipe_for(owner, end).map_err(|error| {
                let source = std::io::Error::other(error);
                ForkServerError::Host(HostError::System { action: "create an interpreter's streams", source })
            })
        };
        // An end of file at once.
        let (input, _nothing) = make(End::Write)?;
        let (output, from_output) = make(End::Read)?;
        let (error, from_error) = make(End::Read)?;
        Ok(Self { theirs: [input, output, error], ours: [from_output, from_error] })
    }
}

/// What the interpreter wrote before its fork point.
#[derive(Default)]
struct Said(VecDeque<u8>);

impl Said {
    /// Whether more may come.
    fn take_from(&mut self, pipe: &OwnedFd) -> bool {
        let mut buffer = [0; 4096];
        match rustix::io::read(pipe, &mut buffer) {
            Ok(count) if count > 0 => {
                self.0.extend(&buffer[..count]);
                let surplus = self.0.len().saturating_sub(SAID_MAX);
                self.0.drain(..surplus);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            Ok(_) | Err(_) => false,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.iter().copied().collect::<Vec<_>>()).into_owned()
    }
}
