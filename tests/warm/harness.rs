//! One host for all tests, interpreters as fork servers, and what their programs do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rollcage_sandbox::{
    Cancel, ForkPoint, ForkServer, ForkServerError, ForkServerSpec, Host, HostConfig, HostError,
    LauncherProgram, Stop,
};
use rollcage_types::{ByteSize, ExecOutcome, ExecRequest, FileEntry, Limits, RelativePath, Termination};

/// The host most tests share. `None` where this machine cannot have one; the reason has then been printed.
pub(crate) fn host() -> Option<Arc<Host>> {
    static HOST: OnceLock<Option<Arc<Host>>> = OnceLock::new();
    HOST.get_or_init(|| host_of(&HostConfig::default())).clone()
}

/// A host of the test's own.
pub(crate) fn host_of(config: &HostConfig) -> Option<Arc<Host>> {
    let launcher = LauncherProgram::Path(PathBuf::from(env!("CARGO_BIN_EXE_rollcage")));
    match Host::start(&HostConfig { slots: 4, launcher, ..config.clone() }) {
        Err(error @ (HostError::NotRoot { .. } | HostError::NoCgroups { .. })) => {
            eprintln!("skipped: warm tests: {error}");
            None
        }
        started => Some(Arc::new(started.expect("the host starts"))),
    }
}

/// How an interpreter is started whose command line is `argv`, for programs called `program`.
pub(crate) fn spec(argv: &[&str], program: &str) -> ForkServerSpec {
    ForkServerSpec {
        argv: argv.iter().map(ToString::to_string).collect(),
        env_vars: Vec::new(),
        start_vars: Vec::new(),
        program: RelativePath::new(program).unwrap(),
        point: ForkPoint::Program,
        passes: 0,
        stop: Stop::Open,
        not_with: Vec::new(),
        executable: None,
        preload: None,
        limits: Limits::default(),
        memory: ByteSize::gib(1),
        start_time: Duration::from_secs(30),
        branches: false,
    }
}

pub(crate) fn python() -> ForkServerSpec {
    let not_with = vec![b"PK\x05\x06".to_vec()];
    ForkServerSpec { passes: 1, not_with, ..spec(&["python3", "-B", "snippet.py"], "snippet.py") }
}

pub(crate) fn python_with(preload: &str) -> ForkServerSpec {
    ForkServerSpec { preload: Some(preload.to_owned()), env_vars: one_thread(), ..python() }
}

/// For libraries of linear algebra, which start threads when they are loaded.
fn one_thread() -> Vec<(String, String)> {
    ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"].map(|name| (name.to_owned(), "1".to_owned())).to_vec()
}

pub(crate) fn perl() -> ForkServerSpec {
    spec(&["perl", "snippet.pl"], "snippet.pl")
}

pub(crate) fn ruby() -> ForkServerSpec {
    let not_with = vec![b"#!".to_vec()];
    ForkServerSpec { stop: Stop::Loaded, not_with, ..spec(&["ruby", "snippet.rb"], "snippet.rb") }
}

pub(crate) fn php() -> ForkServerSpec {
    spec(&["php", "snippet.php"], "snippet.php")
}

/// Lua seeds its generator when it starts, so it is stopped in a line of its own that seeds it again.
pub(crate) fn lua() -> ForkServerSpec {
    let seed = "local f <close> = io.open('/dev/urandom', 'rb') math.randomseed(('i8i8'):unpack(f:read(16)))";
    ForkServerSpec {
        point: ForkPoint::Path("/dev/urandom".to_owned()),
        start_vars: vec![("LUA_INIT".to_owned(), seed.to_owned())],
        ..spec(&["lua5.4", "snippet.lua"], "snippet.lua")
    }
}

pub(crate) fn bash() -> ForkServerSpec {
    spec(&["bash", "snippet.sh"], "snippet.sh")
}

pub(crate) fn r() -> ForkServerSpec {
    ForkServerSpec {
        stop: Stop::Read,
        executable: Some("/usr/lib/R/bin/exec/R".to_owned()),
        env_vars: one_thread(),
        ..spec(&["Rscript", "--vanilla", "snippet.R"], "snippet.R")
    }
}

pub(crate) fn ocaml() -> ForkServerSpec {
    spec(&["ocaml", "snippet.ml"], "snippet.ml")
}

