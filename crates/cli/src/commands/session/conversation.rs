//! The conversation: what was typed, done; and what came of it, shown.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use rollcage_api::ExitCode;
use rollcage_session::CellEffect;
use rollcage_session::live::{
    ForkWay, Forked, LiveCell, LiveError, LiveOutcome, LiveSession, LiveState, Snapshot,
};
use rollcage_types::{FileEntry, RelativePath, Termination, format_duration};
use serde_json::json;
use tokio::runtime::Runtime;

use super::attention::Attention;
use super::command::{Command, HELP};
use super::reader::{Reader, Typed};
use crate::failure::Failure;
use crate::{output, program_file};

/// A session, and where it can go back to.
struct Branch {
    session: LiveSession,
    /// Before each of its cells.
    history: Vec<Snapshot>,
}

/// A person's sessions, one of which they talk to.
pub(super) struct Conversation {
    branches: Vec<Branch>,
    current: usize,
    as_json: bool,
    attention: Attention,
    /// In which signals are heard.
    _runtime: Runtime,
}

impl Conversation {
    pub(super) fn new(session: LiveSession, as_json: bool, is_terminal: bool) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot wait for signals")
            .map_err(Failure::infrastructure)?;
        let attention = runtime.block_on(async { Attention::pay(is_terminal) });
        let attention = attention.context("cannot listen for signals").map_err(Failure::infrastructure)?;
        let branches = vec![Branch { session, history: Vec::new() }];
        Ok(Self { branches, current: 0, as_json, attention, _runtime: runtime })
    }

    /// Until its end. Says with which code to end: whether the last cell failed, where nobody was there to see it.
    pub(super) fn hold(&mut self, reader: &mut Reader) -> Result<u8, Failure> {
        let mut failed = false;
        loop {
            let number = self.branches[self.current].history.len() + 1;
            let prompt = if self.branches.len() > 1 {
                format!("{}/{number}> ", self.current)
            } else {
                format!("{number}> ")
            };
            let text = match reader.read(&prompt, &self.attention)? {
                Typed::Cell(text) => text,
                Typed::Dropped => continue,
                Typed::End => break,
            };
            let done = match Command::parse(&text) {
                Some(Ok(Command::Quit)) => break,
                Some(Ok(command)) => self.obey(&command),
                Some(Err(message)) if !reader.is_terminal() => {
                    return Err(Failure::bad_input(anyhow::anyhow!("{message}")));
                }
                Some(Err(message)) => Err(anyhow::anyhow!("{message}")),
                None if text.trim().is_empty() => Ok(true),
                None => self.run(&text, reader),
            };
            failed = match done {
                Ok(succeeded) => !succeeded,
                Err(error) if reader.is_terminal() || is_the_programs(&error) => {
                    self.say(&format!("{error:#}"))?;
                    true
                }
                Err(error) => return Err(Failure::infrastructure(error)),
            };
            if self.attention.has_ended() {
                return Ok(ExitCode::Cancelled.number());
            }
        }
        let failed = failed && !reader.is_terminal();
        Ok(if failed { ExitCode::NotAccepted } else { ExitCode::Success }.number())
    }

    /// Tells of something that is no outcome of a cell.
    fn say(&self, what: &str) -> Result<(), Failure> {
        if self.as_json {
            return output::print_json(&json!({"error": what}));
        }
        output::note(what);
        Ok(())
    }

    /// Runs a cell. Ctrl-C interrupts it.
    fn run(&mut self, text: &str, reader: &mut Reader) -> anyhow::Result<bool> {
        let branch = &mut self.branches[self.current];
        let snapshot = branch.session.snapshot()?;
        let session = branch.session.clone();
        let (cell, attention) = (LiveCell::new(text), self.attention.clone());
        let mut answer = |prompt: &str| reader.answer(prompt, &attention);
        let outcome = attention.during(&session, || session.execute(&cell, &mut answer))?;
        if outcome.effect == CellEffect::Kept {
            branch.history.push(snapshot);
        }
        if self.as_json {
            output::print_json(&as_json(&outcome)).map_err(|failure| failure.error)?;
        } else {
            show(&outcome)?;
        }
        if let LiveState::Poisoned(reason) = branch.session.state() {
            output::note(&format!("{reason}; `:restore` brings back what there was before"));
        }
        Ok(outcome.termination.is_success())
    }

    fn obey(&mut self, command: &Command) -> anyhow::Result<bool> {
        let branch = &mut self.branches[self.current];
        match command {
            Command::Help => print(HELP)?,
            Command::Fork(count) => {
                let Forked { sessions: made, way } = branch.session.fork(*count)?;
                let first = self.branches.len();
                self.branches.extend(made.into_iter().map(|session| Branch { session, history: Vec::new() }));
                let last = self.branches.len() - 1;
                if let ForkWay::Replayed { reason } = way {
                    output::note(&format!("replayed, because {reason}"));
                }
                output::note(&format!("branches {first} to {last}; `:switch N` goes on in one"));
            }
            Command::Switch(number) => {
                anyhow::ensure!(*number < self.branches.len(), "there is no branch {number}");
                self.current = *number;
            }
            Command::Rollback(cells) => {
                let to = branch.history.len().checked_sub(*cells).context("there are not that many cells")?;
                if let Some(snapshot) = branch.history.get(to) {
                    branch.session.restore_to(snapshot)?;
                    branch.history.truncate(to);
                }
            }
            Command::Restore => {
                let restored = branch.session.restore()?;
                output::note(&format!("{} cells replayed", restored.cells));
            }
            Command::Files => {
                let lines = branch.session.list_files()?;
                let lines: String =
                    lines.iter().map(|file| format!("{:>10}  {}\n", file.size, file.path)).collect();
                print(&lines)?;
            }
            Command::Get(name, to) => {
                let path = RelativePath::new(name)?;
                let to = to.as_deref().unwrap_or_else(|| Path::new(name.rsplit('/').next().unwrap_or(name)));
                let file = branch.session.get_file(&path)?;
                std::fs::write(to, &file.content)
                    .with_context(|| format!("cannot write `{}`", to.display()))?;
            }
            Command::Put(path) => {
                let content = program_file::read(path, "the file").map_err(|failure| failure.error)?;
                let name = path.file_name().and_then(|name| name.to_str()).context("it has no plain name")?;
                branch.session.put_file(FileEntry::new(RelativePath::new(name)?, content))?;
            }
            Command::Usage => {
                let (time, memory) = (branch.session.time_used()?, branch.session.memory()?);
                print(&format!("{} of processor time, {memory} of memory\n", format_duration(time)))?;
            }
            Command::Quit => {}
        }
        Ok(true)
    }
}

