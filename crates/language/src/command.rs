//! A command line as a language file writes it, split into arguments once.
//!
//! Lines made of plain words become an argument vector, so that no shell stands between the cage and the
//! program. Lines that need a shell (operators, expansions, built-ins) are handed to `/bin/sh -c` whole.

use std::fmt;

/// A program and its arguments. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program first, as in [`rollcage_types::ExecRequest::argv`].
    pub argv: Vec<String>,
}

/// Why a line is not a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing but white space.
    #[error("the command is empty")]
    Empty,
    /// A quotation mark has no partner.
    #[error("the quotation mark `{mark}` is never closed")]
    UnclosedQuote {
        /// `'` or `"`.
        mark: char,
    },
    /// A NUL byte cannot be part of an argument.
    #[error("the command contains a NUL byte")]
    Nul,
}

/// Characters that mean something to a shell wherever they stand unquoted.
const OPERATORS: &str = "|&;<>()$`*?[\n";

/// First words that only a shell understands. `test`, `true` and the like also exist as programs.
const SHELL_WORDS: &[&str] = &[
    "!", "{", "if", "while", "until", "for", "case", "cd", "exec", "export", "set", "ulimit", "umask",
    "unset", "eval", ".", "source", "trap", "command",
];

impl Command {
    /// Splits `line` by the shell's rules for words and quotes.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let line = line.trim();
        if line.is_empty() {
            return Err(CommandError::Empty);
        }
        if line.contains('\0') {
            return Err(CommandError::Nul);
        }
        Ok(match split(line)? {
            Some(argv) if !needs_shell(&argv) => Self { argv },
            Some(_) | None => Self { argv: ["/bin/sh", "-c", line].map(str::to_owned).to_vec() },
        })
    }

    /// The program.
    pub fn program(&self) -> &str {
        &self.argv[0]
    }

    /// The program if it is a bare name, which the cage's `PATH` must provide; a path is the program's own.
    pub(crate) fn bare_program(&self) -> Option<&str> {
        Some(self.program()).filter(|program| !program.contains('/'))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.argv.join(" "))
    }
}

fn needs_shell(argv: &[String]) -> bool {
    let first = argv[0].as_str();
    let is_assignment = first.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    is_assignment || SHELL_WORDS.contains(&first)
}

/// The words of `line`, or `None` where an unquoted character asks for a shell.
fn split(line: &str) -> Result<Option<Vec<String>>, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut needs_shell = false;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => single_quoted(&mut characters, word.get_or_insert_default())?,
            '"' => needs_shell |= double_quoted(&mut characters, word.get_or_insert_default())?,
            '\\' => match characters.next() {
                // A backslash before a newline joins two lines; one at the very end stands for itself.
                Some('\n') => {}
                next => word.get_or_insert_default().push(next.unwrap_or('\\')),
            },
            '#' | '~' if word.is_none() => {
                needs_shell = true;
                word = Some(c.to_string());
            }
            _ => {
                needs_shell |= OPERATORS.contains(c);
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    Ok(if needs_shell || words.is_empty() { None } else { Some(words) })
}

fn single_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), CommandError> {
    for c in characters.by_ref() {
        if c == '\'' {
            return Ok(());
        }
        word.push(c);
    }
    Err(CommandError::UnclosedQuote { mark: '\'' })
}

/// Returns whether the quoted text holds an expansion, which only a shell can perform.
fn double_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<bool, CommandError> {
    let mut expands = false;
    while let Some(c) = characters.next() {
        match c {
            '"' => return Ok(expands),
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => break,
            },
            _ => {
                expands |= matches!(c, '$' | '`');
                word.push(c);
            }
        }
    }
    Err(CommandError::UnclosedQuote { mark: '"' })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(line: &str, expected: &[&str]) {
        assert_eq!(Command::parse(line).unwrap().argv, expected, "{line}");
    }

    #[test]
    fn plain_lines_become_words() {
        check("luajit snippet.lua", &["luajit", "snippet.lua"]);
        check("  gcc -O2\t-o program  snippet.c ", &["gcc", "-O2", "-o", "program", "snippet.c"]);
        check("./snippet.out", &["./snippet.out"]);
        check(r#"r -e 'source("a b")'"#, &["r", "-e", r#"source("a b")"#]);
        check(r#"x "a \"b\" \n" c\ d ''"#, &["x", r#"a "b" \n"#, "c d", ""]);
        check("x --flag=value a#b a~b {}", &["x", "--flag=value", "a#b", "a~b", "{}"]);
        check("x \\\n  y", &["x", "y"]);
    }

    #[test]
    fn shell_lines_go_to_the_shell_whole() {
        for line in [
            "a && b",
            "a | b",
            "a > out",
            "a; b",
            "FOO=1 a",
            "a $HOME",
            "a *.c",
            "cd x",
            "exec ./a",
            "a `b`",
            r#"a "$b""#,
            "a # note",
            "~/a",
            "a\nb",
            "! a",
            "(a)",
        ] {
            check(line, &["/bin/sh", "-c", line]);
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(Command::parse("  "), Err(CommandError::Empty));
        assert_eq!(Command::parse("a 'b"), Err(CommandError::UnclosedQuote { mark: '\'' }));
        assert_eq!(Command::parse("a \"b\\"), Err(CommandError::UnclosedQuote { mark: '"' }));
        assert_eq!(Command::parse("a\0"), Err(CommandError::Nul));
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[^\0]{0,12}", 1..6)) {
            let line: Vec<_> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
            let command = Command::parse(&line.join(" ")).unwrap();
            prop_assume!(!super::needs_shell(&words));
            prop_assert_eq!(command.argv, words);
        }

        #[test]
        fn no_line_panics_and_no_command_is_empty(line in ".{0,60}") {
            if let Ok(command) = Command::parse(&line) {
                prop_assert!(!command.argv.is_empty());
            }
        }
    }
}