pub(crate) fn sqlite() -> ForkServerSpec {
    spec(&["sqlite3", "-batch", "-bail", ":memory:", ".read snippet.sql"], "snippet.sql")
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) termination: Termination,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<ExecOutcome> for Ended {
    fn from(outcome: ExecOutcome) -> Self {
        let ExecOutcome { termination, stdout, stderr, .. } = outcome;
        Self { termination, stdout: stdout.to_text(), stderr: stderr.to_text() }
    }
}

/// An interpreter at its fork point.
pub(crate) struct Server {
    pub(crate) host: Arc<Host>,
    pub(crate) server: ForkServer,
}

impl Server {
    /// `None` where the interpreter or the host is missing.
    pub(crate) fn start(spec: &ForkServerSpec) -> Option<Self> {
        Self::start_on(host()?, spec)
    }

    pub(crate) fn start_on(host: Arc<Host>, spec: &ForkServerSpec) -> Option<Self> {
        if !is_installed(&spec.argv[0]) {
            return None;
        }
        match ForkServer::start(&host, spec.clone(), &Cancel::new()) {
            Ok(server) => Some(Self { host, server }),
            Err(error) => panic!("{:?}: {error}: {error:?}", spec.argv),
        }
    }

    pub(crate) fn request(&self, source: &str, stdin: &str) -> ExecRequest {
        request(self.server.spec(), source, stdin)
    }

    /// Runs a program in a copy of the interpreter.
    pub(crate) fn warm(&self, source: &str, stdin: &str) -> Ended {
        self.warm_request(&self.request(source, stdin)).into()
    }

    pub(crate) fn warm_request(&self, request: &ExecRequest) -> ExecOutcome {
        assert_eq!(self.server.accepts(request), Ok(()));
        self.server.run(request, &Cancel::new()).unwrap()
    }

    /// Runs a program in an interpreter of its own.
    pub(crate) fn cold(&self, source: &str, stdin: &str) -> Ended {
        self.host.run(&self.request(source, stdin), &Cancel::new()).unwrap().into()
    }

    /// Runs a program that is to succeed in silence, for what it prints.
    pub(crate) fn say(&self, source: &str) -> String {
        let ended = self.warm(source, "");
        let expected = (Termination::Exited { code: 0 }, "");
        assert_eq!((ended.termination, ended.stderr.as_str()), expected, "program:\n{source}");
        ended.stdout.trim_end().to_owned()
    }
}

pub(crate) fn request(spec: &ForkServerSpec, source: &str, stdin: &str) -> ExecRequest {
    ExecRequest {
        env_vars: spec.env_vars.clone(),
        files: vec![FileEntry::new(spec.program.clone(), source.as_bytes().to_vec())],
        stdin: Arc::from(stdin.as_bytes()),
        limits: spec.limits.clone(),
        ..ExecRequest::new(spec.argv.clone())
    }
}

/// Why an interpreter does not become a server.
pub(crate) fn refusal(spec: &ForkServerSpec) -> Option<ForkServerError> {
    let host = host()?;
    if !is_installed(&spec.argv[0]) {
        return None;
    }
    match ForkServer::start(&host, spec.clone(), &Cancel::new()) {
        Err(error) => Some(error),
        Ok(_) => panic!("{:?} became a server", spec.argv),
    }
}

fn is_installed(program: &str) -> bool {
    let installed = ["/usr/local/bin", "/usr/bin", "/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(program).exists());
    if !installed {
        eprintln!("skipped: no {program}");
    }
    installed
}

/// Whether the cages' Python has this module.
pub(crate) fn has_module(name: &str) -> bool {
    let found =
        std::process::Command::new("/usr/bin/python3").args(["-c", &format!("import {name}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: no {name} for /usr/bin/python3");
    }
    found
}

/// What is waited for takes a second at most; this is a bound for a machine in trouble.
const SETTLING: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SETTLING;
    while !condition() {
        assert!(Instant::now() < deadline, "still not so after {SETTLING:?}: {what}");
        std::thread::yield_now();
    }
}

/// A process and all that are below it.
pub(crate) fn tasks_below(process: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![process.to_string()];
    while let Some(pid) = pending.pop() {
        // Of every thread: each has the children that it made.
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pending.extend(children.split_whitespace().map(str::to_owned));
        }
        found.push(pid);
    }
    found
}

/// Kills the interpreter of a fork server.
pub(crate) fn kill_python_below(process_id: u32) {
    let is_python = |pid: &String| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("python"))
    };
    let interpreter = tasks_below(process_id).into_iter().find(is_python).expect("an interpreter waits");
    let pid = rustix::process::Pid::from_raw(interpreter.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
