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
        write!(f, ": {}", self.problem)
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
    #[error("`{first}` and `{second}` both define the language or alias `{word}`")]
    Clash {
        /// What both claim.
        word: String,
        /// The file that came first.
        first: String,
        /// The file that came second.
        second: String,
    },
}

impl LanguageSetError {
    /// What would mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint.clone(),
            Self::Clash { .. } => Some("give one of them another `name`, or drop the alias".to_owned()),
        }
    }
}

/// Nobody defines this language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no language is called `{word}`")]
pub struct UnknownLanguage {
    /// What was asked for.
    pub word: String,
    /// The name or alias it was most likely meant to be.
    pub suggestion: Option<String>,
    /// Every name there is.
    pub known: Vec<String>,
}

impl UnknownLanguage {
    /// What was meant, as far as that can be guessed, and what there is.
    pub fn hint(&self) -> String {
        let meant = self.suggestion.as_ref().map(|word| format!("did you mean `{word}`? "));
        format!("{}known languages are {}", meant.unwrap_or_default(), self.known.join(", "))
    }
}
