//! A program from source text to its end: compiled first where its language is.

use rollcage_language::Language;
use rollcage_sandbox::{Cancel, Host};
use rollcage_types::{ExecOutcome, ExecRequest, FileEntry};

use crate::failure::Failure;
use crate::host::no_outcome;

/// How far a program got.
#[derive(Debug)]
pub(crate) enum Executed {
    /// The compiler failed, or was ended.
    CompileFailed(ExecOutcome),
    /// It ran.
    Ran {
        /// Compiling it, in a language that does.
        compile: Option<Box<ExecOutcome>>,
        /// The run.
        outcome: ExecOutcome,
    },
}

/// What compiling gave: the files of a run, or a failed compiler.
#[derive(Debug)]
pub(crate) enum Compiled {
    /// What a run is given, and how it was made.
    Files(Vec<FileEntry>, Option<Box<ExecOutcome>>),
    /// The compiler failed, or was ended.
    Failed(Box<ExecOutcome>),
}

/// Compiles `source` in a cage; where the language compiles nothing, the source itself is what runs.
pub(crate) fn compile(
    host: &Host,
    language: &Language,
    source: Vec<u8>,
    cancel: &Cancel,
) -> Result<Compiled, Failure> {
    let files = vec![language.source_file(source)];
    let Some(request) = language.compile_request(files.clone()) else {
        return Ok(Compiled::Files(files, None));
    };
    let mut outcome = host.run(&request, cancel).map_err(|error| no_outcome(error, language))?;
    if !outcome.termination.is_success() {
        return Ok(Compiled::Failed(Box::new(outcome)));
    }
    let files = std::mem::take(&mut outcome.files);
    Ok(Compiled::Files(files, Some(Box::new(outcome))))
}

/// Compiles and runs `source`. `adjust` sets what the run's request does not know yet: input, limits, arguments.
pub(crate) fn execute(
    host: &Host,
    language: &Language,
    source: Vec<u8>,
    adjust: impl FnOnce(&mut ExecRequest),
    cancel: &Cancel,
) -> Result<Executed, Failure> {
    let (files, compile) = match compile(host, language, source, cancel)? {
        Compiled::Files(files, compile) => (files, compile),
        Compiled::Failed(outcome) => return Ok(Executed::CompileFailed(*outcome)),
    };
    let mut request = language.run_request(files);
    adjust(&mut request);
    let outcome = host.run(&request, cancel).map_err(|error| no_outcome(error, language))?;
    Ok(Executed::Ran { compile, outcome })
}
