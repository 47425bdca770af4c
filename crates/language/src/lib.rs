//! A programming language as data: how its programs are compiled, run, tested and carried from turn to turn.
//!
//! A language file is a superset of the Agnostics YAML. This crate parses such files, holds the built-in ones
//! and turns a source text into run requests. It never looks at the host: whether a toolchain is installed is
//! for its callers to find out.
#![forbid(unsafe_code)]

mod command;
mod error;
mod file;
mod imports;
mod language;
mod nearest;
mod prepare;
mod proof;
mod root;
mod scalar;
mod self_test;
mod session;
mod set;
mod test_code;
mod warm;

pub use command::{Command, CommandError};
pub use error::{LanguageError, LanguageSetError, UnknownLanguage};
pub use language::{Container, Install, Language};
pub use nearest::nearest;
pub use prepare::Prepare;
pub use proof::{CompletionProof, ProofError};
pub use root::{Fixup, FixupChange, RootRecipe};
pub use self_test::{Expected, Mismatch, SelfTest, SelfTestRun};
pub use session::{SessionInterrupts, SessionKind, SessionRecipe};
pub use set::LanguageSet;
pub use test_code::{Library, TestCode};
pub use warm::{ForkRecipe, Preload, SpareRecipe, StopAt, Warm};
