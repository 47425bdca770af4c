//! What a cage adds to running a program once: the same commands with and without one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rollcage_api::{BenchReport, BenchRow, BenchTarget};
use rollcage_language::LanguageSet;
use rollcage_sandbox::{Cancel, Host, HostConfig};
use rollcage_types::{ExecRequest, FileEntry};

use crate::bench::measure::{Effort, Subject, measure};
use crate::bench::spread::{Spread, milliseconds};
use crate::bench::{machine, memory};
use crate::execute::{Compiled, compile};
use crate::failure::Failure;
use crate::language_files::find;
use crate::{host, toolchain};

/// A program to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExecCase {
    /// `/bin/true`: nothing but starting and ending.
    True,
    /// `python3` printing a line.
    Python,
    /// A compiled C++ program printing a line; compiled once.
    Cpp,
}

/// What to measure and for how long.
#[derive(Clone, Debug)]
pub(crate) struct ExecPlan {
    pub(crate) host: HostConfig,
    pub(crate) cases: Vec<ExecCase>,
    pub(crate) effort: Effort,
}

/// Where the time of a caged run goes, at the median.
#[derive(Clone, Debug)]
pub(crate) struct Phases {
    pub(crate) case: &'static str,
    /// From exec to the end of the program, as the cage's first process saw it.
    pub(crate) program_ms: f64,
    /// Everything else: handing over the request, the workspace and the pipes, and reading what is left.
    pub(crate) around_ms: f64,
}

pub(super) const BARE: &str = "bare-cold";
pub(super) const CAGED: &str = "caged-cold";
/// Runs the phases are taken from.
const PHASE_RUNS: usize = 100;
/// The promises, as the specification has them.
const ADDED_MS_MAX: f64 = 0.5;
const PER_SECOND_MIN: f64 = 1500.0;
const TAIL_FACTOR_MAX: f64 = 4.0;
/// Processors the promised throughput is for.
pub(super) const PROCESSORS_PROMISED: f64 = 2.0;

const CPP_SOURCE: &str = "#include <iostream>\nint main() { std::cout << \"hello\\n\"; }\n";

/// Measures every case of `plan`, bare and caged.
pub(crate) fn exec(plan: &ExecPlan, cancel: &Cancel) -> Result<(BenchReport, Vec<Phases>), Failure> {
    // Before our own runs make it busy.
    let machine = machine::describe();
    let host = host::start(&plan.host)?;
    let (mut rows, mut phases) = (Vec::new(), Vec::new());
    for case in &plan.cases {
        let request = request(*case, &host, cancel)?;
        let directory = directory_of(&request.files)?;
        let bare = || run_bare(&request, directory.path());
        let caged = || run_caged(&host, &request, cancel).map(|_program_time| ());
        let subjects = [
            Subject { case: case.name(), mode: BARE, before: None, once: &bare },
            Subject { case: case.name(), mode: CAGED, before: None, once: &caged },
        ];
        let mut measured = measure(&subjects, plan.effort, cancel)?;
        let slots = u64::try_from(host.slots()).unwrap_or(u64::MAX);
        for row in measured.iter_mut().filter(|row| row.mode == CAGED) {
            row.memory_kb = memory::tree_kb().map(|kb| kb / slots);
        }
        rows.append(&mut measured);
        phases.push(split(*case, &host, &request, cancel)?);
    }
    let targets = targets(&rows);
    Ok((BenchReport { bench: "exec".to_owned(), machine, rows, targets }, phases))
}

impl ExecCase {
    /// Every case.
    pub(crate) const ALL: [Self; 3] = [Self::True, Self::Python, Self::Cpp];

    const fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Python => "python",
            Self::Cpp => "cpp",
        }
    }
}

fn request(case: ExecCase, host: &Host, cancel: &Cancel) -> Result<ExecRequest, Failure> {
    match case {
        ExecCase::True => Ok(ExecRequest::new(["/bin/true"])),
        ExecCase::Python => Ok(ExecRequest::new(["python3", "-c", "print('hello')"])),
        ExecCase::Cpp => {
            let cpp = find(&LanguageSet::built_in(), "cpp")?;
            toolchain::require(&cpp, &HostConfig::at(host.enforcement().level))?;
            match compile(host, &cpp, CPP_SOURCE.as_bytes().to_vec(), cancel)? {
                Compiled::Files(files, _) => Ok(cpp.run_request(files)),
                Compiled::Failed(outcome) => {
                    let why = outcome.stderr.to_text();
                    Err(Failure::infrastructure(anyhow::anyhow!(
                        "the benchmark's program does not compile: {why}"
                    )))
                }
            }
        }
    }
}

