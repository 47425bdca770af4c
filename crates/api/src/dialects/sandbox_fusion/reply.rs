//! The reply of `/run_code`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rollcage_types::{Captured, ExecOutcome, RelativePath};
use serde::Serialize;

use crate::dialects::order::Executed;
use crate::dialects::told::{self, Cancelled, End};

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunCodeReply {
    /// Whether every step returned 0.
    pub status: RunStatus,
    /// Said of failures of the server's, and so never here.
    pub message: &'static str,
    /// The compiler, in a language that compiles.
    pub compile_result: Option<CommandResult>,
    /// The program, if it compiled.
    pub run_result: Option<CommandResult>,
    /// The original's pod; we have none.
    pub executor_pod_name: Option<String>,
    /// The base64 of the files asked for that there were, by the name they were asked for.
    pub files: BTreeMap<String, String>,
}

/// Whether every step returned 0. The original has a third, `SandboxError`, at which clients send the request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RunStatus {
    /// It did.
    Success,
    /// It did not.
    Failed,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandResult {
    /// Whether it ended by itself.
    pub status: CommandStatus,
    /// Seconds on the clock.
    pub execution_time: f64,
    /// Seconds of processor time, of all its processes. Newer clients read it, older ones ignore it.
    pub cpu_time: f64,
    /// Its exit code, or its signal below zero; none where its time was over.
    pub return_code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote, and which limit ended it, if one other than time did.
    pub stderr: String,
}

/// Whether a step ended by itself. The original has a third, `Error`, which makes a `SandboxError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum CommandStatus {
    /// It did, or was killed.
    Finished,
    /// Its time was over.
    TimeLimitExceeded,
}

/// What a request is answered with that was not done, in the form the original has for exceptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureReply {
    /// What went wrong.
    pub detail: String,
}

impl RunCodeReply {
    /// The reply to a request that asked for the files `fetched`.
    pub fn new(fetched: &[(String, RelativePath)], executed: Executed<'_>) -> Result<Self, Cancelled> {
        let (compile, run) = match executed {
            Executed::CompileFailed(compile) => (Some(compile), None),
            Executed::Ran { compile, run } => (compile, Some(run)),
        };
        let compile_result = compile.map(CommandResult::new).transpose()?;
        let run_result = run.map(CommandResult::new).transpose()?;
        let failed = |step: &Option<CommandResult>| step.as_ref().is_some_and(|step| !step.is_success());
        let status = if failed(&compile_result) || failed(&run_result) {
            RunStatus::Failed
        } else {
            RunStatus::Success
        };
        let collected = run.map_or(&[][..], |run| &run.files);
        let file = |(name, path): &(String, _)| {
            let file = collected.iter().find(|file| file.path == *path)?;
            Some((name.clone(), STANDARD.encode(&file.content)))
        };
        Ok(Self {
            status,
            message: "",
            compile_result,
            run_result,
            executor_pod_name: None,
            files: fetched.iter().filter_map(file).collect(),
        })
    }
}

impl CommandResult {
    fn new(outcome: &ExecOutcome) -> Result<Self, Cancelled> {
        let (status, return_code) = match End::of(outcome.termination)? {
            End::Returned(code) => (CommandStatus::Finished, Some(code)),
            End::OutOfTime => (CommandStatus::TimeLimitExceeded, None),
        };
        Ok(Self {
            status,
            execution_time: outcome.usage.wall_time.as_secs_f64(),
            cpu_time: outcome.usage.cpu_time.as_secs_f64(),
            return_code,
            stdout: told::stdout(outcome),
            stderr: told::stderr(outcome, Captured::to_text),
        })
    }

    fn is_success(&self) -> bool {
        self.return_code == Some(0)
    }
}
