//! What can be wrong with a language file, told so that its author can mend it.

use std::fmt;

/// A language file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageError {
    /// The file, as its reader named it.
    pub path: String,
    /// Line and column, counted from 1, where they are known.
    pub position: Option<(u64, u64)>,
    /// What is wrong.
    pub problem: String,
    /// What would mend it.
    pub hint: Option<String>,
}

impl fmt::Display for LanguageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LanguageError {}

/// Why files could not be added to a set of languages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LanguageSetError {
    /// A file is wrong by itself.
    #[error(transparent)]
    File(#[from] LanguageError),
    /// Two files claim one name or alias.
    #[error(
        "`{first}` and `{second}` both define the language or alias `{word}`\nhint: give one of them another `name`, or drop the alias"
    )]
    Clash {
        /// What both claim.
        word: String,
        /// The file that came first.
        first: String,
        /// The file that came second.
        second: String,
    },
}

/// Nobody defines this language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLanguage {
    /// What was asked for.
    pub word: String,
    /// The name or alias it was most likely meant to be.
    pub suggestion: Option<String>,
    /// Every name there is.
    pub known: Vec<String>,
}

impl fmt::Display for UnknownLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no language is called `{}`\nhint: ", self.word)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "did you mean `{suggestion}`? ")?;
        }
        write!(f, "known languages are {}", self.known.join(", "))
    }
}

impl std::error::Error for UnknownLanguage {}
