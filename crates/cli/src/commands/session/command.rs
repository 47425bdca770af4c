//! What the prompt understands besides code.

use std::path::PathBuf;

/// Something to do that is no cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    /// So many branches.
    Fork(usize),
    /// The branch with this number.
    Switch(usize),
    /// So many cells back.
    Rollback(usize),
    Restore,
    Files,
    Get(String, Option<PathBuf>),
    Put(PathBuf),
    Usage,
    Quit,
}

/// Shown for `:help`.
pub(super) const HELP: &str = "\
:fork [N]        make N branches of this session (1), which go their own ways
:switch N        go on in branch N; 0 is the session this began with
:rollback [N]    take the last N cells (1) back
:restore         bring back the state before the cell that ended the interpreter
:files           list the files of the workspace
:get FILE [TO]   copy a file out of the workspace
:put FILE        copy a file into the workspace
:usage           time and memory used
:quit            end the session (or Ctrl-D)
";

impl Command {
    /// Reads a line that begins with a colon and a word; `None` for any other, which is code: shells have a command `:`.
    pub(super) fn parse(line: &str) -> Option<Result<Self, String>> {
        let line = line.trim().strip_prefix(':')?;
        if !line.starts_with(|first: char| first.is_ascii_alphabetic() || first == '?') {
            return None;
        }
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let (first, second, rest) = (words.next(), words.next(), words.next());
        let number = |word: Option<&str>, otherwise| match word {
            None => Ok(otherwise),
            Some(word) => word.parse().map_err(|_error| format!("`{word}` is not a number")),
        };
        let needed =
            |word: Option<&str>| word.map(str::to_owned).ok_or(format!("`:{name}` needs a file's name"));
        if rest.is_some() {
            return Some(Err(format!("`:{name}` takes fewer words")));
        }
        Some(match name {
            "help" | "h" | "?" => Ok(Self::Help),
            "fork" => number(first, 1).map(Self::Fork),
            "switch" => number(first, 0).map(Self::Switch),
            "rollback" => number(first, 1).map(Self::Rollback),
            "restore" => Ok(Self::Restore),
            "files" => Ok(Self::Files),
            "get" => needed(first).map(|name| Self::Get(name, second.map(PathBuf::from))),
            "put" => needed(first).map(|name| Self::Put(PathBuf::from(name))),
            "usage" => Ok(Self::Usage),
            "quit" | "q" | "exit" => Ok(Self::Quit),
            other => Err(format!("there is no `:{other}`; `:help` lists what there is")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_code() {
        for (line, expected) in [
            ("x = 1", None),
            ("", None),
            (": >file", None),
            (":", None),
            (":?", Some(Ok(Command::Help))),
            ("  :fork 3", Some(Ok(Command::Fork(3)))),
            (":rollback", Some(Ok(Command::Rollback(1)))),
            (":get a b", Some(Ok(Command::Get("a".to_owned(), Some(PathBuf::from("b")))))),
            (":get", Some(Err("`:get` needs a file's name".to_owned()))),
            (":fork x", Some(Err("`x` is not a number".to_owned()))),
            (":fork 1 2 3", Some(Err("`:fork` takes fewer words".to_owned()))),
            (":nope", Some(Err("there is no `:nope`; `:help` lists what there is".to_owned()))),
        ] {
            assert_eq!(Command::parse(line), expected, "{line}");
        }
    }
}
