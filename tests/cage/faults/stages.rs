//! Every stage of making a cage fails in turn, at every level that has it.
//!
//! The call that a stage consists of fails with an errno of the kernel's while a real cage is made of it. It is told from
//! its like by what comes before it and by its arguments, as [`Setting::faults`] says. Then the run that meets it is an
//! error which names the stage; the next one fails the same way if the call does; and the one after that works.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcage_sandbox::{
    Accounting, Cancel, ForkPoint, ForkServer, ForkServerSpec, Host, HostConfig, SandboxError, Stage, Stop,
};
use rollcage_types::network::{AllowList, NetworkAccess};
use rollcage_types::{ByteSize, ExecOutcome, ExecRequest, IsolationLevel, Limits, RelativePath};
use rustix::io::Errno;

use super::calls::{Argument, CHILD, COPY, STUB, Step, Steps, step};
use super::saboteur::Saboteur;
use crate::harness::{configuration, exited, file, host, with};
use crate::traces::{descendants, mounts, wait_until};

/// A level with a way to keep accounts.
#[derive(Clone, Copy, Debug)]
struct Setting {
    name: &'static str,
    level: IsolationLevel,
    accounting: Accounting,
    /// Whether workspaces start as a view of a directory.
    has_base: bool,
    /// Whether programs are copies of an interpreter.
    is_forked: bool,
}

impl Setting {
    const fn new(name: &'static str, level: IsolationLevel) -> Self {
        Self { name, level, accounting: Accounting::Kernel, has_base: false, is_forked: false }
    }
}

const SETTINGS: [Setting; 6] = [
    Setting::new("full", IsolationLevel::Full),
    Setting { accounting: Accounting::Sampled, ..Setting::new("full, sampled", IsolationLevel::Full) },
    Setting { has_base: true, ..Setting::new("full, a base", IsolationLevel::Full) },
    Setting { is_forked: true, ..Setting::new("full, forked", IsolationLevel::Full) },
    Setting::new("rootless", IsolationLevel::Rootless),
    Setting::new("process", IsolationLevel::Process),
];

/// What is dying takes a moment; this is a bound for a machine in trouble.
const SETTLING: Duration = Duration::from_secs(10);
/// By its path, because a bare name is looked for in more places than one.
const PROGRAM: &str = "/usr/bin/true";

/// Dealt out over stages and settings.
const ERRNOS: [Errno; 5] = [Errno::PERM, Errno::NOMEM, Errno::AGAIN, Errno::NOSPC, Errno::MFILE];

const NEW_CGROUP_NAMESPACE: u64 = 0x0200_0000;
const NEW_NETWORK: u64 = 0x4000_0000;
const DROP_FROM_BOUNDING_SET: u64 = 24;
const SET_SUBREAPER: u64 = 36;
/// MS_NOSUID and MS_NODEV, and with MS_NOEXEC what only /proc is mounted with.
const POWERLESS: u64 = 0x6;
const NO_EXEC: u64 = 0x8;
const REMOUNT: u64 = 0x20;

/// An interpreter that holds what its programs must not share: an event counter, and a directory for temporary files.
const INTERPRETER: &str =
    "import os, tempfile; os.eventfd(0); tempfile.mkdtemp(); exec(open('snippet.py').read())";

/// What runs the same program again and again.
enum Runner {
    Host(Arc<Host>),
    ForkServer(Box<ForkServer>),
}

impl Runner {
    fn start(setting: Setting, config: &HostConfig) -> Self {
        let host = Arc::new(Host::start(config).expect("nothing fails yet"));
        if !setting.is_forked {
            return Self::Host(host);
        }
        let spec = ForkServerSpec {
            argv: ["/usr/bin/python3", "-c", INTERPRETER].map(str::to_owned).to_vec(),
            env_vars: Vec::new(),
            start_vars: Vec::new(),
            program: RelativePath::new("snippet.py").expect("a plain name"),
            point: ForkPoint::Program,
            passes: 0,
            stop: Stop::Open,
            not_with: Vec::new(),
            executable: None,
            preload: None,
            limits: Limits::default(),
            memory: ByteSize::gib(1),
            start_time: Duration::from_secs(60),
            branches: false,
        };
        Self::ForkServer(Box::new(ForkServer::start(&host, spec, &Cancel::new()).expect("nothing fails yet")))
    }

