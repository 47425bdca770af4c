//! What a judged solution asks of the sandbox, and what the sandbox's failures mean for it.
//!
//! Owns the two places where blame is given: a run that could not be started is the problem's fault, ours, or,
//! where only the solution can be the reason, an outcome like any other.

use std::sync::Arc;

use rollcage_judge::{
    Checker, Completion, Layout, Placement, Problem, RunOutput, Tests, Unscorable, assemble_sources,
};
use rollcage_language::Language;
use rollcage_sandbox::SandboxError;
use rollcage_types::{
    ByteSize, CapturePlan, Captured, Collect, ExecOutcome, ExecRequest, FileEntry, LimitKind, RelativePath,
    Termination, Usage,
};

use super::compile::Compiled;
use super::error_chain::error_chain;

/// Where a program leaves its proof. A dot file, so that it does not meet the program's own.
pub(super) const PROOF_NAME: &str = ".rollcage-completion";

/// More is kept of an output than was expected, so that "too long" is known to be the solution's doing.
const KEPT_BEYOND_EXPECTED: u64 = 64 * 1024;

/// A solution, ready to be compiled and run.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) problem: Arc<Problem>,
    /// As programs of this problem's kind are compiled and run in it.
    pub(super) language: Arc<Language>,
    /// The solution's file first.
    sources: Vec<FileEntry>,
    /// The token the program leaves behind at its end, where one is asked for.
    token: Option<String>,
}

impl Trial {
    /// A solution with what makes it a program of `problem`, to be run where programs find their files in `workspace`.
    /// `token` is drawn for this trial.
    pub(super) fn new(
        workspace: &str,
        problem: Arc<Problem>,
        language: Arc<Language>,
        solution: &str,
        token: String,
    ) -> Self {
        let (language, section) = match &problem.tests {
            Tests::Cases(_) => (language, None),
            Tests::Code { .. } => (Arc::new(language.for_test_code()), language.test_code.clone()),
        };
        let proof = match &problem.tests {
            Tests::Cases(_) => None,
            Tests::Code { .. } => language.completion_proof.as_ref(),
        };
        let epilogue = proof.map(|proof| {
            let path = format!("{workspace}/{PROOF_NAME}");
            proof.epilogue(&path, &token).expect("the path and a hexadecimal token need no quoting")
        });
        let section = section.unwrap_or_default();
        let placement = |file: &Option<RelativePath>| match file {
            Some(_) => Placement::OwnFile,
            None => Placement::Behind,
        };
        let layout = Layout {
            tests: placement(&section.tests_filename),
            epilogue: placement(&section.proof_filename),
            separator: &section.separator,
        };
        let texts = assemble_sources(&problem.tests, solution, epilogue.as_deref(), layout);
        let own = [(section.tests_filename, texts.tests), (section.proof_filename, texts.epilogue)];
        let own = own.into_iter().filter_map(|(name, text)| Some(FileEntry::new(name?, text?.into_bytes())));
        let sources = std::iter::once(language.source_file(texts.program.into_bytes())).chain(own).collect();
        let token = epilogue.is_some().then_some(token);
        Self { problem, language, sources, token }
    }

    /// Whether the program holds what was drawn for this trial, and no other may have.
    pub(super) fn holds_token(&self) -> bool {
        self.token.is_some()
    }

    /// The compiler's run; `None` where nothing is compiled.
    pub(super) fn compile_request(&self) -> Option<ExecRequest> {
        self.language.compile_request(self.sources())
    }

    /// The run of the program, for one test case or, without one, for its own tests.
    pub(super) fn run_request(&self, case: Option<usize>, compiled: Option<&Compiled>) -> ExecRequest {
        let files = match compiled {
            None => self.sources(),
            Some(compiled) => self.with_problem_files(compiled.files.clone()),
        };
        let (stdin, expected_bytes) = match (&self.problem.tests, case) {
            (Tests::Cases(cases), Some(index)) => {
                (Arc::clone(&cases[index].stdin), cases[index].expected.len())
            }
            (Tests::Cases(_) | Tests::Code { .. }, _) => (Arc::from([].as_slice()), 0),
        };
        let capture = CapturePlan::default();
        let limits = self.language.run_limits(&self.problem.limits);
        let kept = match &self.problem.checker {
            Checker::Exact | Checker::Tokens(_) => {
                ByteSize::bytes(expected_bytes as u64 + KEPT_BEYOND_EXPECTED)
            }
            // What such a checker accepts may be of any length.
            Checker::Program(_) | Checker::Hook => limits.output,
        };
        let head = kept.max(capture.head);
        let collect = match self.token {
            Some(_) => Collect::Files(vec![proof_path()]),
            None => Collect::Nothing,
        };
        ExecRequest {
            stdin,
            limits,
            capture: CapturePlan { head, ..capture },
            collect,
            ..self.language.run_request(files)
        }
    }

