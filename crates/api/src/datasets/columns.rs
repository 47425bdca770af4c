//! What the user says the columns of a file mean: `id=task,prompt=question,cases.stdin=tests.input`.
//!
//! Owns the grammar and what a mapping must hold to describe problems. Leaves applying it to rows to
//! `columns_apply.rs`.
//!
//! ```text
//! mapping = pair *("," pair)
//! pair    = field "=" path ["?"]                    "?": rows may be without it
//! field   = a field of a problem row | "cases.stdin" | "cases.expected" | "limits." name | "meta." name
//! path    = segment *("." segment)                  the column, then keys and places inside its values
//! segment = 1*(any character but . , = ? ") | a text in double quotes, where "" stands for one quote
//! ```
//!
//! White space around a field and around a bare segment does not count.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::suggest;

/// Which column, or value inside one, each field of a problem comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMapping {
    pub(super) pairs: BTreeMap<String, ColumnPath>,
}

/// A place in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnPath {
    /// The column, then keys and places inside. Never empty, and none of them is.
    pub(super) segments: Vec<String>,
    /// Whether rows may be without it.
    pub(super) is_optional: bool,
}

/// A mapping that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    /// A part is no pair.
    #[error("`{part}` is not `field=column`")]
    NotAPair {
        /// What was written.
        part: String,
    },
    /// The left side is no field.
    #[error("`{field}` is not a field of a problem; use one of {}, limits.NAME, meta.NAME", FIELDS.join(", "))]
    UnknownField {
        /// What was written.
        field: String,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// A field comes from two places.
    #[error("`{field}` is given twice")]
    Twice {
        /// The field.
        field: String,
    },
    /// The right side is no path.
    #[error("the column of `{field}`: {problem}")]
    Path {
        /// The field.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// The fields together do not describe a problem.
    #[error("{problem}")]
    Incomplete {
        /// What is missing, or too much.
        problem: &'static str,
    },
}

/// The fields, but for those with free names.
const FIELDS: [&str; 15] = [
    "id",
    "prompt",
    "messages",
    "language",
    "cases",
    "cases.stdin",
    "cases.expected",
    "test_code",
    "prefix",
    "context",
    "entry_point",
    "checker",
    "files",
    "canonical_solution",
    "meta",
];

/// Limits by name; a test compares them with the row's.
const LIMITS: [&str; 10] = [
    "limits.cpu_time",
    "limits.wall_time",
    "limits.idle_time",
    "limits.memory",
    "limits.processes",
    "limits.output",
    "limits.file_size",
    "limits.disk",
    "limits.open_files",
    "limits.stack",
];

/// The characters with a meaning of their own.
const SPECIAL: [char; 5] = ['.', ',', '=', '?', '"'];

impl ColumnMapping {
    /// The mapping of fields to paths, each as the grammar writes it.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ColumnsError> {
        let mut mapping = Self { pairs: BTreeMap::new() };
        for (field, text) in pairs {
            let mut rest = text;
            let path = ColumnPath::read(field, &mut rest)?;
            if !rest.is_empty() {
                let problem = format!("something follows it: `{rest}`");
                return Err(ColumnsError::Path { field: field.to_owned(), problem });
            }
            mapping.add(field, path)?;
        }
        mapping.check()?;
        Ok(mapping)
    }

    /// The fields with their paths, as [`ColumnMapping::from_pairs`] takes them.
    pub fn to_pairs(&self) -> BTreeMap<String, String> {
        self.pairs.iter().map(|(field, path)| (field.clone(), path.to_string())).collect()
    }

    /// The top-level columns it names, each once.
    pub fn roots(&self) -> Vec<&str> {
        let mut roots: Vec<&str> = self.pairs.values().map(ColumnPath::root).collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    fn add(&mut self, field: &str, path: ColumnPath) -> Result<(), ColumnsError> {
        let is_meta = field
            .strip_prefix("meta.")
            .is_some_and(|name| !name.is_empty() && name.trim() == name && !name.contains(SPECIAL));
        if !is_meta && !FIELDS.contains(&field) && !LIMITS.contains(&field) {
            let near = suggest::nearest(field, FIELDS.into_iter().chain(LIMITS));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            return Err(ColumnsError::UnknownField { field: field.to_owned(), hint });
        }
        match self.pairs.insert(field.to_owned(), path) {
            None => Ok(()),
            Some(_) => Err(ColumnsError::Twice { field: field.to_owned() }),
        }
    }

    fn check(&self) -> Result<(), ColumnsError> {
        let has = |field: &str| self.pairs.contains_key(field);
        let has_lists = has("cases.stdin") || has("cases.expected");
        let problem = if has("prompt") == has("messages") {
            "a problem needs one of `prompt` and `messages`"
        } else if has("cases") && has_lists {
            "`cases` holds both sides of a case; leave out `cases.stdin` and `cases.expected`"
        } else if has_lists && !has("cases.expected") {
            "`cases.stdin` needs `cases.expected` beside it"
        } else if has("test_code") == (has("cases") || has_lists) {
            "a problem needs one of `cases` (or `cases.stdin` and `cases.expected`) and `test_code`"
        } else if has("meta") && self.pairs.keys().any(|field| field.starts_with("meta.")) {
            "`meta` is given as a whole and by parts"
        } else {
            return Ok(());
        };
        Err(ColumnsError::Incomplete { problem })
    }
}

impl ColumnsError {
    /// What was probably meant.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownField { hint, .. } => hint.clone(),
            Self::NotAPair { .. } | Self::Incomplete { .. } => {
                Some("as in `id=task,prompt=question,cases.stdin=inputs,cases.expected=outputs`".to_owned())
            }
            Self::Path { .. } => {
                Some("a name that holds one of . , = ? \" is put in double quotes".to_owned())
            }
            Self::Twice { .. } => None,
        }
    }
}

