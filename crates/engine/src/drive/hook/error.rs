//! What a hook can fail at, said so that its author finds the place: what happened, and the end of its standard error.

use std::sync::Arc;
use std::time::Duration;

use rollcage_api::{HookKind, HookReplyError};
use rollcage_judge::Unscorable;
use rollcage_types::format_duration;

/// What a process of a hook did wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HookFailure {
    /// The program cannot be started.
    #[error("it cannot be started: {0}")]
    Start(Arc<std::io::Error>),
    /// It ended while it was waited for.
    #[error("it {how} {when}")]
    Ended {
        /// As in `exited with code 1`.
        how: String,
        /// Before which line.
        when: Waiting,
    },
    /// It closed its standard output while it was waited for, and went on.
    #[error("it closed its standard output {0}")]
    Closed(Waiting),
    /// It did not answer in time.
    #[error("it did not answer within {}", format_duration(*within))]
    Hung {
        /// The deadline.
        within: Duration,
    },
    /// A line of it has no end.
    #[error("it wrote a line of more than {bytes_max} bytes")]
    LineTooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// It wrote when it had not been asked.
    #[error("it wrote `{line}` without being asked; a hook's standard output is for answers alone")]
    Unasked {
        /// The beginning of what it wrote.
        line: String,
    },
    /// It answered before it had read the request.
    #[error("it answered before it had read the whole request")]
    Early,
    /// Its line is not an answer.
    #[error(transparent)]
    Reply(#[from] HookReplyError),
    /// Its answer has all its fields, and one has a value that cannot be.
    #[error("its answer cannot be used: {0}")]
    Value(String),
    /// What it says of itself cannot be.
    #[error("its description cannot be used: {0}")]
    Description(String),
    /// It was given up.
    #[error("it was given up after {failures} failures in a row; the last: {last}")]
    GivenUp {
        /// How many.
        failures: u32,
        /// The last of them.
        last: String,
    },
}

/// What a process was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Its description of itself, which says that it is ready.
    Start,
    /// An answer.
    Answer,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Start => "before it had described itself",
            Self::Answer => "before it had answered",
        })
    }
}

impl HookFailure {
    /// Whether the process answered, so that it can be asked again.
    pub(super) const fn is_in_step(&self) -> bool {
        match self {
            Self::Reply(error) => error.is_in_step(),
            Self::Value(_) => true,
            Self::Start(_)
            | Self::Ended { .. }
            | Self::Closed(_)
            | Self::Hung { .. }
            | Self::LineTooLong { .. }
            | Self::Unasked { .. }
            | Self::Early
            | Self::Description(_)
            | Self::GivenUp { .. } => false,
        }
    }
}

/// Who is to fear the same failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Whoever asks the same again.
    Request,
    /// Everybody: no process can be started, or the hook was given up.
    Hook,
}

/// A hook failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind} hook `{command}`: {failure}{}", stderr_text(stderr))]
pub struct HookError {
    /// What it is used as.
    pub kind: HookKind,
    /// The program and its arguments.
    pub command: String,
    /// What happened.
    pub failure: HookFailure,
    /// The end of what the process wrote to standard error, for this request or before.
    pub stderr: String,
    pub(super) extent: Extent,
}

impl HookError {
    /// Whether the hook as a whole cannot be used, whatever it is asked.
    pub fn is_of_hook(&self) -> bool {
        self.extent == Extent::Hook
    }

    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match &self.failure {
            HookFailure::Start(_) => "name a program that is there, or in PATH",
            HookFailure::Ended { when: Waiting::Start, .. }
            | HookFailure::Closed(Waiting::Start)
            | HookFailure::Description(_) => {
                "the first line a hook reads asks it to describe itself; docs/hooks.md has an example of each kind"
            }
            HookFailure::Hung { .. } => "give it more time, or flush its standard output after each line",
            HookFailure::Ended { .. }
            | HookFailure::Closed(Waiting::Answer)
            | HookFailure::LineTooLong { .. }
            | HookFailure::Unasked { .. }
            | HookFailure::Early
            | HookFailure::Reply(_)
            | HookFailure::Value(_)
            | HookFailure::GivenUp { .. } => {
                "docs/hooks.md says what a hook may write; messages go to standard error"
            }
        }
    }

    /// No score. The hook is the operator's, so its failure is held against neither the solution nor the problem. Only
    /// a hook that fails at everything may fare better later, when it was mended.
    pub fn to_unscorable(&self) -> Unscorable {
        Unscorable::infrastructure(self.to_string(), self.is_of_hook())
    }
}

fn stderr_text(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!("; its standard error ends with: {text}"),
    }
}
