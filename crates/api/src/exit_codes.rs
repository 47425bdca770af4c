//! Exit codes of the command line.
//!
//! `rollcage run` passes the program's own code through, so a code is only ours for certain when the program
//! cannot have chosen it; `--json` tells the two apart. Codes 124 to 127 and from 128 on belong to `timeout`
//! and to shells, and are left to them.

use rollcage_types::{LimitKind, Termination};

/// Why a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// 0: it did what was asked, and everything judged was accepted.
    Success,
    /// 1: something was judged and not accepted, or a check of ours does not hold.
    NotAccepted,
    /// 2: the command line is wrong.
    Usage,
    /// 101 to 108: a limit ended the program, in the order of [`LimitKind::ALL`].
    Limit(LimitKind),
    /// 109: a signal ended the program.
    Signaled,
    /// 110: the run was cancelled.
    Cancelled,
    /// 111: a file or a row given to us is wrong.
    BadInput,
    /// 112: a compiler or an interpreter is missing.
    MissingToolchain,
    /// 113: we failed, or the host lacks what a cage needs.
    Infrastructure,
    /// 114: the policy's server failed.
    PolicyServer,
    /// 115: the store failed.
    Store,
}

impl ExitCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Success,
        Self::NotAccepted,
        Self::Usage,
        Self::Limit(LimitKind::CpuTime),
        Self::Limit(LimitKind::WallTime),
        Self::Limit(LimitKind::IdleTime),
        Self::Limit(LimitKind::Memory),
        Self::Limit(LimitKind::Output),
        Self::Limit(LimitKind::Processes),
        Self::Limit(LimitKind::FileSize),
        Self::Limit(LimitKind::DiskSpace),
        Self::Signaled,
        Self::Cancelled,
        Self::BadInput,
        Self::MissingToolchain,
        Self::Infrastructure,
        Self::PolicyServer,
        Self::Store,
    ];

    /// The number given to the operating system. Never changes once released.
    pub const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NotAccepted => 1,
            Self::Usage => 2,
            Self::Limit(kind) => match kind {
                LimitKind::CpuTime => 101,
                LimitKind::WallTime => 102,
                LimitKind::IdleTime => 103,
                LimitKind::Memory => 104,
                LimitKind::Output => 105,
                LimitKind::Processes => 106,
                LimitKind::FileSize => 107,
                LimitKind::DiskSpace => 108,
            },
            Self::Signaled => 109,
            Self::Cancelled => 110,
            Self::BadInput => 111,
            Self::MissingToolchain => 112,
            Self::Infrastructure => 113,
            Self::PolicyServer => 114,
            Self::Store => 115,
        }
    }

    /// What the code means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done, and everything judged was accepted",
            Self::NotAccepted => "judged and not accepted, or a check does not hold",
            Self::Usage => "wrong command line",
            Self::Limit(kind) => match kind {
                LimitKind::CpuTime => "the program exceeded its cpu_time limit",
                LimitKind::WallTime => "the program exceeded its wall_time limit",
                LimitKind::IdleTime => "the program exceeded its idle_time limit",
                LimitKind::Memory => "the program exceeded its memory limit",
                LimitKind::Output => "the program exceeded its output limit",
                LimitKind::Processes => "the program exceeded its processes limit",
                LimitKind::FileSize => "the program exceeded its file_size limit",
                LimitKind::DiskSpace => "the program exceeded its disk limit",
            },
            Self::Signaled => "a signal ended the program",
            Self::Cancelled => "cancelled",
            Self::BadInput => "a file or a row is wrong",
            Self::MissingToolchain => "a compiler or an interpreter is missing",
            Self::Infrastructure => "we failed, or the host lacks what a cage needs",
            Self::PolicyServer => "the policy's server failed",
            Self::Store => "the store failed",
        }
    }
}

/// The code `rollcage run` ends with: the program's own if it exited.
pub const fn run_exit_code(termination: Termination) -> u8 {
    match termination {
        Termination::Exited { code } => code,
        Termination::Signaled { .. } => ExitCode::Signaled.number(),
        Termination::LimitExceeded(kind) => ExitCode::Limit(kind).number(),
        Termination::Cancelled => ExitCode::Cancelled.number(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_stay_clear_of_the_shells() {
        let numbers = ExitCode::ALL.map(ExitCode::number);
        assert!(numbers.is_sorted_by(|a, b| a < b));
        assert!(numbers.iter().all(|number| *number <= 2 || (101..=123).contains(number)));
        let limits = LimitKind::ALL.map(|kind| ExitCode::Limit(kind).number());
        assert_eq!(limits, [101, 102, 103, 104, 105, 106, 107, 108]);
    }

    #[test]
    fn a_programs_own_code_passes_through() {
        for (termination, code) in [
            (Termination::Exited { code: 7 }, 7),
            (Termination::Exited { code: 0 }, 0),
            (Termination::Signaled { signal: 11 }, 109),
            (Termination::LimitExceeded(LimitKind::Memory), 104),
            (Termination::Cancelled, 110),
        ] {
            assert_eq!(run_exit_code(termination), code, "{termination:?}");
        }
    }
}
