//! `POST /v1/execute`: one program, and what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcage_types::{ExecOutcome, FileEntry, LimitOverrides, RelativePath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::BodyError;
use crate::exec_report::ExecReport;
use crate::problem_convert::file_entries;
use crate::problem_row::LimitsRow;
use crate::quantity::{BytesRow, FileRow};

/// A program to run in a fresh cage; compiled first, in another, where its language compiles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteBody {
    /// The language, by name or alias.
    pub language: String,
    /// The program's source.
    pub code: BytesRow,
    /// Standard input; nothing unless given.
    #[serde(default = "BytesRow::empty")]
    pub stdin: BytesRow,
    /// Arguments after the program's name.
    #[serde(default)]
    pub args: Vec<String>,
    /// Files placed beside the program, by their path.
    #[serde(default)]
    pub files: BTreeMap<String, FileRow>,
    /// Limits of the run that differ from the language's.
    #[serde(default)]
    pub limits: LimitsRow,
    /// Files read back when the program has ended, where they exist.
    #[serde(default)]
    pub collect: Vec<String>,
}

/// A body that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecuteOrder {
    /// The language's name as given.
    pub language: String,
    /// The program's source.
    pub code: Arc<[u8]>,
    /// Standard input.
    pub stdin: Arc<[u8]>,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// Files placed beside the program.
    pub files: Vec<FileEntry>,
    /// Limits of the run that differ from the language's.
    pub limits: LimitOverrides,
    /// Files to read back.
    pub collect: Vec<RelativePath>,
}

impl ExecuteBody {
    /// The order in it.
    pub fn into_order(self) -> Result<ExecuteOrder, BodyError> {
        let Self { language, code: BytesRow(code), stdin: BytesRow(stdin), args, files, limits, collect } =
            self;
        if let Some(at) = args.iter().position(|arg| arg.contains('\0')) {
            return Err(BodyError::new(format!("args[{at}]"), "an argument cannot contain a NUL"));
        }
        let path = |(at, name): (usize, String)| {
            RelativePath::new(&name)
                .map_err(|error| BodyError::new(format!("collect[{at}]"), error.to_string()))
        };
        Ok(ExecuteOrder {
            language,
            code,
            stdin,
            args,
            files: file_entries(&files, 0)?,
            limits: limits.into(),
            collect: collect.into_iter().enumerate().map(path).collect::<Result<_, _>>()?,
        })
    }
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecuteReply {
    /// How far it got.
    pub status: ExecuteStatus,
    /// The compiler, in a language that compiles.
    pub compile: Option<ExecReport>,
    /// The program, if it compiled.
    pub run: Option<ExecReport>,
    /// The files asked for that there were.
    pub files: BTreeMap<String, FileRow>,
    /// Time waited for a cage, in milliseconds.
    pub queue_ms: f64,
}

/// How far a program got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecuteStatus {
    /// It ran; how it ended is in `run`.
    Ran,
    /// The compiler failed or was ended; how is in `compile`.
    CompileFailed,
}

impl ExecuteReply {
    /// A program that ran.
    pub fn ran(compile: Option<&ExecOutcome>, run: &ExecOutcome, queue_ms: f64) -> Self {
        let file = |file: &FileEntry| {
            let FileEntry { path, content, executable } = file;
            (path.to_string(), FileRow { content: Arc::clone(content), executable: *executable })
        };
        Self {
            status: ExecuteStatus::Ran,
            compile: compile.map(ExecReport::from),
            run: Some(run.into()),
            files: run.files.iter().map(file).collect(),
            queue_ms,
        }
    }

    /// A program that did not compile.
    pub fn compile_failed(compile: &ExecOutcome, queue_ms: f64) -> Self {
        Self {
            status: ExecuteStatus::CompileFailed,
            compile: Some(compile.into()),
            run: None,
            files: BTreeMap::new(),
            queue_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::read_body;

    #[test]
    fn bodies_that_make_no_sense_are_refused_by_field() {
        for (text, expected) in [
            (r#"{"language":"python"}"#, "missing field `code`"),
            (
                r#"{"language":"p","code":"","files":{"../a":""}}"#,
                "`files.../a`: `../a` is not a plain relative path",
            ),
            (
                r#"{"language":"p","code":"","files":{"a":{"base64":"?"}}}"#,
                "`files.a`: `base64` is not base64",
            ),
            (
                r#"{"language":"p","code":"","collect":["a","/b"]}"#,
                "`collect[1]`: `/b` is not a plain relative path",
            ),
            (
                r#"{"language":"p","code":"","args":["a\u0000"]}"#,
                "`args[0]`: an argument cannot contain a NUL",
            ),
            (r#"{"language":"p","code":"","limits":{"memory":0}}"#, "`limits.memory`: a limit of nothing"),
            (
                r#"{"language":"p","code":"","limits":{"memory":"1023KiB"}}"#,
                "`limits.memory`: a cage needs at least 1MiB of memory, and not 1023KiB",
            ),
        ] {
            let order = read_body::<ExecuteBody>(text.as_bytes()).and_then(ExecuteBody::into_order);
            let error = order.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