    fn run(&self, network: NetworkAccess) -> Result<ExecOutcome, SandboxError> {
        match self {
            Self::Host(host) => {
                let request = with(ExecRequest::new([PROGRAM]), |request| request.network = network);
                host.run(&request, &Cancel::new())
            }
            Self::ForkServer(server) => {
                let request = with(ExecRequest::new(server.spec().argv.clone()), |request| {
                    request.network = network;
                    request.files = vec![file("snippet.py", b"")];
                });
                server.run(&request, &Cancel::new())
            }
        }
    }

    fn run_well(&self) {
        let outcome = self.run(NetworkAccess::None).expect("nothing fails");
        assert_eq!(outcome.termination, exited(0));
    }
}

impl Setting {
    fn config(self, base: &Path) -> HostConfig {
        let (launcher, base) = (configuration(1).launcher, self.has_base.then(|| base.to_owned()));
        HostConfig { slots: 1, accounting: self.accounting, launcher, base, ..HostConfig::at(self.level) }
    }

    /// The ways in which `stage` can fail here; none where there is no such stage.
    fn faults(self, stage: Stage) -> Vec<Steps> {
        use Argument::{Has, Is, Lacks};
        let [full, rootless, process] = IsolationLevel::ALL.map(|level| level == self.level);
        let has_groups = self.accounting != Accounting::Sampled;
        let alone = |only: Step| vec![Steps(vec![only])];
        let stub = |then: Step| vec![Steps(vec![STUB, then])];
        let first = if self.is_forked { COPY } else { CHILD };
        let child = |then: Step| vec![Steps(vec![first, then])];
        // A copy runs beside its stub, which gives up the same.
        let child_itself = |then: Step| vec![Steps(vec![first, step!(FCHDIR), then.of_same_process()])];
        let each =
            |before: Step, thens: &[Step]| thens.iter().map(|then| Steps(vec![before, *then])).collect();
        let only = |exists: bool, ways: Vec<Steps>| if exists { ways } else { Vec::new() };
        match stage {
            Stage::CloneStub => alone(STUB),
            Stage::MapIds => only(rootless, each(STUB, &[step!(WRITE), step!(WRITE; 1)])),
            Stage::BoundingSet => only(rootless, stub(step!(PRCTL[Is(0, DROP_FROM_BOUNDING_SET)]))),
            Stage::Network => only(!process, each(STUB, &[step!(UNSHARE[Is(0, NEW_NETWORK)]), step!(IOCTL)])),
            Stage::Subreaper => only(process, stub(step!(PRCTL[Is(0, SET_SUBREAPER)]))),
            Stage::SignalScope => only(process, stub(step!(LANDLOCK_RESTRICT_SELF))),
            Stage::CloseLaunchers => stub(step!(CLOSE_RANGE)),
            Stage::MountProc => only(!process, stub(step!(MOUNT[Has(3, POWERLESS | NO_EXEC)]))),
            Stage::MountWorkspace => {
                only(rootless, stub(step!(MOUNT[Has(3, POWERLESS), Lacks(3, NO_EXEC | REMOUNT)])))
            }
            Stage::Announce => only(rootless || !has_groups, stub(step!(SENDMSG | SENDTO))),
            Stage::Receive if self.is_forked => child(step!(RECVMSG)),
            Stage::Receive => stub(step!(RECVMSG)),
            Stage::MountWork => only(full, alone(step!(MOVE_MOUNT))),
            // The view, and what hides that of which it is one.
            Stage::MountBase => {
                only(self.has_base, each(step!(MOVE_MOUNT), &[step!(MOUNT), step!(MOUNT; 1)]))
            }
            Stage::MountTmp => only(full, alone(step!(MOVE_MOUNT; 1))),
            Stage::ResizeWorkspace => only(rootless, alone(step!(MOUNT[Has(3, REMOUNT)]))),
            // The DNS socket, and a listener.
            Stage::Listen => only(!process, each(STUB, &[step!(BIND), step!(BIND; 1), step!(LISTEN)])),
            Stage::Rules => only(process, stub(step!(LANDLOCK_CREATE_RULESET))),
            Stage::CloneChild => alone(first),
            // The first hierarchy and the last. In version 2 a child that executes its program is cloned into its group.
            Stage::JoinCgroup if has_version_1() => {
                only(has_groups, each(first, &[step!(WRITE[Is(2, 1)]), step!(WRITE[Is(2, 1)]; 2)]))
            }
            Stage::JoinCgroup => only(self.is_forked, child(step!(WRITE[Is(2, 1)]))),
            Stage::CgroupNamespace => only(!process, child(step!(UNSHARE[Is(0, NEW_CGROUP_NAMESPACE)]))),
            Stage::NewSession => child(step!(SETSID)),
            Stage::Stdio => each(first, &[step!(DUP3[Is(1, 0)]), step!(DUP3[Is(1, 2)])]),
            Stage::Directory => child(step!(FCHDIR)),
            Stage::ResourceLimit => each(first, &[step!(PRLIMIT64), step!(PRLIMIT64; 6)]),
            Stage::Gid => child_itself(step!(SETRESGID)),
            Stage::Uid => child_itself(step!(SETRESUID)),
            Stage::Capabilities => child_itself(step!(CAPSET)),
            Stage::OwnProcessFiles => {
                only(process, each(first, &[step!(LANDLOCK_ADD_RULE), step!(LANDLOCK_ADD_RULE; 9)]))
            }
            Stage::Landlock => child(step!(LANDLOCK_RESTRICT_SELF)),
            // Where the workspace stays open it gets its place first.
            Stage::CloseDescriptors if process => each(first, &[step!(DUP3; 3), step!(CLOSE_RANGE)]),
            Stage::CloseDescriptors => child(step!(CLOSE_RANGE)),
            Stage::SignalMask => child(step!(RT_SIGPROCMASK)),
            Stage::Seccomp => child(step!(SECCOMP)),
            Stage::Register => only(self.is_forked, each(first, &[step!(SET_ROBUST_LIST), step!(RSEQ)])),
            Stage::OwnDescriptors => only(self.is_forked, child(step!(EVENTFD2))),
            Stage::OwnDirectories => only(self.is_forked, child(step!(MKDIR))),
            Stage::Exec => only(!self.is_forked, child(step!(EXECVE))),
        }
    }
}

