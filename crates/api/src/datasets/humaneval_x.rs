//! HumanEval-X: the functions of HumanEval in six languages, each with tests in its own.
//!
//! Owns how the columns of each language make a program with tests. Where a language keeps tests in a file of their own
//! (Go, Java), they are given the imports that they need there, so that an answer may be a whole file with its own.

use std::fmt::Write as _;
use std::sync::Arc;

use rollcage_judge::{Checker, Problem, Tests};
use rollcage_rollout::{Message, Role, Task};
use rollcage_types::{LimitOverrides, ProblemId, TaskId};
use serde::Deserialize;
use serde_json::Map;

use super::DatasetItem;
use super::go_imports::go_head;
use super::reader::{RefusedRow, RowTrouble};
use crate::rows::RowError;

/// A row of HumanEval-X. What the languages of a row have in common; Go alone has the last two columns.
#[derive(Debug, Deserialize)]
pub(super) struct HumanEvalXRow {
    /// The language's name, a slash, a number.
    task_id: String,
    prompt: String,
    declaration: String,
    canonical_solution: String,
    test: String,
    #[serde(default)]
    import: String,
    #[serde(default)]
    test_setup: String,
}

/// The languages, as ids begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tongue {
    Cpp,
    Go,
    Java,
    JavaScript,
    Python,
    Rust,
}

/// What the C++ solutions take for granted, whatever the prompt includes. Not `cstring`: its `strlen` takes the calls
/// that test a solution's own, and any solution passes.
const CPP_HEADERS: [&str; 8] =
    ["stdlib.h", "algorithm", "math.h", "stdio.h", "vector", "string", "climits", "iostream"];

impl HumanEvalXRow {
    pub(super) fn into_item(self, number: usize) -> Result<DatasetItem, RowTrouble> {
        let tongue = Tongue::of_id(&self.task_id).ok_or_else(|| {
            let expected = "expected an id such as `Go/0`, of CPP, Go, Java, JavaScript, Python or Rust";
            RowError::new(number, "task_id", expected)
        })?;
        if is_comment(&self.test) {
            let reason = "its tests are commented out".to_owned();
            return Err(RowTrouble::Refused(RefusedRow { row: number, id: self.task_id, reason }));
        }
        let problem = Problem {
            id: ProblemId::new(self.task_id.as_str()),
            language: Some(tongue.language().into()),
            tests: self.tests(tongue),
            limits: LimitOverrides::default(),
            checker: Checker::Exact,
            files: Vec::new(),
        };
        Ok(DatasetItem {
            task: Task {
                id: TaskId::new(self.task_id.as_str()),
                messages: vec![Message::new(Role::User, self.ask(tongue))],
                problem: Arc::new(problem),
            },
            stub_solution: stub(tongue, &self.declaration),
            canonical_solution: Some(self.canonical_solution),
            meta: Map::new(),
        })
    }

    fn tests(&self, tongue: Tongue) -> Tests {
        let Self { task_id: _, prompt, declaration, canonical_solution, test, import, test_setup } = self;
        let (prefix, context, test_code) = match tongue {
            Tongue::Cpp => {
                let headers = cpp_headers();
                let context = format!("{headers}using namespace std;\n");
                (format!("{headers}{prompt}"), context, test.clone())
            }
            Tongue::Go => {
                let asked = prompt.strip_prefix(import.as_str()).unwrap_or(prompt);
                let head = go_head(import, &[canonical_solution]);
                (format!("{head}{asked}"), String::new(), format!("{}{test}", go_head(test_setup, &[test])))
            }
            Tongue::Java => (prompt.clone(), String::new(), format!("{}{test}", java_imports(prompt))),
            Tongue::JavaScript => (prompt.clone(), String::new(), test.clone()),
            Tongue::Python => (prompt.clone(), format!("{prompt}\n"), test.clone()),
            // Part of the program that is handed in, where it is what Rust has for a body that is not written.
            Tongue::Rust => (declaration.clone(), String::new(), test.clone()),
        };
        Tests::Code { prefix: prefix.into(), context: context.into(), test_code: test_code.into() }
    }

    fn ask(&self, tongue: Tongue) -> String {
        let (name, tag, whole) = match tongue {
            Tongue::Cpp => ("C++", "cpp", "the function, without `main`"),
            Tongue::Go => {
                ("Go", "go", "a whole file, with `package main`, the imports that it uses and no `main`")
            }
            Tongue::Java => ("Java", "java", "a whole file, with its imports and the class `Solution`"),
            Tongue::JavaScript => ("JavaScript", "javascript", "the whole function"),
            Tongue::Python => ("Python", "python", "the whole function"),
            Tongue::Rust => {
                ("Rust", "rust", "a whole file, with the `use` lines that it needs and no `main`")
            }
        };
        let shown = match tongue {
            Tongue::Rust => format!("{}{}", self.prompt, self.declaration),
            Tongue::Cpp | Tongue::Go | Tongue::Java | Tongue::JavaScript | Tongue::Python => {
                self.prompt.clone()
            }
        };
        let gap = if shown.ends_with('\n') { "" } else { "\n" };
        format!("Complete this {name} function. Answer with {whole}.\n\n```{tag}\n{shown}{gap}```")
    }
}

