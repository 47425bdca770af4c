//! The programs of ours that run cells inside a session's interpreter, and what is said to them.

use std::borrow::Cow;
use std::time::Duration;

use rollcage_language::{Language, SessionInterrupts, SessionKind};
use rollcage_sandbox::{ForkPoint, ForkServerSpec, Interrupts};
use rollcage_types::{ByteSize, FileEntry, Limits, RelativePath};

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

/// What runs in a session of which no cell is the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tasks {
    /// The interpreter, which has one thread and can be copied.
    One,
    /// A runtime with threads of its own.
    Threads,
    /// A server, which makes processes as it likes.
    Server,
}

/// An agent.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    argv: Vec<String>,
    /// Where it is no argument.
    file: Option<FileEntry>,
    /// Of one task one interpreter is copied for each session.
    pub(super) tasks: Tasks,
    executable: Option<String>,
    /// Who hears an interrupt.
    pub(super) interrupts: Interrupts,
    /// A shell's variables hold no NULs: it would wait for what comes in their stead.
    holds_nuls: bool,
}

const PYTHON: &str = concat!(
    include_str!("../seeding.py"),
    include_str!("../agents/common.py"),
    include_str!("../agents/python.py")
);
const BASH: &str = concat!(
    include_str!("../agents/bash.sh"),
    include_str!("../bash_trap.sh"),
    // What is evaluated again after each exit.
    "IFS= builtin read -r -d '' __rollcage_code <<'__rollcage_end'\n",
    include_str!("../bash_exits.sh"),
    include_str!("../agents/bash_cells.sh")
);

macro_rules! of_database {
    ($agent:literal) => {
        concat!(
            include_str!("../agents/common.py"),
            include_str!("../agents/database.py"),
            include_str!(concat!("../agents/", $agent))
        )
    };
}

/// What interpreters take a text as their program after.
const OPTION: &str = "-c";

impl Agent {
    /// The agent of sessions in `language`.
    pub(super) fn of(language: &Language) -> Result<Self, FarmError> {
        let own = |argv: Vec<String>, interrupts| {
            let executable = language.fork_recipe().and_then(|recipe| recipe.executable.clone());
            Self { argv, file: None, tasks: Tasks::One, executable, interrupts, holds_nuls: true }
        };
        // In the host's Python, whatever the language is run by.
        let of_database = |agent: &str, tasks| {
            let argv = ["python3", "-B", OPTION, agent].map(str::to_owned).to_vec();
            Self { tasks, executable: None, ..own(argv, Interrupts::Interpreter) }
        };
        Ok(match (language.session, &language.session_recipe) {
            (Some(SessionKind::Python), _) => {
                own(instead_of_source(language, PYTHON), Interrupts::Interpreter)
            }
            // Children in the foreground first of all, for which bash waits.
            (Some(SessionKind::Bash), _) => {
                Self { holds_nuls: false, ..own(instead_of_source(language, BASH), Interrupts::Everything) }
            }
            (Some(SessionKind::Sqlite), _) => of_database(of_database!("sqlite.py"), Tasks::One),
            // Its library has a thread as soon as it is loaded.
            (Some(SessionKind::DuckDb), _) => of_database(of_database!("duckdb.py"), Tasks::Threads),
            (Some(SessionKind::PostgreSql), _) => of_database(of_database!("postgresql.py"), Tasks::Server),
            (Some(SessionKind::Recipe), Some(recipe)) => Self {
                argv: recipe.argv(),
                file: recipe.file.clone().map(|path| FileEntry::new(path, recipe.agent.as_bytes())),
                tasks: if recipe.is_copied { Tasks::One } else { Tasks::Threads },
                executable: recipe.executable.clone(),
                interrupts: match recipe.interrupts {
                    SessionInterrupts::Interpreter => Interrupts::Interpreter,
                    SessionInterrupts::Everything => Interrupts::Everything,
                },
                holds_nuls: true,
            },
            (Some(SessionKind::Recipe) | None, _) => {
                return Err(FarmError::NoAgent { language: language.name.clone() });
            }
        })
    }

    /// Its command line.
    pub(super) fn argv(&self) -> Vec<String> {
        self.argv.clone()
    }

    /// The file that it is in, if it is in one.
    pub(super) const fn file(&self) -> Option<&FileEntry> {
        self.file.as_ref()
    }

    /// The variables that cells see.
    pub(super) fn env_vars(&self, language: &Language) -> Vec<(String, String)> {
        let mut variables = language.env_vars.clone();
        // What Python runs, but a recipe's own.
        if !matches!(language.session, Some(SessionKind::Bash | SessionKind::Recipe) | None) {
            variables.retain(|(name, _)| name != HASH_SEED.0);
            variables.push((HASH_SEED.0.to_owned(), HASH_SEED.1.to_owned()));
        }
        variables
    }

    /// How its interpreter becomes one that is copied.
    pub(super) fn fork_server(
        &self,
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
            argv: self.argv(),
            env_vars: self.env_vars(language),
            // Those of the recipe are for another fork point.
            start_vars: Vec::new(),
            program: RelativePath::new("session").expect("a plain name"),
            point: ForkPoint::Path(FORK_POINT.to_owned()),
            passes: 0,
            stop: rollcage_sandbox::Stop::Open,
            not_with: Vec::new(),
            executable: self.executable.clone(),
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
    pub(super) fn cell(&self, number: u32, source: &[u8], stdin: &[u8]) -> Vec<u8> {
        let (source, stdin) = match self.holds_nuls {
            true => (Cow::Borrowed(source), Cow::Borrowed(stdin)),
            false => (Cow::Owned(without_nuls(source)), Cow::Owned(escaped(stdin))),
        };
        let mut order = format!("cell {number} {} {}\n", source.len(), stdin.len()).into_bytes();
        order.extend_from_slice(&source);
        order.extend_from_slice(&stdin);
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

/// As a shell reads a script.
fn without_nuls(source: &[u8]) -> Vec<u8> {
    source.iter().copied().filter(|byte| *byte != 0).collect()
}

/// For `printf %b` of bash(1).
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            0 => out.extend_from_slice(b"\\0000"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            _ => out.push(*byte),
        }
    }
    out
}

/// The language's command, with the agent instead of a source file.
fn instead_of_source(language: &Language, agent: &str) -> Vec<String> {
    let source = language.filename.as_str();
    let placed = |argument: &String| match argument == source {
        true => vec![OPTION.to_owned(), agent.to_owned()],
        false => vec![argument.clone()],
    };
    language.run_command().argv.iter().flat_map(placed).collect()
}