fn has_version_1() -> bool {
    fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_err()
}

#[test]
fn every_stage_fails_under_its_own_name_at_every_level_that_has_it() {
    if host().is_none() {
        return;
    }
    let mut named: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (index, setting) in SETTINGS.iter().enumerate() {
        let output = Command::new(std::env::current_exe().expect("a test has a path"))
            .args(["--exact", "faults::stages::stages_of_one_setting", "--ignored", "--nocapture"])
            .env(WHICH, index.to_string())
            .output()
            .expect("this test starts itself");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
        for line in printed.lines().filter_map(|line| line.strip_prefix(ROW)) {
            println!("{line}");
            let number = line.split_whitespace().next().and_then(|number| number.parse().ok());
            named.entry(number.expect("a row begins with a number")).or_default().push(setting.name);
        }
    }
    for &stage in Stage::ALL {
        let having: Vec<_> =
            SETTINGS.iter().filter(|setting| !setting.faults(stage).is_empty()).map(|s| s.name).collect();
        assert!(!having.is_empty(), "{stage:?}");
        let mut seen = named.remove(&(stage as u32)).unwrap_or_default();
        seen.dedup();
        assert_eq!(seen, having, "{stage:?}");
    }
}

/// The environment variable by which the test says which setting is meant.
const WHICH: &str = "ROLLCAGE_TEST_SETTING";
/// Begins each line that is a row of the table.
const ROW: &str = "row: ";

#[test]
#[ignore = "counts descriptors, so it needs a process to itself; `every_stage_fails…` starts it in one"]
fn stages_of_one_setting() {
    let which: usize = std::env::var(WHICH).map_or(0, |which| which.parse().expect("a number"));
    let setting = SETTINGS[which];
    let faults: Vec<_> = Stage::ALL
        .iter()
        .flat_map(|&stage| setting.faults(stage).into_iter().map(move |steps| (stage, steps)))
        .collect();
    let mut calls: Vec<u32> = faults.iter().flat_map(|(_, steps)| steps.calls()).collect();
    calls.sort_unstable();
    calls.dedup();
    let saboteur = Saboteur::of_launcher(&calls);
    let base = tempfile::tempdir().expect("a temporary directory");
    let before_host = Left::look(&[]);
    let runner = Runner::start(setting, &saboteur.spoil(setting.config(base.path())));
    runner.run_well();
    let family = |root: u32| {
        let mut family: Vec<u32> = descendants(root).iter().map(|process| process.pid).collect();
        family.push(root);
        family
    };
    // A launcher, its init where there is a namespace to be init of, an interpreter, and the cage that waits.
    let has_init = setting.level != IsolationLevel::Process;
    let of_interpreter = if setting.is_forked { 2 } else { 0 };
    let standing = 2 + usize::from(has_init) + of_interpreter;
    wait_until("a cage waits", || family(saboteur.root()).len() == standing);
    let lasting: Vec<u32> =
        family(saboteur.root()).into_iter().filter(|pid| is_lasting(*pid, setting)).collect();
    let now = || (family(saboteur.root()).len(), Left::look(&lasting));
    // One cage may be going and another coming: only what stays is how it is.
    let mut before = now();
    wait_until("all stays as it is", || {
        let first = std::mem::replace(&mut before, now());
        first.0 == standing && first == before
    });
    for (turn, (stage, steps)) in faults.iter().enumerate() {
        let errno = ERRNOS[(turn + which) % ERRNOS.len()];
        let said = fail(&runner, &saboteur, *stage, errno, steps);
        println!("{ROW}{:>2} {:<16} {:<13} {said}", *stage as u32, format!("{stage:?}"), setting.name);
        runner.run_well();
        settle(&format!("{stage:?}"), &before, now);
    }
    drop(runner);
    settle("the host", &before_host, || Left::look(&[]));
}

