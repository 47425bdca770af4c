//! Scalars of a language file, each read into a type that cannot be wrong.

use std::str::FromStr;
use std::time::Duration;

use rollcage_types::{ByteSize, RelativePath, parse_duration};
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::command::Command;
use crate::proof::CompletionProof;
use crate::self_test::Expected;

/// A scalar that becomes its final type while it is read.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Parsed<T>(pub(crate) T);

impl<T> Parsed<T> {
    pub(crate) fn value(self) -> T {
        self.0
    }
}

/// Reads a value from a scalar. A trait of our own, because some of the types are not ours.
pub(crate) trait FromScalar: Sized {
    fn from_scalar(text: &str) -> Result<Self, String>;
}

impl<'de, T: FromScalar> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::from_scalar(&text).map(Self).map_err(D::Error::custom)
    }
}

impl FromScalar for RelativePath {
    fn from_scalar(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }
}

impl FromScalar for Command {
    fn from_scalar(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl FromScalar for ByteSize {
    fn from_scalar(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: rollcage_types::UnitError| error.to_string())
    }
}

impl FromScalar for Duration {
    fn from_scalar(text: &str) -> Result<Self, String> {
        parse_duration(text).map_err(|error| error.to_string())
    }
}

impl FromScalar for CompletionProof {
    fn from_scalar(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }
}

impl FromScalar for Expected {
    fn from_scalar(text: &str) -> Result<Self, String> {
        match text {
            "compile_error" => Ok(Self::CompileError),
            "runtime_error" => Ok(Self::RuntimeError),
            "time_limit" => Ok(Self::TimeLimit),
            "memory_limit" => Ok(Self::MemoryLimit),
            _ => text.parse().map(Self::ExitCode).map_err(|_error| {
                format!(
                    "`{text}` is not an exit code from 0 to 255, `compile_error`, `runtime_error`, \
                     `time_limit` or `memory_limit`"
                )
            }),
        }
    }
}

/// Text that is not empty.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Words(pub(crate) String);

impl FromScalar for Words {
    fn from_scalar(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the text is empty".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A path that starts with `/`.
pub(crate) struct AbsolutePath(pub(crate) String);

impl FromScalar for AbsolutePath {
    fn from_scalar(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') || text.contains('\0') {
            return Err(format!("`{text}` is not an absolute path"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A language's name or alias, or a program's.
pub(crate) struct Name(pub(crate) String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_alphanumeric() || "+#._-".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return Err(format!("`{text}` is not a name of letters, digits, `+`, `#`, `.`, `_` and `-`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromScalar for Name {
    fn from_scalar(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

/// An environment variable's name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VariableName(pub(crate) String);

impl FromScalar for VariableName {
    fn from_scalar(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(fits) {
            return Err(format!("`{text}` cannot name an environment variable"));
        }
        Ok(Self(text.to_owned()))
    }
}
