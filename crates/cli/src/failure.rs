//! A command that could not do what was asked: the exit code, the cause, and what would help.

use std::fmt::Display;
use std::io::Write as _;

use rollcage_api::ExitCode;

use crate::visible_text::visible;

/// Why a command failed. Printed once, by `main`.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code to end with.
    pub(crate) code: ExitCode,
    /// The cause, with its own causes.
    pub(crate) error: anyhow::Error,
    /// What would help, where something does.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure with the given code.
    pub(crate) fn new(code: ExitCode, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into(), hint: None }
    }

    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(ExitCode::Usage, anyhow::anyhow!("{message}"))
    }

    /// A file given to us cannot be read or is wrong.
    pub(crate) fn bad_input(error: impl Into<anyhow::Error>) -> Self {
        Self::new(ExitCode::BadInput, error)
    }

    /// We could not do our job.
    pub(crate) fn infrastructure(error: impl Into<anyhow::Error>) -> Self {
        Self::new(ExitCode::Infrastructure, error)
    }

    /// The same failure with advice.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Prints the whole chain of causes in one line, then the advice.
    pub(crate) fn print(&self) {
        let mut text = format!("error: {:#}\n", self.error);
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\nhint: {hint}\n"));
        }
        // Causes quote files, servers and programs. Nobody is left to tell if standard error is closed; the exit code
        // still says it.
        let _closed = std::io::stderr().lock().write_all(visible(&text).as_bytes());
    }
}
