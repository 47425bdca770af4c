//! What a foreign request asks for, and what came of it, in words that the dialects share.

use std::sync::Arc;
use std::time::Duration;

use rollcage_types::{ExecOutcome, FileEntry, LimitOverrides, RelativePath};

/// A program to run, compiled first where its language compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Our name of the language.
    pub language: String,
    /// The program's source.
    pub code: Arc<[u8]>,
    /// Standard input.
    pub stdin: Arc<[u8]>,
    /// Files placed beside the program, before it is compiled.
    pub files: Vec<FileEntry>,
    /// Limits of the run that differ from the language's.
    pub limits: LimitOverrides,
    /// Limits of compiling that differ from the language's.
    pub compile_limits: LimitOverrides,
    /// Files to read back.
    pub collect: Vec<RelativePath>,
}

/// How far a program got.
#[derive(Clone, Copy, Debug)]
pub enum Executed<'a> {
    /// The compiler failed, or was ended.
    CompileFailed(&'a ExecOutcome),
    /// It ran.
    Ran {
        /// Compiling it, in a language that does.
        compile: Option<&'a ExecOutcome>,
        /// The run.
        run: &'a ExecOutcome,
    },
}

/// The dialects limit time on the clock only. A program may keep this many processors busy all that time before our
/// limit on processor time, which always exists, ends it.
const PROCESSORS_MAX: u32 = 16;

/// Limits that leave a program `wall_time` on the clock.
pub(super) fn clock_only(wall_time: Duration) -> LimitOverrides {
    LimitOverrides {
        wall_time: Some(wall_time),
        cpu_time: Some(wall_time.saturating_mul(PROCESSORS_MAX)),
        ..LimitOverrides::default()
    }
}
