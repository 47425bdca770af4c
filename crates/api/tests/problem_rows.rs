//! Native problem rows: what they mean, how mistakes are answered, and the schema that describes them.

#![expect(clippy::disallowed_methods, reason = "the ban is for the crate; its tests read files")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rollcage_api::{DatasetItem, DatasetKind, ProblemRow, problem_row_schema};
use rollcage_judge::{Checker, FloatTolerance, Problem, TestCase, Tests};
use rollcage_rollout::{Message, Role, Task};
use rollcage_types::{ByteSize, FileEntry, LimitOverrides, ProblemId, RelativePath, TaskId};

const CASES: &str = r#"{"id":"sum","prompt":"Add two numbers.","language":"python",
    "cases":[{"stdin":"1 2\n","expected":"3\n"},{"expected":{"base64":"/w=="}}],
    "limits":{"cpu_time":"2s","wall_time":2500,"memory":"256MiB","output":4096,"processes":4},
    "checker":{"tokens":{"absolute":1e-6}},
    "files":{"data/in.txt":"hello","run.sh":{"text":"exit","executable":true}},"meta":{"level":3}}"#;
const CODE: &str = r#"{"id":"f","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],
    "prefix":"def f():\n","test_code":"def check(g):\n    g()","entry_point":"f","canonical_solution":"    pass\n"}"#;

fn one_line(text: &str) -> String {
    text.replace("\n    ", " ")
}

fn read(text: &str) -> DatasetItem {
    DatasetKind::Problems.read(one_line(text).as_bytes()).unwrap().remove(0)
}

#[test]
fn a_row_of_cases_is_a_task() {
    let item = read(CASES);
    let problem = &item.task.problem;
    assert_eq!(item.task.messages, [Message::new(Role::User, "Add two numbers.")]);
    assert_eq!(problem.language.as_deref(), Some("python"));
    let case = |stdin: &[u8], expected: &[u8]| TestCase { stdin: stdin.into(), expected: expected.into() };
    assert_eq!(problem.tests, Tests::Cases(vec![case(b"1 2\n", b"3\n"), case(b"", b"\xff")]));
    let expected = LimitOverrides {
        cpu_time: Some(Duration::from_secs(2)),
        wall_time: Some(Duration::from_millis(2500)),
        memory: Some(ByteSize::mib(256)),
        output: Some(ByteSize::kib(4)),
        processes: Some(4),
        ..LimitOverrides::default()
    };
    assert_eq!(problem.limits, expected);
    assert_eq!(problem.checker, Checker::Tokens(Some(FloatTolerance { absolute: 1e-6, relative: 0.0 })));
    let files: Vec<_> = problem.files.iter().map(|file| (file.path.as_str(), file.executable)).collect();
    assert_eq!(files, [("data/in.txt", false), ("run.sh", true)]);
    assert_eq!(item.meta["level"], 3);
}

#[test]
fn a_row_of_test_code_is_a_task() {
    let item = read(CODE);
    assert_eq!(item.task.messages.len(), 2);
    let Tests::Code { prefix, test_code, .. } = &item.task.problem.tests else {
        unreachable!("it has test code")
    };
    assert_eq!(prefix.as_ref(), "def f():\n");
    assert_eq!(test_code.as_ref(), "def check(g):\n    g()\n\ncheck(f)\n");
    assert_eq!(item.canonical_solution.as_deref(), Some("    pass\n"));
}

