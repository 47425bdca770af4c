//! One host for all tests, and short ways to say what runs in it.

use std::path::PathBuf;
use std::sync::OnceLock;

use rollcage_sandbox::{Cancel, Host, HostConfig, HostError, LauncherProgram};
use rollcage_types::{ExecOutcome, ExecRequest, FileEntry, LimitKind, RelativePath, Termination};

/// The host most tests share. `None` where this machine cannot have one; the reason has then been printed.
pub(crate) fn host() -> Option<&'static Host> {
    static HOST: OnceLock<Option<Host>> = OnceLock::new();
    HOST.get_or_init(|| own_host(4)).as_ref()
}

/// A host of the test's own.
pub(crate) fn own_host(slots: usize) -> Option<Host> {
    match Host::start(&configuration(slots)) {
        Err(error @ (HostError::NotRoot { .. } | HostError::NoCgroups { .. })) => {
            eprintln!("skipped: cage tests: {error}");
            None
        }
        started => Some(started.expect("the host starts")),
    }
}

pub(crate) fn configuration(slots: usize) -> HostConfig {
    let launcher = LauncherProgram::Path(PathBuf::from(env!("CARGO_BIN_EXE_rollcage")));
    HostConfig { slots, launcher, ..HostConfig::default() }
}

pub(crate) fn run(host: &Host, request: &ExecRequest) -> ExecOutcome {
    host.run(request, &Cancel::new()).expect("the cage works")
}

pub(crate) fn sh(script: &str) -> ExecRequest {
    ExecRequest::new(["sh", "-c", script])
}

pub(crate) fn python(source: &str) -> ExecRequest {
    ExecRequest::new(["python3", "-c", source])
}

pub(crate) fn with(mut request: ExecRequest, change: impl FnOnce(&mut ExecRequest)) -> ExecRequest {
    change(&mut request);
    request
}

pub(crate) fn file(path: &str, content: &[u8]) -> FileEntry {
    FileEntry::new(RelativePath::new(path).expect("tests use plain names"), content.to_vec())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `request` on the shared host and compares how it ended.
#[track_caller]
pub(crate) fn check(request: &ExecRequest, expected: Termination) -> Option<ExecOutcome> {
    let outcome = run(host()?, request);
    let (stdout, stderr) = (text(&outcome.stdout.head), text(&outcome.stderr.head));
    assert_eq!(
        outcome.termination, expected,
        "{:?}: stdout {stdout:.500} stderr {stderr:.500}",
        request.argv
    );
    Some(outcome)
}

/// Runs `request` on the shared host, which must succeed, and compares what it printed.
#[track_caller]
pub(crate) fn check_prints(request: &ExecRequest, expected: &str) {
    if let Some(outcome) = check(request, exited(0)) {
        assert_eq!(text(&outcome.stdout.head), expected, "{:?}", request.argv);
    }
}

pub(crate) const fn exited(code: u8) -> Termination {
    Termination::Exited { code }
}

pub(crate) const fn signaled(signal: i32) -> Termination {
    Termination::Signaled { signal }
}

pub(crate) const fn exceeded(limit: LimitKind) -> Termination {
    Termination::LimitExceeded(limit)
}
