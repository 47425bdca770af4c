//! The `session` section of a language file: how an interpreter carries a conversation.
//!
//! Owns what a recipe says. Leaves speaking with the interpreter to `rollcage-session`.

use std::fmt;

use rollcage_types::RelativePath;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::command::Command;
use crate::scalar::{AbsolutePath, Parsed};

/// Stands for the agent in a command.
const AGENT: &str = "{agent}";

/// A way to carry an interpreter's state from one turn to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// Cells of one Python namespace.
    Python,
    /// Scripts of one bash.
    Bash,
    /// Statements of one connection to an SQLite database.
    Sqlite,
    /// Statements of one connection to a DuckDB database.
    DuckDb,
    /// Statements of one connection to a PostgreSQL server of the session's own.
    PostgreSql,
    /// Whatever the language file's own agent makes of it.
    Recipe,
}

/// How an interpreter is made to carry a conversation by an agent in its own language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecipe {
    /// The agent's text.
    pub agent: String,
    /// The command line, in which [`SessionRecipe::argv`] puts the agent in its place.
    command: Command,
    /// The file that the agent is put into, if it is not an argument.
    pub file: Option<RelativePath>,
    /// Whether one interpreter is started and copied for each session.
    pub is_copied: bool,
    /// The executable that is copied, where the command starts another.
    pub executable: Option<String>,
    /// Who hears an interrupt.
    pub interrupts: SessionInterrupts,
}

/// Who hears an interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionInterrupts {
    /// The interpreter alone.
    #[default]
    Interpreter,
    /// Every process of the session.
    Everything,
}

impl SessionRecipe {
    /// The command line with the agent, or its file, in place.
    pub fn argv(&self) -> Vec<String> {
        let place = self.file.as_ref().map_or(self.agent.as_str(), RelativePath::as_str);
        self.command
            .argv
            .iter()
            .map(|word| if word == AGENT { place.to_owned() } else { word.clone() })
            .collect()
    }
}

/// A word, or a map.
pub(crate) struct SessionValue(pub(crate) SessionKind, pub(crate) Option<SessionRecipe>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionFields {
    command: Parsed<Command>,
    agent: String,
    file: Option<Parsed<RelativePath>>,
    copies: Option<bool>,
    executable: Option<Parsed<AbsolutePath>>,
    #[serde(default)]
    interrupts: SessionInterrupts,
}

impl<'de> Deserialize<'de> for SessionValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SessionVisitor)
    }
}

struct SessionVisitor;

impl<'de> Visitor<'de> for SessionVisitor {
    type Value = SessionValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`python`, `bash`, `sqlite`, `duckdb`, `postgresql`, or a map with `command` and `agent`")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<SessionValue, E> {
        let kind = match word {
            "python" => SessionKind::Python,
            "bash" => SessionKind::Bash,
            "sqlite" => SessionKind::Sqlite,
            "duckdb" => SessionKind::DuckDb,
            "postgresql" => SessionKind::PostgreSql,
            other => {
                return Err(E::unknown_variant(other, &["python", "bash", "sqlite", "duckdb", "postgresql"]));
            }
        };
        Ok(SessionValue(kind, None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SessionValue, A::Error> {
        let fields = SessionFields::deserialize(MapAccessDeserializer::new(map))?;
        let (command, file) = (fields.command.value(), fields.file.map(Parsed::value));
        if !command.argv.iter().any(|word| word == AGENT) {
            return Err(A::Error::custom("the command of a session has no word `{agent}`"));
        }
        if file.is_some() && fields.copies == Some(true) {
            return Err(A::Error::custom("an agent in a file is executed, and cannot be copied"));
        }
        let recipe = SessionRecipe {
            agent: fields.agent,
            command,
            is_copied: fields.copies.unwrap_or(file.is_none()),
            file,
            executable: fields.executable.map(|Parsed(path)| path.0),
            interrupts: fields.interrupts,
        };
        Ok(SessionValue(SessionKind::Recipe, Some(recipe)))
    }
}