/// Whether it says something about the program or the conversation, and nothing about us.
fn is_the_programs(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<LiveError>() {
        Some(LiveError::Farm(_) | LiveError::Sandbox(_) | LiveError::Store { .. }) => false,
        Some(_) => true,
        // Said by a command: no such branch, no such file.
        None => !error.chain().any(|cause| cause.is::<std::io::Error>()),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    output::print_text(text).map_err(|failure| failure.error)
}

/// As it was written, and a word on what a terminal cannot show.
fn show(outcome: &LiveOutcome) -> anyhow::Result<()> {
    print(&outcome.stdout.to_text())?;
    let errors = outcome.stderr.to_text();
    if !errors.is_empty() {
        // A reader that has gone does not miss it.
        let _closed = std::io::stderr().write_all(crate::visible_text::visible(&errors).as_bytes());
    }
    for display in &outcome.displays {
        let forms = display.bundle.forms().map(|(form, _json)| form);
        for form in forms.filter(|form| form.starts_with("image/")) {
            output::note(&format!("[{form}]"));
        }
    }
    if let Termination::LimitExceeded(limit) = outcome.termination {
        output::note(&format!("interrupted: {} limit", limit.as_str()));
    }
    if let Some(rehydrated) = outcome.rehydrated.as_ref().filter(|rehydrated| !rehydrated.diverged.is_empty())
    {
        output::note(&format!(
            "brought back; cells {:?} said something else than before",
            rehydrated.diverged
        ));
    }
    Ok(())
}

fn as_json(outcome: &LiveOutcome) -> serde_json::Value {
    let (termination, detail) = match outcome.termination {
        Termination::Exited { code } => ("exited", json!(code)),
        Termination::Signaled { signal } => ("signaled", json!(signal)),
        Termination::LimitExceeded(limit) => ("limit_exceeded", json!(limit.as_str())),
        Termination::Cancelled => ("cancelled", json!(null)),
    };
    let displays: Vec<_> = outcome.displays.iter().map(|display| json!(display.bundle)).collect();
    json!({
        "cell": outcome.number,
        "termination": {"kind": termination, "detail": detail},
        "ending": outcome.ending.as_ref().map(ToString::to_string),
        "stdout": outcome.stdout.to_text(),
        "stderr": outcome.stderr.to_text(),
        "displays": displays,
        "kept": outcome.effect == CellEffect::Kept,
        "usage": {
            "cpu_ms": outcome.usage.cpu_time.as_secs_f64() * 1e3,
            "wall_ms": outcome.usage.wall_time.as_secs_f64() * 1e3,
            "output_bytes": outcome.usage.output.as_u64(),
        },
    })
}
