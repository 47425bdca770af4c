//! Whether what was typed is a whole cell, or goes on in the next line.

use rollcage_language::SessionKind;

/// Whether `text` should not be run yet. Errs towards running: the interpreter says what is missing.
pub(super) fn goes_on(kind: Option<SessionKind>, text: &str) -> bool {
    if text.starts_with(':') || text.trim().is_empty() {
        return false;
    }
    match kind {
        Some(SessionKind::Python) => python_goes_on(text),
        Some(SessionKind::Bash) => text.trim_end().ends_with('\\') || bash_is_open(text),
        Some(SessionKind::Sqlite | SessionKind::DuckDb | SessionKind::PostgreSql) => {
            !text.trim_end().ends_with(';')
        }
        Some(SessionKind::Recipe) | None => false,
    }
}

/// A block ends with an empty line, as at Python's own prompt.
fn python_goes_on(text: &str) -> bool {
    if python_is_open(text) || text.trim_end().ends_with('\\') {
        return true;
    }
    let has_block = text.lines().any(|line| line.trim_end().ends_with(':') || line.starts_with('@'));
    let last = text.rsplit('\n').next().unwrap_or_default();
    has_block && !last.trim().is_empty()
}

/// Whether a bracket or a text of several lines is open.
fn python_is_open(text: &str) -> bool {
    let (mut depth, mut rest) = (0_i32, text);
    while let Some(first) = rest.chars().next() {
        let three = ["\"\"\"", "'''"].into_iter().find(|quotes| rest.starts_with(quotes));
        rest = if let Some(quotes) = three {
            match rest[3..].find(quotes) {
                Some(end) => &rest[end + 6..],
                None => return true,
            }
        } else {
            match first {
                '"' | '\'' => after_quote(&rest[1..], first),
                '#' => rest.find('\n').map_or("", |end| &rest[end..]),
                '(' | '[' | '{' => {
                    depth += 1;
                    &rest[1..]
                }
                ')' | ']' | '}' => {
                    depth -= 1;
                    &rest[1..]
                }
                other => &rest[other.len_utf8()..],
            }
        };
    }
    depth > 0
}

/// What follows a text in one line; an open one ends with the line.
fn after_quote(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return &text[at..],
            other if other == quote => return &text[at + other.len_utf8()..],
            _ => {}
        }
    }
    ""
}

/// Whether a compound command or a quotation is open, by counting its words.
fn bash_is_open(text: &str) -> bool {
    let (mut depth, mut quote, mut word, mut escaped) = (0_i32, None, String::new(), false);
    let mut end_word = |word: &mut String| {
        match word.as_str() {
            "if" | "case" | "do" | "{" => depth += 1,
            "fi" | "esac" | "done" | "}" => depth -= 1,
            _ => {}
        }
        word.clear();
    };
    for character in text.chars() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), other) if open == other => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')') => end_word(&mut word),
            (None, other) => word.push(other),
        }
    }
    end_word(&mut word);
    depth > 0 || quote.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_end_where_a_person_would_say_so() {
        let (python, bash, sql) =
            (Some(SessionKind::Python), Some(SessionKind::Bash), Some(SessionKind::Sqlite));
        for (kind, text, expected) in [
            (python, "x = 1", false),
            (python, "f(1,", true),
            (python, "f(1,\n2)", false),
            (python, "def f():", true),
            (python, "def f():\n    return 1", true),
            (python, "def f():\n    return 1\n", false),
            (python, "s = '''a", true),
            (python, "s = '(' # [", false),
            (python, "d = {1: 2}", false),
            (python, ":fork", false),
            (bash, "echo hi", false),
            (bash, "for x in a; do", true),
            (bash, "for x in a; do\necho $x; done", false),
            (bash, "echo 'a", true),
            (bash, "f() {", true),
            (bash, "echo done", false),
            (sql, "select 1", true),
            (sql, "select 1;", false),
            (None, "anything", false),
        ] {
            assert_eq!(goes_on(kind, text), expected, "{text}");
        }
    }
}