impl FromStr for ColumnMapping {
    type Err = ColumnsError;

    fn from_str(text: &str) -> Result<Self, ColumnsError> {
        let mut mapping = Self { pairs: BTreeMap::new() };
        let mut rest = text;
        loop {
            let not_a_pair = || ColumnsError::NotAPair {
                part: rest.split(',').next().unwrap_or_default().trim().to_owned(),
            };
            let (field, after) = rest.split_once('=').ok_or_else(not_a_pair)?;
            if field.contains(',') {
                return Err(not_a_pair());
            }
            let field = field.trim();
            let mut after = after;
            let path = ColumnPath::read(field, &mut after)?;
            mapping.add(field, path)?;
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => {
                    let problem = format!("something follows it: `{after}`");
                    return Err(ColumnsError::Path { field: field.to_owned(), problem });
                }
            }
        }
        mapping.check()?;
        Ok(mapping)
    }
}

impl fmt::Display for ColumnMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (field, path)) in self.pairs.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{field}={path}")?;
        }
        Ok(())
    }
}

impl ColumnPath {
    pub(super) fn root(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }

    /// Reads a path from the front of `rest`, and leaves what follows it.
    fn read(field: &str, rest: &mut &str) -> Result<Self, ColumnsError> {
        let fail =
            |problem: &str| ColumnsError::Path { field: field.to_owned(), problem: problem.to_owned() };
        let mut segments = Vec::new();
        loop {
            let text = rest.trim_start();
            let segment;
            if let Some(quoted) = text.strip_prefix('"') {
                let (name, after) = read_quoted(quoted).ok_or_else(|| fail("a quote is not closed"))?;
                segment = name;
                *rest = after.trim_start();
            } else {
                let end = text.find(SPECIAL).unwrap_or(text.len());
                segment = text[..end].trim_end().to_owned();
                *rest = &text[end..];
            }
            if segment.is_empty() {
                return Err(fail("a name is missing"));
            }
            segments.push(segment);
            match rest.strip_prefix('.') {
                Some(after) => *rest = after,
                None => break,
            }
        }
        let after = rest.strip_prefix('?');
        *rest = after.map_or(*rest, str::trim_start);
        Ok(Self { segments, is_optional: after.is_some() })
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.segments.iter().enumerate() {
            let dot = if place == 0 { "" } else { "." };
            if segment.contains(SPECIAL) || segment.trim() != segment {
                write!(f, "{dot}\"{}\"", segment.replace('"', "\"\""))?;
            } else {
                write!(f, "{dot}{segment}")?;
            }
        }
        f.write_str(if self.is_optional { "?" } else { "" })
    }
}

/// The text up to the closing quote, and what follows that.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem_row::problem_row_schema;

    #[test]
    fn every_field_of_a_row_can_be_mapped() {
        let schema = problem_row_schema();
        let fields = |object: &serde_json::Value, prefix: &str| -> Vec<String> {
            object["properties"].as_object().unwrap().keys().map(|key| format!("{prefix}{key}")).collect()
        };
        let mut known = fields(&schema, "");
        known.retain(|field| field != "limits");
        known.extend(fields(&schema["$defs"]["LimitsRow"], "limits."));
        known.extend(["cases.stdin".to_owned(), "cases.expected".to_owned()]);
        known.sort_unstable();
        let mut mapped: Vec<&str> = FIELDS.into_iter().chain(LIMITS).collect();
        mapped.sort_unstable();
        assert_eq!(mapped, known);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("", "`` is not `field=column`"),
            ("prompt=q,test_code", "`test_code` is not `field=column`"),
            ("prompt=q,x,test_code=t", "`x` is not `field=column`"),
            ("prompt=q,prompt=r", "`prompt` is given twice"),
            ("promt=q", "`promt` is not a field of a problem; use one of id, prompt"),
            ("meta.=q", "`meta.` is not a field"),
            ("prompt=", "the column of `prompt`: a name is missing"),
            ("prompt=a..b", "the column of `prompt`: a name is missing"),
            ("prompt=\"a", "the column of `prompt`: a quote is not closed"),
            ("prompt=\"a\"b", "the column of `prompt`: something follows it: `b`"),
            ("prompt=a?b", "the column of `prompt`: something follows it: `b`"),
            ("prompt=q", "a problem needs one of `cases`"),
            ("test_code=t", "a problem needs one of `prompt` and `messages`"),
            ("prompt=q,cases.stdin=i", "`cases.stdin` needs `cases.expected` beside it"),
            ("prompt=q,cases=c,test_code=t", "a problem needs one of `cases`"),
            ("prompt=q,cases=c,cases.expected=t", "`cases` holds both sides of a case"),
            ("prompt=q,test_code=t,meta=m,meta.a=b", "`meta` is given as a whole and by parts"),
        ] {
            let error = text.parse::<ColumnMapping>().unwrap_err();
            assert!(error.to_string().starts_with(expected), "{text}: {error}");
        }
        let error = "promt=q".parse::<ColumnMapping>().unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean `prompt`?"));
    }

    #[test]
    fn quotes_and_spaces_are_read() {
        let mapping: ColumnMapping = " prompt = my question . \"a.\"\"b\" ? , test_code=t".parse().unwrap();
        let path = &mapping.pairs["prompt"];
        assert_eq!(
            (path.segments.as_slice(), path.is_optional),
            (&["my question".to_owned(), "a.\"b".to_owned()][..], true)
        );
        assert_eq!(mapping.to_string(), "prompt=my question.\"a.\"\"b\"?,test_code=t");
    }
}
