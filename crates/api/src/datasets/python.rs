//! What the Python data sets share: test code, messages and the tasks made of them.

use std::sync::Arc;

use rollcage_judge::{Checker, Problem, Tests};
use rollcage_rollout::{Message, Role, Task};
use rollcage_types::{LimitOverrides, ProblemId, TaskId};

/// HumanEval's convention: the test code defines `check`, which takes the function to try.
pub(crate) fn call_check(test_code: &str, entry_point: &str) -> String {
    let gap = if test_code.ends_with('\n') { "" } else { "\n" };
    format!("{test_code}{gap}\ncheck({entry_point})\n")
}

/// A Python task judged by test code. `prefix` is a prompt that is valid by itself, since it ends in a docstring: a whole
/// program keeps it for the imports and functions it gives, and defines the asked function anew below it.
pub(super) fn task(id: &str, ask: String, prefix: &str, test_code: String) -> Task {
    let context = if prefix.is_empty() { String::new() } else { format!("{prefix}\n") };
    let problem = Problem {
        id: ProblemId::new(id),
        language: Some("python".into()),
        tests: Tests::Code { prefix: prefix.into(), context: context.into(), test_code: test_code.into() },
        limits: LimitOverrides::default(),
        checker: Checker::Exact,
        files: Vec::new(),
    };
    Task { id: TaskId::new(id), messages: vec![Message::new(Role::User, ask)], problem: Arc::new(problem) }
}

/// `code` in a fence, closed whatever the code ends with.
pub(super) fn fenced(code: &str) -> String {
    let gap = if code.ends_with('\n') { "" } else { "\n" };
    format!("```python\n{code}{gap}```")
}
