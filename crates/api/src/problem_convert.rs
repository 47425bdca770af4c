//! Problem rows to tasks and back: one field at a time, exhaustively, so that a new field cannot be forgotten.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use rollcage_judge::{Checker, CheckerProgram, FloatTolerance, Problem, TestCase, Tests};
use rollcage_rollout::{Message, Role, Task, ToolCall};
use rollcage_types::{FileEntry, LimitOverrides, ProblemId, RelativePath, TaskId};

use crate::datasets::DatasetItem;
use crate::problem_row::{
    CheckerProgramRow, CheckerRow, LimitsRow, MessageRow, ProblemRow, RoleRow, TestCaseRow, TokensRow,
    ToolCallRow,
};
use crate::quantity::{BytesRow, DurationRow, FileRow, SizeRow};
use crate::rows::RowError;

impl ProblemRow {
    /// The task the row describes; `number` is its place in the file, for messages.
    pub fn into_item(self, number: usize) -> Result<DatasetItem, RowError> {
        let fail = |path: &str, problem: &str| RowError::new(number, path, problem);
        let Self {
            id,
            prompt,
            messages,
            language,
            cases,
            test_code,
            prefix,
            context,
            entry_point,
            limits,
            checker,
            files,
            canonical_solution,
            meta,
        } = self;
        if id.is_empty() {
            return Err(fail("id", "it is missing, or empty"));
        }
        let messages = match (prompt, messages) {
            (Some(prompt), None) => vec![Message::new(Role::User, prompt)],
            (None, Some(messages)) if messages.is_empty() => {
                return Err(fail("messages", "a conversation has at least one message"));
            }
            (None, Some(messages)) => messages.into_iter().map(Message::from).collect(),
            (Some(_), Some(_)) | (None, None) => {
                return Err(fail("", "expected one of `prompt` and `messages`"));
            }
        };
        let tests = match (cases, test_code) {
            (Some(_), None) if prefix.is_some() => return Err(fail("prefix", "goes with `test_code` only")),
            (Some(_), None) if context.is_some() => {
                return Err(fail("context", "goes with `test_code` only"));
            }
            (Some(_), None) if entry_point.is_some() => {
                return Err(fail("entry_point", "goes with `test_code` only"));
            }
            (Some(cases), None) => Tests::Cases(cases.into_iter().map(TestCase::from).collect()),
            (None, Some(_)) if checker.is_some() => {
                return Err(fail(
                    "checker",
                    "compares the outputs of `cases`; `test_code` decides for itself",
                ));
            }
            (None, Some(test_code)) => Tests::Code {
                prefix: prefix.unwrap_or_default().into(),
                context: context.unwrap_or_default().into(),
                test_code: with_check(test_code, entry_point.as_deref(), number)?.into(),
            },
            (Some(_), Some(_)) | (None, None) => {
                return Err(fail("", "expected one of `cases` and `test_code`"));
            }
        };
        let problem = Problem {
            id: ProblemId::new(id.as_str()),
            language: language.map(Arc::from),
            tests,
            limits: limits.into(),
            checker: checker.map_or(Checker::Exact, Checker::from),
            files: file_entries(&files, number)?,
        };
        problem.validate().map_err(|error| fail("", &error.to_string()))?;
        let task = Task { id: TaskId::new(id.as_str()), messages, problem: Arc::new(problem) };
        Ok(DatasetItem { task, canonical_solution, stub_solution: String::new(), meta })
    }
}

impl From<&DatasetItem> for ProblemRow {
    fn from(item: &DatasetItem) -> Self {
        // The stub of a native row is always empty; a check of an entry point is part of the test code by now.
        let DatasetItem { task: Task { id, messages, problem }, canonical_solution, stub_solution: _, meta } =
            item;
        let Problem { id: _, language, tests, limits, checker, files } = problem.as_ref();
        let (prompt, messages) = match messages.as_slice() {
            [only] if *only == Message::new(Role::User, only.content.as_str()) => {
                (Some(only.content.clone()), None)
            }
            messages => (None, Some(messages.iter().map(MessageRow::from).collect())),
        };
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (cases, test_code, prefix, context, checker) = match tests {
            Tests::Cases(cases) => {
                let cases = cases.iter().map(TestCaseRow::from).collect();
                (Some(cases), None, None, None, checker_row(checker))
            }
            Tests::Code { prefix, context, test_code } => {
                (None, Some(test_code.to_string()), part(prefix), part(context), None)
            }
        };
        let file = |file: &FileEntry| {
            let FileEntry { path, content, executable } = file;
            (path.to_string(), FileRow { content: content.clone(), executable: *executable })
        };
        Self {
            id: id.to_string(),
            prompt,
            messages,
            language: language.as_deref().map(str::to_owned),
            cases,
            test_code,
            prefix,
            context,
            entry_point: None,
            limits: limits.into(),
            checker,
            files: files.iter().map(file).collect(),
            canonical_solution: canonical_solution.clone(),
            meta: meta.clone(),
        }
    }
}

fn with_check(test_code: String, entry_point: Option<&str>, number: usize) -> Result<String, RowError> {
    let Some(name) = entry_point else { return Ok(test_code) };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
        return Err(RowError::new(number, "entry_point", format!("`{name}` is not the name of a function")));
    }
    Ok(crate::datasets::call_check(&test_code, name))
}

