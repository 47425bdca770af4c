//! A hook of Python and what it is asked.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollcage_api::HookKind;
use rollcage_engine::drive::{CheckerHook, Hook, HookError, HookSpec};
use rollcage_judge::{Checker, Decision, Problem, TestCase, Tests, Unscorable};
use rollcage_types::{LimitOverrides, ProblemId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hooks/hook.py");

/// Long enough for a busy machine where an answer must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A checker, and a directory it may leave things in.
pub(crate) struct Checked {
    pub(crate) hook: Arc<Hook>,
    checker: CheckerHook,
    pub(crate) directory: TempDir,
}

/// How a hook is started.
pub(crate) struct Setup {
    pub(crate) mode: &'static [&'static str],
    pub(crate) processes: usize,
    pub(crate) deadline: Duration,
    pub(crate) start_deadline: Duration,
}

impl Setup {
    /// One process, and time enough.
    pub(crate) fn new(mode: &'static [&'static str]) -> Self {
        Self { mode, processes: 1, deadline: PATIENCE, start_deadline: PATIENCE }
    }

    /// Starts it.
    pub(crate) async fn start(self) -> Result<Checked, HookError> {
        let directory = tempfile::tempdir().unwrap();
        let variable = format!("HOOK_DIRECTORY={}", directory.path().display());
        let command = ["env", &variable, "python3", SCRIPT].into_iter().chain(self.mode.iter().copied());
        let spec = HookSpec {
            processes: NonZeroUsize::new(self.processes).unwrap(),
            deadline: self.deadline,
            start_deadline: self.start_deadline,
            ..HookSpec::new(HookKind::Checker, command.map(str::to_owned).collect())
        };
        let hook = Arc::new(Hook::start(spec, &[]).await?);
        let meta = serde_json::Map::from_iter([("level".to_owned(), 3.into())]);
        let checker = CheckerHook::new(Arc::clone(&hook), [(ProblemId::new("p"), meta)]);
        Ok(Checked { hook, checker, directory })
    }
}

impl Checked {
    /// What it decides of an output; the expected one is `right`.
    pub(crate) async fn ask(&self, stdout: &str) -> Result<Decision, Unscorable> {
        self.ask_about(b"", stdout.as_bytes()).await
    }

    /// The same for other bytes.
    pub(crate) async fn ask_about(&self, stdin: &[u8], stdout: &[u8]) -> Result<Decision, Unscorable> {
        let case = TestCase { stdin: stdin.into(), expected: Arc::from(*b"right") };
        let problem = Problem {
            id: ProblemId::new("p"),
            language: None,
            tests: Tests::Cases(vec![case.clone()]),
            limits: LimitOverrides::default(),
            checker: Checker::Hook,
            files: Vec::new(),
        };
        self.checker.check(&problem, 0, &case, stdout).await
    }

    /// The process that answers now.
    pub(crate) async fn process(&self) -> Watched {
        Watched::new(&self.ask("right").await.unwrap().message.unwrap())
    }

    /// Where it leaves things.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A process, watched by a descriptor that says when it has ended.
pub(crate) struct Watched(std::os::fd::OwnedFd);

impl Watched {
    pub(crate) fn new(id: &str) -> Self {
        let id = Pid::from_raw(id.parse().unwrap()).unwrap();
        Self(pidfd_open(id, PidfdFlags::empty()).unwrap())
    }

    /// Whether it has ended already.
    pub(crate) fn has_ended(&self) -> bool {
        self.poll(Duration::ZERO)
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) {
        let waited = tokio::task::spawn_blocking(move || self.poll(PATIENCE));
        assert!(waited.await.unwrap(), "it is still there");
    }

    fn poll(&self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).unwrap();
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)).unwrap() > 0
    }
}