    /// What judging is told of a finished run.
    pub(super) fn run_output(&self, outcome: ExecOutcome) -> RunOutput {
        let completion = match &self.token {
            None => Completion::NotRequired,
            Some(token) => {
                let proof = outcome.files.iter().find(|file| file.path.as_str() == PROOF_NAME);
                let is_proved = proof.is_some_and(|file| *file.content == *token.as_bytes());
                if is_proved { Completion::Proved } else { Completion::Missing }
            }
        };
        let completion = match self.assertion_report() {
            None => completion,
            Some(mark) => completion.unless_reported(&outcome.stderr, mark),
        };
        RunOutput::new(outcome, completion)
    }

    /// What judging is told of a run that could not be started.
    ///
    /// Where only the solution can be the reason it is an outcome: see [`Compiled::unstarted`]. A program that is
    /// missing is the language file's mistake, whether the compiler should have made it or it is the interpreter.
    pub(super) fn not_run(
        &self,
        error: &SandboxError,
        compiled: Option<&Compiled>,
    ) -> Result<RunOutput, Unscorable> {
        let is_of_problem = |path: &RelativePath| {
            self.problem.files.iter().any(|file| file.path == *path) && !self.is_source(path)
        };
        match error {
            SandboxError::FilesTooLarge { path } | SandboxError::Place { path, .. }
                if is_of_problem(path) =>
            {
                Err(Unscorable::problem(error_chain(error)))
            }
            SandboxError::FilesTooLarge { .. } => {
                Ok(ended(Termination::LimitExceeded(LimitKind::DiskSpace), &error_chain(error)))
            }
            SandboxError::Exec { .. } => match compiled.and_then(|compiled| compiled.unstarted(error)) {
                Some(termination) => Ok(ended(termination, &error_chain(error))),
                None => {
                    let why = format!("language `{}`: {}", self.language.name, error_chain(error));
                    Err(Unscorable::infrastructure(why, false))
                }
            },
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
            | SandboxError::LauncherGone => {
                Err(Unscorable::infrastructure(error_chain(error), error.is_retryable()))
            }
        }
    }

    /// What a failed assertion writes, in a language whose assertions do not end the program.
    fn assertion_report(&self) -> Option<&str> {
        match self.problem.tests {
            Tests::Cases(_) => None,
            Tests::Code { .. } => self.language.test_code.as_ref()?.assertion_report.as_deref(),
        }
    }

    fn is_source(&self, path: &RelativePath) -> bool {
        self.sources.iter().any(|file| file.path == *path)
    }

    /// The problem's files and the sources, which win over files of their names.
    fn sources(&self) -> Vec<FileEntry> {
        self.with_problem_files(self.sources.clone())
    }

    /// The problem's files first, so that what does not fit is known to be the solution's.
    fn with_problem_files(&self, own: Vec<FileEntry>) -> Vec<FileEntry> {
        let is_other = |file: &&FileEntry| own.iter().all(|own| own.path != file.path);
        let mut files: Vec<_> = self.problem.files.iter().filter(is_other).cloned().collect();
        files.extend(own);
        files
    }
}

/// A token nobody can guess, of 128 bits.
pub(super) fn draw_token() -> Result<String, Unscorable> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let count = rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| Unscorable::infrastructure(format!("cannot draw a token: {errno}"), true))?;
        filled += count;
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn proof_path() -> RelativePath {
    RelativePath::new(PROOF_NAME).expect("the name is plain")
}

/// A run that never began, told as how it would have ended.
fn ended(termination: Termination, why: &str) -> RunOutput {
    RunOutput {
        termination,
        stdout: Captured::default(),
        stderr: Captured::whole(format!("{why}\n")),
        usage: Usage::default(),
        completion: Completion::Missing,
    }
}
