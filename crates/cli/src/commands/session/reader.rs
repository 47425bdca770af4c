//! Where cells come from: a person at a terminal, or standard input.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use anyhow::Context as _;
use rollcage_language::{Language, SessionKind};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper};

use super::attention::Attention;
use super::complete::goes_on;
use crate::cache_directory::cache_directory;
use crate::failure::Failure;
use crate::output;
use crate::visible_text::visible_line;

/// Separates cells on standard input.
const SEPARATOR: &str = "%%";
/// Lines that are remembered.
const HISTORY_MAX: usize = 10_000;
/// Characters of a cell's question.
const PROMPT_MAX: usize = 200;

/// Something that was typed.
pub(super) enum Typed {
    Cell(String),
    /// Ctrl-C: what was typed is dropped.
    Dropped,
    End,
}

/// Reads cells.
pub(super) enum Reader {
    Terminal { editor: Box<Editor<Lines, FileHistory>>, history: PathBuf },
    Given(std::vec::IntoIter<String>),
}

/// Knows where a cell ends.
pub(super) struct Lines(Option<SessionKind>);

impl Validator for Lines {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let goes_on = goes_on(self.0, typed.input());
        Ok(if goes_on { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Lines {
    type Candidate = String;
}
impl Hinter for Lines {
    type Hint = String;
}
impl Highlighter for Lines {}
impl Helper for Lines {}

impl Reader {
    pub(super) fn new(language: &Language) -> Result<Self, Failure> {
        if !std::io::stdin().is_terminal() {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            read.context("cannot read cells from standard input").map_err(Failure::bad_input)?;
            return Ok(Self::Given(cells(&text).into_iter()));
        }
        let failed = |error: ReadlineError| Failure::infrastructure(anyhow::Error::new(error));
        let config = rustyline::Config::builder().max_history_size(HISTORY_MAX).map_err(failed)?.build();
        let mut editor = Editor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Lines(language.session)));
        let history = cache_directory()?.join(format!("history-{}", language.name));
        // There is none before the first time.
        let _none = editor.load_history(&history);
        output::note(&format!("{} in a cage; :help for more, Ctrl-D to end", language.display));
        Ok(Self::Terminal { editor: Box::new(editor), history })
    }

    /// Whether somebody can be asked.
    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    pub(super) fn read(&mut self, prompt: &str, attention: &Attention) -> Result<Typed, Failure> {
        match self {
            Self::Given(cells) => Ok(cells.next().map_or(Typed::End, Typed::Cell)),
            Self::Terminal { editor, .. } => match attention.at_prompt(|| editor.readline(prompt)) {
                Ok(text) => {
                    editor.add_history_entry(text.trim_end()).map_err(lost)?;
                    Ok(Typed::Cell(text))
                }
                Err(ReadlineError::Interrupted) => Ok(Typed::Dropped),
                Err(ReadlineError::Eof) => Ok(Typed::End),
                Err(error) => Err(lost(error)),
            },
        }
    }

    /// Asks a question of a cell's; `None` if there is no answer.
    pub(super) fn answer(&mut self, prompt: &str, attention: &Attention) -> Option<Vec<u8>> {
        match self {
            Self::Given(_) => None,
            Self::Terminal { editor, .. } => {
                let helper = editor.helper_mut().map(|lines| lines.0.take());
                // The program's words, which must not act on the terminal.
                let prompt = visible_line(prompt, PROMPT_MAX);
                let line = attention.at_prompt(|| editor.readline(&prompt)).ok().map(String::into_bytes);
                if let (Some(lines), Some(kind)) = (editor.helper_mut(), helper) {
                    lines.0 = kind;
                }
                line
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Self::Terminal { editor, history } = self
            && let Err(error) = editor.save_history(history)
        {
            tracing::warn!(%error, "the history is not kept");
        }
    }
}

fn lost(error: ReadlineError) -> Failure {
    Failure::infrastructure(anyhow::Error::new(error).context("cannot read from the terminal"))
}

fn cells(text: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_end() == SEPARATOR {
            cells.push(String::new());
        } else if let Some(cell) = cells.last_mut() {
            cell.push_str(line);
        }
    }
    cells.retain(|cell| !cell.trim().is_empty());
    cells
}

#[cfg(test)]
mod tests {
    use super::cells;

    #[test]
    fn cells_are_separated_by_lines_of_their_own() {
        assert_eq!(cells("a\nb\n%%\nc %%\n%%\n\n%%\nd"), ["a\nb\n", "c %%\n", "d"]);
        assert!(cells("").is_empty());
    }
}
