//! How a program's end looks to whoever expects what Python's `subprocess` tells of one.
//!
//! Owns the only place where each of our terminations becomes a return code. The dialects have a word for time and none
//! for other limits: there a program is killed by the kernel, without a word. It is told like that here, with a line
//! on standard error that names the limit, because a model that reads "-9" learns nothing.

use rollcage_types::{Captured, ExecOutcome, LimitKind, Termination};

/// A run that was cancelled: its end says nothing about the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run was cancelled")]
pub struct Cancelled;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With this code; a signal is its number below zero.
    Returned(i32),
    /// Its time was over.
    OutOfTime,
}

/// What programs that the kernel kills for memory end with.
const SIGKILL: i32 = 9;

impl End {
    /// How `termination` looks.
    pub(super) const fn of(termination: Termination) -> Result<Self, Cancelled> {
        match termination {
            // Not `From`, which is not const.
            Termination::Exited { code } => Ok(Self::Returned(code as i32)),
            Termination::Signaled { signal } => Ok(Self::Returned(-signal)),
            Termination::LimitExceeded(LimitKind::CpuTime | LimitKind::WallTime | LimitKind::IdleTime) => {
                Ok(Self::OutOfTime)
            }
            Termination::LimitExceeded(
                LimitKind::Memory
                | LimitKind::Output
                | LimitKind::Processes
                | LimitKind::FileSize
                | LimitKind::DiskSpace,
            ) => Ok(Self::Returned(-SIGKILL)),
            Termination::Cancelled => Err(Cancelled),
        }
    }
}

/// Standard output as text.
pub(super) fn stdout(outcome: &ExecOutcome) -> String {
    outcome.stdout.to_text()
}

/// Standard error as text, and a line that names the limit where a return code alone would hide it.
pub(super) fn stderr(outcome: &ExecOutcome, text: impl FnOnce(&Captured) -> String) -> String {
    let mut text = text(&outcome.stderr);
    if let Some(what) = hidden_limit(outcome.termination) {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str("rollcage: killed: ");
        text.push_str(what);
        text.push('\n');
    }
    text
}

/// What a limit says that the dialects have no word for.
const fn hidden_limit(termination: Termination) -> Option<&'static str> {
    match termination {
        Termination::LimitExceeded(kind) => match kind {
            LimitKind::CpuTime | LimitKind::WallTime | LimitKind::IdleTime => None,
            LimitKind::Memory => Some("it used more memory than its limit (memory)"),
            LimitKind::Output => Some("it wrote more output than its limit (output)"),
            LimitKind::Processes => Some("it had more processes than its limit (processes)"),
            LimitKind::FileSize => Some("it made a file larger than its limit (file_size)"),
            LimitKind::DiskSpace => Some("its files took more space than their limit (disk_space)"),
        },
        Termination::Exited { .. } | Termination::Signaled { .. } | Termination::Cancelled => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_code() {
        for (termination, expected) in [
            (Termination::Exited { code: 0 }, Ok(End::Returned(0))),
            (Termination::Exited { code: 255 }, Ok(End::Returned(255))),
            (Termination::Signaled { signal: 11 }, Ok(End::Returned(-11))),
            (Termination::Cancelled, Err(Cancelled)),
        ] {
            assert_eq!(End::of(termination), expected);
        }
        for kind in LimitKind::ALL {
            let termination = Termination::LimitExceeded(kind);
            let expected = if termination.is_out_of_time() { End::OutOfTime } else { End::Returned(-9) };
            assert_eq!(End::of(termination), Ok(expected), "{kind:?}");
            let named = hidden_limit(termination).is_some_and(|what| what.contains(kind.as_str()));
            assert_eq!(named, !termination.is_out_of_time(), "{kind:?}");
        }
    }
}