impl Tongue {
    fn of_id(id: &str) -> Option<Self> {
        let (name, _number) = id.split_once('/')?;
        Some(match name {
            "CPP" => Self::Cpp,
            "Go" => Self::Go,
            "Java" => Self::Java,
            "JavaScript" => Self::JavaScript,
            "Python" => Self::Python,
            "Rust" => Self::Rust,
            _ => return None,
        })
    }

    const fn language(self) -> &'static str {
        match self {
            Self::Cpp => "cpp",
            Self::Go => "go",
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::Rust => "rust",
        }
    }
}

/// Whether nothing but one block comment is there, in languages that nest none.
fn is_comment(text: &str) -> bool {
    let inside = text.trim().strip_prefix("/*").and_then(|text| text.strip_suffix("*/"));
    inside.is_some_and(|inside| !inside.contains("*/"))
}

fn cpp_headers() -> String {
    let mut lines = String::new();
    for header in CPP_HEADERS {
        writeln!(lines, "#include <{header}>").expect("a string takes whatever is written");
    }
    lines
}

fn java_imports(prompt: &str) -> String {
    prompt.lines().filter(|line| line.starts_with("import ")).map(|line| format!("{line}\n")).collect()
}

/// A body that fails any test worth its name: it returns what its type has instead of nothing, or where that cannot be
/// said of every type, panics.
fn stub(tongue: Tongue, declaration: &str) -> String {
    match tongue {
        Tongue::Cpp => "    return {};\n}\n".to_owned(),
        Tongue::Go => match go_result(declaration) {
            Some(result) => format!("    return *new({result})\n}}\n"),
            None => "    panic(\"not written\")\n}\n".to_owned(),
        },
        Tongue::Java => format!("        return {};\n    }}\n}}\n", java_nothing(declaration)),
        Tongue::JavaScript => "}\n".to_owned(),
        Tongue::Python => "    pass\n".to_owned(),
        // Not every type has a value that says nothing; a panic is of any type.
        Tongue::Rust => "    panic!(\"not written\")\n}\n".to_owned(),
    }
}

/// The type that the last function declared returns; `None` for several or none.
fn go_result(declaration: &str) -> Option<&str> {
    let line = declaration.trim_end().strip_suffix('{')?.lines().last()?;
    let after_arguments = &line[line.rfind(')')? + 1..];
    Some(after_arguments.trim()).filter(|result| !result.is_empty())
}

/// What a Java method returns that has nothing to return: of the last one declared, by the word before its name.
fn java_nothing(declaration: &str) -> &'static str {
    let line = declaration.lines().rev().find(|line| line.contains('(')).unwrap_or_default();
    let head = line.split('(').next().unwrap_or_default();
    match head.split_whitespace().rev().nth(1) {
        Some("boolean") => "false",
        Some("int" | "long" | "short" | "byte" | "char" | "float" | "double") => "0",
        Some(_) | None => "null",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_have_the_type_of_the_declaration() {
        assert_eq!(go_result("\nfunc Add(x int, y int) int {\n"), Some("int"));
        assert_eq!(go_result("func F(f func() int) [][]int {"), Some("[][]int"));
        assert_eq!(go_result("func F(x int) (int, bool) {"), None);
        assert_eq!(java_nothing("class Solution {\n    public int add(int x, int y) {\n"), "0");
        assert_eq!(java_nothing("class Solution {\n    public List<String> sort(String s) {\n"), "null");
        assert_eq!(java_nothing("    public boolean is(int x) throws Exception {\n"), "false");
    }

    #[test]
    fn a_row_without_tests_is_refused() {
        for (test, expected) in
            [("\n/*\n#[test]\n*/\n", true), ("/* a */ f(); /* b */", false), ("f()", false)]
        {
            assert_eq!(is_comment(test), expected, "{test}");
        }
    }

    #[test]
    fn a_language_is_known_by_the_beginning_of_the_id() {
        for (id, language) in [("CPP/1", Some("cpp")), ("JavaScript/0", Some("javascript")), ("Zig/0", None)]
        {
            assert_eq!(Tongue::of_id(id).map(Tongue::language), language, "{id}");
        }
        assert_eq!(Tongue::of_id("Go"), None);
    }
}