pub(crate) fn file_entries(
    files: &BTreeMap<String, FileRow>,
    number: usize,
) -> Result<Vec<FileEntry>, RowError> {
    let fail = |path: &str, problem: String| RowError::new(number, format!("files.{path}"), problem);
    let mut entries = Vec::with_capacity(files.len());
    for (name, FileRow { content, executable }) in files {
        let path = RelativePath::new(name).map_err(|error| fail(name, error.to_string()))?;
        if let Some(parent) = path.parents().find(|parent| files.contains_key(*parent)) {
            return Err(fail(name, format!("`{parent}` is a file and cannot hold another")));
        }
        entries.push(FileEntry { path, content: content.clone(), executable: *executable });
    }
    Ok(entries)
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        let MessageRow { role, content, reasoning, tool_calls, tool_call_id } = row;
        let role = match role {
            RoleRow::System => Role::System,
            RoleRow::User => Role::User,
            RoleRow::Assistant => Role::Assistant,
            RoleRow::Tool => Role::Tool,
        };
        let call = |ToolCallRow { id, name, arguments }| ToolCall { id, name, arguments };
        let tool_calls = tool_calls.into_iter().map(call).collect();
        Self { role, content, reasoning, tool_calls, tool_call_id }
    }
}

impl From<&Message> for MessageRow {
    fn from(message: &Message) -> Self {
        let Message { role, content, reasoning, tool_calls, tool_call_id } = message.clone();
        let role = match role {
            Role::System => RoleRow::System,
            Role::User => RoleRow::User,
            Role::Assistant => RoleRow::Assistant,
            Role::Tool => RoleRow::Tool,
        };
        let call = |ToolCall { id, name, arguments }| ToolCallRow { id, name, arguments };
        let tool_calls = tool_calls.into_iter().map(call).collect();
        Self { role, content, reasoning, tool_calls, tool_call_id }
    }
}

impl From<TestCaseRow> for TestCase {
    fn from(row: TestCaseRow) -> Self {
        let TestCaseRow { stdin: BytesRow(stdin), expected: BytesRow(expected) } = row;
        Self { stdin, expected }
    }
}

impl From<&TestCase> for TestCaseRow {
    fn from(case: &TestCase) -> Self {
        let TestCase { stdin, expected } = case.clone();
        Self { stdin: BytesRow(stdin), expected: BytesRow(expected) }
    }
}

impl From<CheckerRow> for Checker {
    fn from(row: CheckerRow) -> Self {
        match row {
            CheckerRow::Exact => Self::Exact,
            CheckerRow::Tokens(TokensRow { absolute: None, relative: None }) => Self::Tokens(None),
            CheckerRow::Tokens(TokensRow { absolute, relative }) => Self::Tokens(Some(FloatTolerance {
                absolute: absolute.unwrap_or_default(),
                relative: relative.unwrap_or_default(),
            })),
            CheckerRow::Program(CheckerProgramRow { language, source }) => {
                let program = CheckerProgram { language: language.into(), source: source.into() };
                Self::Program(Arc::new(program))
            }
        }
    }
}

/// The default is not written, and a row cannot ask for a hook.
fn checker_row(checker: &Checker) -> Option<CheckerRow> {
    match checker {
        Checker::Exact | Checker::Hook => None,
        Checker::Tokens(None) => Some(CheckerRow::Tokens(TokensRow::default())),
        Checker::Tokens(Some(FloatTolerance { absolute, relative })) => {
            Some(CheckerRow::Tokens(TokensRow { absolute: Some(*absolute), relative: Some(*relative) }))
        }
        Checker::Program(program) => {
            let CheckerProgram { language, source } = program.as_ref();
            let (language, source) = (language.to_string(), source.to_string());
            Some(CheckerRow::Program(CheckerProgramRow { language, source }))
        }
    }
}

impl From<LimitsRow> for LimitOverrides {
    fn from(row: LimitsRow) -> Self {
        let LimitsRow {
            cpu_time,
            wall_time,
            idle_time,
            memory,
            processes,
            output,
            file_size,
            disk,
            open_files,
            stack,
        } = row;
        Self {
            cpu_time: cpu_time.map(|row| row.0),
            wall_time: wall_time.map(|row| row.0),
            idle_time: idle_time.map(|row| row.0),
            memory: memory.map(|row| row.0),
            processes: processes.map(NonZeroU32::get),
            output: output.map(|row| row.0),
            file_size: file_size.map(|row| row.0),
            disk: disk.map(|row| row.0),
            open_files: open_files.map(NonZeroU32::get),
            stack: stack.map(|row| row.0),
        }
    }
}

impl From<&LimitOverrides> for LimitsRow {
    fn from(limits: &LimitOverrides) -> Self {
        let LimitOverrides {
            cpu_time,
            wall_time,
            idle_time,
            memory,
            processes,
            output,
            file_size,
            disk,
            open_files,
            stack,
        } = limits.clone();
        Self {
            cpu_time: cpu_time.map(DurationRow),
            wall_time: wall_time.map(DurationRow),
            idle_time: idle_time.map(DurationRow),
            memory: memory.map(SizeRow),
            processes: processes.and_then(NonZeroU32::new),
            output: output.map(SizeRow),
            file_size: file_size.map(SizeRow),
            disk: disk.map(SizeRow),
            open_files: open_files.and_then(NonZeroU32::new),
            stack: stack.map(SizeRow),
        }
    }
}