/// Lets a call fail until a run meets it, and then again.
fn fail(runner: &Runner, saboteur: &Saboteur, stage: Stage, errno: Errno, steps: &Steps) -> String {
    let mut said = Vec::new();
    for _ in 0..2 {
        let before = saboteur.failed();
        saboteur.arm(errno, steps);
        let run = || runner.run(network(stage));
        let mut result = run();
        // A cage that waited already has come further than this; the next one has not.
        if let Ok(outcome) = &result {
            assert_eq!(outcome.termination, exited(0), "{stage:?}");
            result = run();
        }
        assert_eq!(saboteur.failed(), before + 1, "{stage:?} {steps}: {result:?}");
        let error = result.expect_err("no outcome comes of a failure of ours");
        let source = std::error::Error::source(&error).unwrap_or_else(|| panic!("{stage:?}: {error}"));
        let source = source.downcast_ref::<std::io::Error>().expect("the cause is an errno");
        assert_eq!(source.raw_os_error(), Some(errno.raw_os_error()), "{stage:?}: {error}");
        if let SandboxError::Cage { stage: named, .. } = &error {
            assert_eq!(*named, stage, "{steps}");
        } else {
            assert!(
                matches!(error, SandboxError::Exec { .. }) && stage == Stage::Exec,
                "{stage:?} {steps}: {error}"
            );
        }
        // A program that cannot be executed stays so, unless the machine was short of something.
        let scarce = matches!(errno, Errno::NOMEM | Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::INTR);
        assert_eq!(error.is_retryable(), stage != Stage::Exec || scarce, "{error}");
        said.push(format!("{error}: {source}"));
    }
    assert_eq!(said[0], said[1]);
    said.remove(0)
}

/// What a run must ask for to come by this stage.
fn network(stage: Stage) -> NetworkAccess {
    if stage == Stage::Network {
        NetworkAccess::Loopback
    } else if stage == Stage::Listen {
        NetworkAccess::Allow(AllowList::parse(["localhost:1"]).expect("a host and a port"))
    } else {
        NetworkAccess::None
    }
}

/// Whether this is a launcher, not one of its cages, which share its command line. A cage that waits has no process below
/// its first but the copy of an interpreter.
fn is_lasting(pid: u32, setting: Setting) -> bool {
    let below = descendants(pid);
    let has_child = |pid: u32| below.iter().any(|child| child.parent == pid);
    if setting.is_forked { below.iter().any(|child| has_child(child.pid)) } else { has_child(pid) }
}

/// Waits until all is as before. What is left is told.
fn settle<T: PartialEq + std::fmt::Debug>(after: &str, before: &T, now: impl Fn() -> T) {
    let deadline = Instant::now() + SETTLING;
    while now() != *before {
        assert!(
            Instant::now() < deadline,
            "after {after} there is\n{:#?}\nwhere there was\n{before:#?}",
            now()
        );
        std::thread::yield_now();
    }
}

/// What a failure could leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    /// Of this process, and of those given.
    descriptors: Vec<Vec<String>>,
    mounts: Vec<String>,
    children: usize,
}

impl Left {
    fn look(processes: &[u32]) -> Self {
        let own = [std::process::id()];
        let open = |pid: &u32| {
            let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut open: Vec<_> =
                entries.map(|entry| format!("{:?}", fs::read_link(entry.path()))).collect();
            // Made for the first fork server and kept for all that follow.
            open.retain(|target| !target.contains("memfd:rollcage-shim"));
            open.sort();
            open
        };
        Self {
            descriptors: own.iter().chain(processes).map(open).collect(),
            mounts: mounts(),
            children: descendants(own[0]).len(),
        }
    }
}
