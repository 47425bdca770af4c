//! One assert, run in a cage of its own, and its outcome as InterCode compares outcomes.
//!
//! InterCode compares what was printed, without white space around it, or the text of the exception. The exception's
//! type is not compared: an `AssertionError` and a `StopIteration` without text are equal.

use std::sync::Arc;

use rollcage_judge::{AssertOutcome, Unscorable};
use rollcage_language::Language;
use rollcage_sandbox::SandboxError;
use rollcage_types::{Collect, ExecOutcome, ExecRequest, FileEntry, RelativePath, Termination};

use super::super::engine::Engine;
use super::super::error_chain::error_chain;
use super::super::request::{PROOF_NAME, draw_token};

/// Runs the files its arguments name.
const PROGRAM: &str = include_str!("assert_run.py");

/// Where the program leaves the text of an exception.
const ERROR_NAME: &str = ".rollcage-exception";

/// Sets and dictionaries of strings have the same order in every run, so that an outcome can be had again.
const HASH_SEED: (&str, &str) = ("PYTHONHASHSEED", "0");

/// An assert that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AssertRun {
    /// What is compared.
    pub(super) outcome: AssertOutcome,
    /// Whether it reached its end, or an exception, within the limits.
    pub(super) is_within_limits: bool,
}

/// Runs `definitions` in order and then `check`. Errors of a definition are ignored: what it should have defined is
/// missing, and that is what `check` will find.
pub(super) async fn run_assert(
    engine: &Engine,
    language: &Arc<Language>,
    definitions: &[&str],
    check: &str,
) -> Result<AssertRun, Unscorable> {
    let token = draw_token()?;
    let cages = engine.cages(language).await?;
    let request = request(&cages.workspace_path(), language, definitions, check, &token)?;
    match cages.run(request).await {
        Ok(ran) => assert_run(&ran.outcome, &token),
        // Only the submission is of any size, so it is its own doing.
        Err(error @ SandboxError::FilesTooLarge { .. }) => {
            Ok(AssertRun { outcome: AssertOutcome::Error(error_chain(&error)), is_within_limits: false })
        }
        Err(error) => Err(Unscorable::infrastructure(error_chain(&error), error.is_retryable())),
    }
}

fn request(
    workspace: &str,
    language: &Language,
    definitions: &[&str],
    check: &str,
    token: &str,
) -> Result<ExecRequest, Unscorable> {
    let proof = language.completion_proof.as_ref().ok_or_else(|| {
        let why = format!("language `{}` has no `completion_proof`", language.name);
        Unscorable::infrastructure(why, false)
    })?;
    let epilogue = proof
        .epilogue(&format!("{workspace}/{PROOF_NAME}"), token)
        .expect("the path and a hexadecimal token need no quoting");
    let mut files = vec![language.source_file(format!("{PROGRAM}{epilogue}").into_bytes())];
    let mut arguments = Vec::new();
    for (index, source) in definitions.iter().chain([&check]).enumerate() {
        let name = format!("part-{index}.txt");
        files.push(FileEntry::new(plain_path(&name), source.as_bytes()));
        arguments.push(name);
    }
    let mut request = language.run_request(files);
    request.argv.extend(arguments);
    request.env_vars.push((HASH_SEED.0.to_owned(), HASH_SEED.1.to_owned()));
    request.collect = Collect::Files(vec![plain_path(PROOF_NAME), plain_path(ERROR_NAME)]);
    Ok(request)
}

fn assert_run(outcome: &ExecOutcome, token: &str) -> Result<AssertRun, Unscorable> {
    let file = |name: &str| {
        outcome.files.iter().find(|file| file.path.as_str() == name).map(|file| &file.content[..])
    };
    let error = |text: String| AssertRun { outcome: AssertOutcome::Error(text), is_within_limits: true };
    match outcome.termination {
        Termination::Exited { code: 0 } if file(PROOF_NAME) == Some(token.as_bytes()) => {
            Ok(AssertRun { outcome: AssertOutcome::Output(printed(outcome)), is_within_limits: true })
        }
        Termination::Exited { code: 0 } => Ok(error("it ended before its assert did".to_owned())),
        Termination::Exited { code } => {
            let text = file(ERROR_NAME).map(|text| String::from_utf8_lossy(text).into_owned());
            Ok(error(text.unwrap_or_else(|| format!("it exited with code {code}"))))
        }
        Termination::Signaled { signal } => Ok(error(format!("signal {signal} ended it"))),
        Termination::LimitExceeded(kind) => Ok(AssertRun {
            outcome: AssertOutcome::Error(format!("it exceeded its {} limit", kind.as_str())),
            is_within_limits: false,
        }),
        Termination::Cancelled => {
            Err(Unscorable::infrastructure("a run was cancelled before it ended", true))
        }
    }
}

/// Both streams, white space around each taken off.
fn printed(outcome: &ExecOutcome) -> String {
    let [stdout, stderr] = [&outcome.stdout, &outcome.stderr].map(|stream| stream.to_text());
    match (stdout.trim(), stderr.trim()) {
        (stdout, "") => stdout.to_owned(),
        (stdout, stderr) => format!("{stdout}\n{stderr}"),
    }
}

fn plain_path(name: &str) -> RelativePath {
    RelativePath::new(name).expect("the name is plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_its_reader_agree_on_the_file() {
        assert!(PROGRAM.contains(&format!("os.path.abspath(\"{ERROR_NAME}\")\n")));
    }
}