/// A directory for bare runs, with what a cage places in its workspace.
pub(super) fn directory_of(files: &[FileEntry]) -> Result<tempfile::TempDir, Failure> {
    let directory =
        tempfile::tempdir().context("cannot create a directory").map_err(Failure::infrastructure)?;
    write_files(files, directory.path())?;
    Ok(directory)
}

fn write_files(files: &[FileEntry], directory: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    for file in files {
        let path = directory.join(file.path.as_str());
        let mode = if file.executable { 0o755 } else { 0o644 };
        std::fs::write(&path, &file.content)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
            .with_context(|| format!("cannot write `{}`", path.display()))
            .map_err(Failure::infrastructure)?;
    }
    Ok(())
}

/// As anyone would who does not care what the program does.
pub(super) fn run_bare(request: &ExecRequest, directory: &Path) -> Result<(), Failure> {
    let [program, arguments @ ..] = request.argv.as_slice() else {
        return Err(Failure::infrastructure(anyhow::anyhow!("the benchmark has no program")));
    };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs([
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("TZ", "UTC"),
        ])
        .envs(request.env_vars.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run `{program}`"))
        .map_err(Failure::infrastructure)?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::infrastructure(anyhow::anyhow!("`{program}` ended with {} outside a cage", output.status)))
}

/// Returns the program's own time on the clock.
fn run_caged(host: &Host, request: &ExecRequest, cancel: &Cancel) -> Result<Duration, Failure> {
    let outcome = host.run(request, cancel).map_err(Failure::infrastructure)?;
    if outcome.termination.is_success() || cancel.is_cancelled() {
        return Ok(outcome.usage.wall_time);
    }
    let (program, termination) = (&request.argv[0], outcome.termination);
    Err(Failure::infrastructure(anyhow::anyhow!("`{program}` ended with {termination:?} in a cage")))
}

fn split(case: ExecCase, host: &Host, request: &ExecRequest, cancel: &Cancel) -> Result<Phases, Failure> {
    let (mut programs, mut around) = (Vec::new(), Vec::new());
    for _ in 0..PHASE_RUNS {
        let began = Instant::now();
        let program = run_caged(host, request, cancel)?;
        around.push(began.elapsed().saturating_sub(program));
        programs.push(program);
    }
    let (program, around) = (Spread::of(&programs), Spread::of(&around));
    Ok(Phases { case: case.name(), program_ms: program.p50_ms, around_ms: around.p50_ms })
}

fn targets(rows: &[BenchRow]) -> Vec<BenchTarget> {
    let find = |mode| rows.iter().find(|row| row.case == ExecCase::True.name() && row.mode == mode);
    let (Some(bare), Some(caged)) = (find(BARE), find(CAGED)) else { return Vec::new() };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let processors = u32::try_from(processors).map_or(1.0, f64::from);
    let added = milliseconds(Duration::from_secs_f64((caged.p50_ms - bare.p50_ms).max(0.0) / 1e3));
    // A machine with more processors has to do better, one with a single processor less well.
    let per_second = (caged.per_second * PROCESSORS_PROMISED / processors).round();
    let tail = (caged.p99_ms / caged.p50_ms * 100.0).round() / 100.0;
    let at_most = |name: &str, value: f64, target: f64| BenchTarget {
        name: name.to_owned(),
        value,
        target,
        holds: value <= target,
    };
    vec![
        at_most("a full cage adds to /bin/true at p50, in ms, at most", added, ADDED_MS_MAX),
        BenchTarget {
            name: "caged /bin/true per second on two processors, at least".to_owned(),
            value: per_second,
            target: PER_SECOND_MIN,
            holds: per_second >= PER_SECOND_MIN,
        },
        at_most("p99 of caged /bin/true over its p50, at most", tail, TAIL_FACTOR_MAX),
    ]
}