#[test]
fn mistakes_name_the_row_the_field_and_what_was_expected() {
    let good = r#"{"id":"a","prompt":"p","cases":[{"expected":"1"}]}"#;
    for (row, expected, hint) in [
        (
            r#"{"id":"b","promt":"p"}"#,
            "row 2, `promt`: unknown field `promt`",
            Some("did you mean `prompt`?"),
        ),
        (
            r#"{"id":"b","prompt":"p","cases":[{"expected":"1"}],"limits":{"memroy":"1MiB"}}"#,
            "row 2, `limits.memroy`: unknown field `memroy`",
            Some("did you mean `memory`?"),
        ),
        (
            r#"{"id":"b","prompt":"p","cases":[{"expected":"1"},{"expected":7}]}"#,
            "row 2, `cases[1].expected`: invalid type: integer `7`, expected text or {\"base64\": …}",
            None,
        ),
        (
            r#"{"id":"b","prompt":"p","cases":[{"expected":{"base64":"!"}}]}"#,
            "row 2, `cases[0].expected`: `base64` is not base64",
            None,
        ),
        (
            r#"{"id":"b","prompt":"p","cases":[],"limits":{"cpu_time":"5 parsecs"}}"#,
            "row 2, `limits.cpu_time`: `parsecs` is not a unit of time",
            None,
        ),
        (
            r#"{"id":"b","prompt":"p","cases":[],"limits":{"cpu_time":"5"}}"#,
            "row 2, `limits.cpu_time`: `5` has no unit; write `5s` or `5ms`",
            None,
        ),
        (
            r#"{"id":"b","prompt":"p","cases":[],"limits":{"memory":0}}"#,
            "row 2, `limits.memory`: a limit of nothing lets nothing run",
            None,
        ),
        (
            r#"{"id":"b","prompt":"p","cases":[],"checker":"exakt"}"#,
            "row 2, `checker`: unknown variant `exakt`",
            Some("did you mean `exact`?"),
        ),
        (r#"{"id":"b","prompt":"p","cases":[]}"#, "row 2: the problem has no test cases", None),
        (r#"{"id":"b","prompt":"p"}"#, "row 2: expected one of `cases` and `test_code`", None),
        (r#"{"id":"b","test_code":"x"}"#, "row 2: expected one of `prompt` and `messages`", None),
        (r#"{"prompt":"p"}"#, "row 2, `id`: it is missing, or empty", None),
        (r#"{"id":"","prompt":"p","test_code":"x"}"#, "row 2, `id`: it is missing, or empty", None),
        (r#"{"id":"a","prompt":"p","test_code":"x"}"#, "row 2: the id `a` is that of row 1 too", None),
        (
            r#"{"id":"b","prompt":"p","test_code":"x","entry_point":"f); g("}"#,
            "row 2, `entry_point`: `f); g(` is not the name of a function",
            None,
        ),
        (
            r#"{"id":"b","prompt":"p","test_code":"x","files":{"../a":""}}"#,
            "row 2, `files.../a`: `../a` is not a plain relative path",
            None,
        ),
        (
            r#"{"id":"b","prompt":"p","test_code":"x","files":{"a":"","a/b":""}}"#,
            "row 2, `files.a/b`: `a` is a file and cannot hold another",
            None,
        ),
        (
            r#"{"id":"b","prompt":"p","cases":[{"expected":"1"}],"checker":{"tokens":{"absolute":-1}}}"#,
            "row 2: the tolerance -1 is not",
            None,
        ),
    ] {
        let error = DatasetKind::Problems.read(format!("{good}\n{row}\n").as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}\n{expected}");
        assert_eq!(error.hint.as_deref(), hint, "{error}");
    }
}

#[test]
fn the_schema_is_the_one_in_the_documentation() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/problem-row.v1.json"));
    let generated = serde_json::to_string_pretty(&problem_row_schema()).unwrap() + "\n";
    if std::env::var_os("ROLLCAGE_UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == generated, "run this test with ROLLCAGE_UPDATE_GOLDENS=1 and look at the difference");
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let validator = jsonschema::validator_for(&problem_row_schema()).unwrap();
    for (row, accepted) in [
        (CASES, true),
        (CODE, true),
        (r#"{"id":"a","prompt":"p","test_code":"x","checker":null}"#, true),
        (r#"{"id":"a","prompt":"p","cases":[{"expected":"1"}],"checker":"exact"}"#, true),
        (r#"{"id":"a","prompt":"p","cases":[{"expected":"1"}],"checker":"exakt"}"#, false),
        (r#"{"id":"a","prompt":"p","cases":[{"expected":"1"}],"limits":{"memory":"1 parsec"}}"#, false),
        (r#"{"id":"a","prompt":"p","cases":[{"expected":"1"}],"limits":{"memory":"1 GiB"}}"#, true),
        (r#"{"id":"a","prompt":"p","cases":[{"expected":"1"}],"limits":{"cpu_time":"7"}}"#, false),
        (r#"{"id":"a","prompt":"p","cases":[{"expected":"1"}],"limits":{"processes":0}}"#, false),
        (r#"{"id":"a","prompt":"p","cases":[{"stdin":"1"}]}"#, false),
        (r#"{"id":"a","prompt":"p","cases":[]}"#, false),
        (r#"{"id":"a","prompt":"p","cases":[{"expected":"1"}],"test_code":"x"}"#, false),
        (r#"{"id":"a","test_code":"x"}"#, false),
        (r#"{"id":"a","prompt":"p","test_code":"x","promt":"y"}"#, false),
        (r#"{"id":"a","prompt":"p","test_code":"x","files":{"a":{"text":"x","base64":"eA=="}}}"#, false),
    ] {
        let row = one_line(row);
        assert_eq!(validator.is_valid(&serde_json::from_str(&row).unwrap()), accepted, "schema: {row}");
        assert_eq!(DatasetKind::Problems.read(row.as_bytes()).is_ok(), accepted, "reader: {row}");
    }
}

fn bytes() -> impl Strategy<Value = Arc<[u8]>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Arc::from),
        "[ -~\n]{0,12}".prop_map(|text: String| Arc::from(text.into_bytes())),
    ]
}

/// In less no cage is made, and a row that asks for less is refused.
const MEMORY_MIN: u64 = 1024 * 1024;

fn limits() -> impl Strategy<Value = LimitOverrides> {
    let millis = || prop::option::of((1..100_000_u64).prop_map(Duration::from_millis));
    let size = |from: u64| prop::option::of((from..u64::from(u32::MAX)).prop_map(ByteSize::bytes));
    let count = || prop::option::of(1..1000_u32);
    (
        (millis(), millis(), millis()),
        (size(MEMORY_MIN), size(1), size(1), size(1), size(1)),
        (count(), count()),
    )
        .prop_map(
            |(
                (cpu_time, wall_time, idle_time),
                (memory, output, file_size, disk, stack),
                (processes, open_files),
            )| {
                LimitOverrides {
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
                }
            },
        )
}

fn item() -> impl Strategy<Value = DatasetItem> {
    let case = (bytes(), bytes()).prop_map(|(stdin, expected)| TestCase { stdin, expected });
    let tolerance =
        (0.0..1.0_f64, 0.0..1.0_f64).prop_map(|(absolute, relative)| FloatTolerance { absolute, relative });
    let checker = prop_oneof![
        Just(Checker::Exact),
        Just(Checker::Tokens(None)),
        tolerance.prop_map(|tolerance| Checker::Tokens(Some(tolerance))),
    ];
    let judged = prop_oneof![
        (prop::collection::vec(case, 1..4), checker)
            .prop_map(|(cases, checker)| (Tests::Cases(cases), checker)),
        ("[a-z\n]{0,5}", "[a-z]{1,5}").prop_map(|(prefix, test_code)| {
            (
                Tests::Code {
                    context: prefix.clone().into(),
                    prefix: prefix.into(),
                    test_code: test_code.into(),
                },
                Checker::Exact,
            )
        }),
    ];
    let files = prop::collection::btree_map("[a-c]{1,2}", (bytes(), any::<bool>()), 0..3);
    let role = prop::sample::select(vec![Role::System, Role::User, Role::Assistant, Role::Tool]);
    let messages =
        prop::collection::vec((role, ".{0,8}").prop_map(|(role, text)| Message::new(role, text)), 1..3);
    let language = prop::option::of("[a-z]{1,6}");
    (".{1,8}", messages, language, judged, limits(), files, prop::option::of(".{0,8}")).prop_map(
        |(id, messages, language, (tests, checker), limits, files, canonical_solution)| {
            let entry = |(name, (content, executable)): (String, (Arc<[u8]>, bool))| FileEntry {
                path: RelativePath::new(&name).unwrap(),
                content,
                executable,
            };
            let problem = Problem {
                id: ProblemId::new(id.as_str()),
                language: language.map(Arc::from),
                tests,
                limits,
                checker,
                files: files.into_iter().map(entry).collect(),
            };
            let task = Task { id: TaskId::new(id.as_str()), messages, problem: Arc::new(problem) };
            let meta = serde_json::Map::new();
            DatasetItem { task, canonical_solution, stub_solution: String::new(), meta }
        },
    )
}

proptest! {
    #[test]
    fn a_task_written_and_read_is_itself(item in item()) {
        let line = serde_json::to_string(&ProblemRow::from(&item)).unwrap();
        let validator = jsonschema::validator_for(&problem_row_schema()).unwrap();
        prop_assert!(validator.is_valid(&serde_json::from_str(&line).unwrap()), "{line}");
        let back = DatasetKind::Problems.read(line.as_bytes()).unwrap().remove(0);
        prop_assert_eq!(&back.task.problem, &item.task.problem);
        prop_assert_eq!(&back.task.messages, &item.task.messages);
        prop_assert_eq!(&back.canonical_solution, &item.canonical_solution);
    }
}
