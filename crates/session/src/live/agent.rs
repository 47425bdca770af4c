//! The programs of ours that run cells inside a session's interpreter, and what is said to them.

use rollcage_language::{Language, SessionKind};
use rollcage_sandbox::{ForkPoint, ForkServerSpec, Interrupts};
use rollcage_types::{ByteSize, Limits, RelativePath};
use std::time::Duration;

use crate::live::error::FarmError;
use crate::report::Ending;

/// Where agents stop to be copied: a file that is never there.
const FORK_POINT: &str = "/rollcage/session";
/// Loading libraries takes a second; a busy machine takes longer.
const START_TIME: Duration = Duration::from_secs(60);
/// Memory of an interpreter that waits, where its language does not say.
const MEMORY: ByteSize = ByteSize::gib(1);
/// String hashes, which decide the order of sets, must be those of the session's next interpreter too.
const HASH_SEED: (&str, &str) = ("PYTHONHASHSEED", "0");

/// What comes behind a preload of Python.
const EXERCISE: &str = include_str!("../agents/exercise.py");

/// An agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agent {
    source: &'static str,
    /// What it is given to, where that is not the language's own command.
    command: Option<&'static [&'static str]>,
    /// Who hears an interrupt.
    pub(super) interrupts: Interrupts,
}

const PYTHON: Agent = Agent {
    source: concat!(include_str!("../agents/common.py"), include_str!("../agents/python.py")),
    command: None,
    interrupts: Interrupts::Interpreter,
};

const BASH: Agent = Agent {
    source: include_str!("../agents/bash.sh"),
    command: None,
    // Children in the foreground first of all, for which bash waits.
    interrupts: Interrupts::Everything,
};

const SQLITE: Agent = Agent {
    source: concat!(include_str!("../agents/common.py"), include_str!("../agents/sqlite.py")),
    command: Some(&["python3", "-B"]),
    interrupts: Interrupts::Interpreter,
};

impl Agent {
    /// The agent of sessions in `language`.
    pub(super) fn of(language: &Language) -> Result<Self, FarmError> {
        match language.session {
            Some(SessionKind::Python) => Ok(PYTHON),
            Some(SessionKind::Bash) => Ok(BASH),
            Some(SessionKind::Sqlite) => Ok(SQLITE),
            None => Err(FarmError::NoAgent { language: language.name.clone() }),
        }
    }

    /// The language's command, with the agent instead of a source file.
    pub(super) fn argv(self, language: &Language) -> Vec<String> {
        /// What interpreters take a text as their program after.
        const OPTION: &str = "-c";
        let own = || [OPTION.to_owned(), self.source.to_owned()];
        if let Some(command) = self.command {
            return command.iter().map(|word| (*word).to_owned()).chain(own()).collect();
        }
        let source = language.filename.as_str();
        let placed = |argument: &String| match argument == source {
            true => own().to_vec(),
            false => vec![argument.clone()],
        };
        language.run_command().argv.iter().flat_map(placed).collect()
    }

    /// The variables that cells see.
    pub(super) fn env_vars(self, language: &Language) -> Vec<(String, String)> {
        let mut variables = language.env_vars.clone();
        if matches!(language.session, Some(SessionKind::Python | SessionKind::Sqlite)) {
            variables.retain(|(name, _)| name != HASH_SEED.0);
            variables.push((HASH_SEED.0.to_owned(), HASH_SEED.1.to_owned()));
        }
        variables
    }

    /// How its interpreter becomes one that is copied.
    pub(super) fn fork_server(
        self,
        language: &Language,
        preload: Option<&str>,
        limits: &Limits,
    ) -> Result<ForkServerSpec, FarmError> {
        let recipe = language.fork_recipe();
        let preload = match preload {
            None => None,
            Some(name) => {
                let known = recipe.and_then(|recipe| recipe.preloads.iter().find(|known| known.name == name));
                Some(known.ok_or_else(|| FarmError::NoPreload {
                    language: language.name.clone(),
                    preload: name.to_owned(),
                })?)
            }
        };
        Ok(ForkServerSpec {
            argv: self.argv(language),
            env_vars: self.env_vars(language),
            start_vars: recipe.map(|recipe| recipe.start_vars.clone()).unwrap_or_default(),
            program: RelativePath::new("session").expect("a plain name"),
            point: ForkPoint::Path(FORK_POINT.to_owned()),
            passes: 0,
            stop: rollcage_sandbox::Stop::Open,
            not_with: Vec::new(),
            executable: recipe.and_then(|recipe| recipe.executable.clone()),
            preload: preload.map(|preload| format!("{}\n{EXERCISE}", preload.code)),
            limits: Limits { stack: limits.stack, ..Limits::default() },
            memory: recipe.map_or(MEMORY, |recipe| recipe.memory),
            start_time: START_TIME,
            branches: true,
        })
    }

    /// What it is sent first.
    pub(super) fn greeting(seed: u32, asks: bool) -> Vec<u8> {
        format!("session {seed} {}\n", if asks { "asks" } else { "refuses" }).into_bytes()
    }

    /// A cell, as it is sent.
    pub(super) fn cell(number: u32, source: &[u8], stdin: &[u8]) -> Vec<u8> {
        let mut order = format!("cell {number} {} {}\n", source.len(), stdin.len()).into_bytes();
        order.extend_from_slice(source);
        order.extend_from_slice(stdin);
        order
    }

    /// An answer to a question, as it is sent; `None` for a refusal.
    pub(super) fn answer(line: Option<&[u8]>) -> Vec<u8> {
        match line {
            None => b"refuse 0\n".to_vec(),
            Some(line) => [format!("answer {}\n", line.len()).as_bytes(), line].concat(),
        }
    }

    /// How it says that a cell ended. What makes no sense says nothing.
    pub(super) fn ending(content: &[u8]) -> Option<Ending> {
        Ending::parse(std::str::from_utf8(content).ok()?)
    }
}
