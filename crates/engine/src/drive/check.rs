//! Checks that are not a comparison: by the operator's hook, or by a program of the problem's author in a cage.
//!
//! The solution is not running any more, and the cage it ran in is gone: a checker's cage is another, and holds what was
//! expected.

use std::sync::Arc;

use rollcage_judge::{
    CHECKER_FILES, Checker, CheckerProgram, Decision, Problem, TestCase, Tests, Unscorable, program_decision,
};
use rollcage_sandbox::SandboxError;
use rollcage_types::{ExecOutcome, ExecRequest, FileEntry, RelativePath};

use super::compile::{Compilation, Compiled};
use super::engine::{Engine, Spent};
use super::error_chain::error_chain;

/// What the checker of `problem` decides of the output of one case, and where the time went.
pub(super) async fn check_case(
    engine: &Engine,
    problem: &Problem,
    index: usize,
    stdout: Vec<u8>,
) -> (Result<Decision, Unscorable>, Spent) {
    let mut spent = Spent::default();
    let case = match &problem.tests {
        Tests::Cases(cases) => &cases[index],
        Tests::Code { .. } => unreachable!("only outputs of cases are checked"),
    };
    let decision = match &problem.checker {
        Checker::Hook => match engine.checker() {
            Some(checker) => checker.check(problem, index, case, &stdout).await,
            None => Err(Unscorable::infrastructure("the checker is a hook, and none was named", false)),
        },
        Checker::Program(program) => run_checker(engine, program, case, stdout, &mut spent).await,
        Checker::Exact | Checker::Tokens(_) => unreachable!("these compare, and are not asked"),
    };
    (decision, spent)
}

async fn run_checker(
    engine: &Engine,
    program: &CheckerProgram,
    case: &TestCase,
    stdout: Vec<u8>,
    spent: &mut Spent,
) -> Result<Decision, Unscorable> {
    let language = engine
        .languages()
        .find(&program.language)
        .map_err(|error| Unscorable::problem(format!("the checker program: {}", error_chain(&error))))?;
    engine.toolchain(language).await?;
    let cages = engine.cages(language).await?;
    let source = language.source_file(program.source.as_bytes());
    let files = match language.compile_request(vec![source.clone()]) {
        None => vec![source],
        Some(request) => {
            let Compilation { outcome, spent: own } =
                cages.compile(request).await.map_err(|error| failed(&error))?;
            *spent += own;
            compiled(&outcome)?
        }
    };
    let request = checker_request(language.run_request(files), case, stdout);
    let ran = cages.run(request).await.map_err(|error| failed(&error))?;
    *spent += Spent { queue: ran.queue, run: ran.run, ..Spent::default() };
    program_decision(&ran.outcome)
}

/// The run of a checker that `run` would start: its three files beside it, their names as its last arguments.
pub fn checker_request(run: ExecRequest, case: &TestCase, stdout: Vec<u8>) -> ExecRequest {
    let contents = [Arc::clone(&case.stdin), Arc::from(stdout), Arc::clone(&case.expected)];
    let own = CHECKER_FILES
        .into_iter()
        .zip(contents)
        .map(|(name, content)| FileEntry::new(RelativePath::new(name).expect("the name is plain"), content));
    let ExecRequest { mut argv, mut files, .. } = run;
    files.retain(|file| !CHECKER_FILES.contains(&file.path.as_str()));
    files.extend(own);
    argv.extend(CHECKER_FILES.map(str::to_owned));
    ExecRequest { argv, files, ..run }
}

fn compiled(outcome: &ExecOutcome) -> Result<Vec<FileEntry>, Unscorable> {
    if outcome.termination.is_success() {
        return Ok(Compiled::of(outcome).files);
    }
    let words = String::from_utf8_lossy(&outcome.stderr.head).into_owned();
    Err(Unscorable::problem(format!("the checker program does not compile: {}", words.trim())))
}

/// What a cage could not do is ours, and what it could not be given is the problem's.
fn failed(error: &SandboxError) -> Unscorable {
    let text = format!("the checker program: {}", error_chain(error));
    match error {
        SandboxError::FilesTooLarge { .. } | SandboxError::Exec { .. } => Unscorable::problem(text),
        SandboxError::Place { .. }
        | SandboxError::Request(_)
        | SandboxError::NoProgram
        | SandboxError::NoNetwork { .. }
        | SandboxError::Cage { .. }
        | SandboxError::System { .. }
        | SandboxError::NotReady { .. }
        | SandboxError::Unkillable { .. }
        | SandboxError::StubLost
        | SandboxError::Agent { .. }
        | SandboxError::HostExhausted { .. }
        | SandboxError::LauncherGone => Unscorable::infrastructure(text, error.is_retryable()),
    }
}
