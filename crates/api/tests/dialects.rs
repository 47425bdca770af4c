//! The wires of other services: each kind of end as `docs/dialects.md` says it is told, and each mistake by its field.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::sync::Arc;
use std::time::Duration;

use rollcage_api::dialects::code_judge::{BatchSubmission, JudgeResult, Reason, RunResult, Submission};
use rollcage_api::dialects::sandbox_fusion::{Offer, RunCodeReply, RunCodeRequest};
use rollcage_api::dialects::{Executed, ValidationReply};
use rollcage_types::{
    ByteSize, Captured, Enforcement, ExecOutcome, FileEntry, IsolationLevel, LimitKind, NetworkLog,
    RelativePath, Termination, Usage,
};
use serde_json::{Value, json};

const LANGUAGES: [&str; 6] = ["c", "cpp", "javascript", "php", "python", "r"];

const OFFER: Offer<'_> =
    Offer { languages: &LANGUAGES, time_max: Duration::from_secs(600), memory_max: ByteSize::gib(4) };

fn ended(termination: Termination, stdout: &str, stderr: &str) -> ExecOutcome {
    let usage = Usage {
        wall_time: Duration::from_millis(1500),
        cpu_time: Duration::from_millis(250),
        ..Usage::default()
    };
    ExecOutcome {
        termination,
        start: rollcage_types::Start::Cold,
        stdout: Captured::whole(stdout),
        stderr: Captured::whole(stderr),
        usage,
        network: NetworkLog::default(),
        enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
        files: Vec::new(),
        files_omitted: 0,
    }
}

const EXITED: Termination = Termination::Exited { code: 0 };

fn run_code(body: &Value) -> Result<RunCodeRequest, Value> {
    let read = RunCodeRequest::read(body.to_string().as_bytes(), &OFFER);
    read.map_err(|reply| serde_json::to_value(reply).unwrap())
}

fn submission(body: &Value) -> Result<Submission, ValidationReply> {
    Submission::read(body.to_string().as_bytes(), &LANGUAGES)
}

/// Each end of a run in both dialects: the return code (none if time was over) and what standard error ends with.
const ENDS: [(Termination, Option<i32>, &str); 12] = [
    (Termination::Exited { code: 0 }, Some(0), "note"),
    (Termination::Exited { code: 3 }, Some(3), "note"),
    (Termination::Signaled { signal: 11 }, Some(-11), "note"),
    (Termination::Signaled { signal: 9 }, Some(-9), "note"),
    (Termination::LimitExceeded(LimitKind::CpuTime), None, "note"),
    (Termination::LimitExceeded(LimitKind::WallTime), None, "note"),
    (Termination::LimitExceeded(LimitKind::IdleTime), None, "note"),
    (
        Termination::LimitExceeded(LimitKind::Memory),
        Some(-9),
        "note\nrollcage: killed: it used more memory than its limit (memory)\n",
    ),
    (
        Termination::LimitExceeded(LimitKind::Output),
        Some(-9),
        "note\nrollcage: killed: it wrote more output than its limit (output)\n",
    ),
    (
        Termination::LimitExceeded(LimitKind::Processes),
        Some(-9),
        "note\nrollcage: killed: it had more processes than its limit (processes)\n",
    ),
    (
        Termination::LimitExceeded(LimitKind::FileSize),
        Some(-9),
        "note\nrollcage: killed: it made a file larger than its limit (file_size)\n",
    ),
    (
        Termination::LimitExceeded(LimitKind::DiskSpace),
        Some(-9),
        "note\nrollcage: killed: its files took more space than their limit (disk_space)\n",
    ),
];

#[test]
fn run_code_tells_every_end_and_blames_the_sandbox_for_none() {
    let request = run_code(&json!({"code": "", "language": "cpp"})).unwrap();
    for (termination, return_code, stderr) in ENDS {
        let outcome = ended(termination, "out", "note");
        let step = json!({
            "status": if return_code.is_none() { "TimeLimitExceeded" } else { "Finished" },
            "execution_time": 1.5, "cpu_time": 0.25, "return_code": return_code, "stdout": "out", "stderr": stderr,
        });
        let status = if termination == EXITED { "Success" } else { "Failed" };
        let alone =
            RunCodeReply::new(&request.fetched, Executed::Ran { compile: None, run: &outcome }).unwrap();
        let expected = json!({
            "status": status, "message": "", "compile_result": null, "run_result": step,
            "executor_pod_name": null, "files": {},
        });
        assert_eq!(serde_json::to_value(alone).unwrap(), expected, "{termination:?}");

        let compiler = ended(EXITED, "", "");
        let compiled = Executed::Ran { compile: Some(&compiler), run: &outcome };
        let compiled = serde_json::to_value(RunCodeReply::new(&request.fetched, compiled).unwrap()).unwrap();
        assert_eq!((&compiled["status"], &compiled["run_result"]), (&json!(status), &step));
        assert_eq!(compiled["compile_result"]["return_code"], 0);

        if termination != EXITED {
            let failed = RunCodeReply::new(&request.fetched, Executed::CompileFailed(&outcome)).unwrap();
            let failed = serde_json::to_value(failed).unwrap();
            let parts = (&failed["status"], &failed["compile_result"], &failed["run_result"]);
            assert_eq!(parts, (&json!("Failed"), &step, &Value::Null), "{termination:?}");
        }
    }
    let cancelled = ended(Termination::Cancelled, "", "");
    assert!(RunCodeReply::new(&request.fetched, Executed::Ran { compile: None, run: &cancelled }).is_err());
    assert!(RunCodeReply::new(&request.fetched, Executed::CompileFailed(&cancelled)).is_err());
}

#[test]
fn code_judge_tells_every_end() {
    let given = submission(&json!({"type": "cpp", "solution": "", "expected_output": "out"})).unwrap();
    for (termination, return_code, stderr) in ENDS {
        let outcome = ended(termination, "out\n", "note");
        let is_success = return_code == Some(0);
        let run =
            RunResult::new("s".to_owned(), &given, Executed::Ran { compile: None, run: &outcome }).unwrap();
        let reason = if return_code.is_none() { "worker_timeout" } else { "" };
        let expected = json!({
            "sub_id": "s", "success": is_success, "run_success": is_success, "cost": 1.5,
            "stdout": "out\n", "stderr": stderr, "reason": reason,
        });
        assert_eq!(serde_json::to_value(&run).unwrap(), expected, "{termination:?}");
        let judged = serde_json::to_value(JudgeResult::from(run)).unwrap();
        let expected = json!({
            "sub_id": "s", "success": is_success, "run_success": is_success, "cost": 1.5, "reason": reason,
        });
        assert_eq!(judged, expected, "{termination:?}");

        if termination != EXITED {
            let failed = RunResult::new("s".to_owned(), &given, Executed::CompileFailed(&outcome)).unwrap();
            let failed = serde_json::to_value(failed).unwrap();
            let parts = (&failed["run_success"], &failed["stdout"], &failed["stderr"], &failed["reason"]);
            assert_eq!(parts, (&json!(false), &json!(""), &json!(stderr), &json!(reason)), "{termination:?}");
        }
    }
    let cancelled = ended(Termination::Cancelled, "", "");
    let executed = Executed::Ran { compile: None, run: &cancelled };
    assert!(RunResult::new(String::new(), &given, executed).is_err());
    let not_run = RunResult::not_run("s".to_owned(), Reason::QueueTimeout);
    let expected = json!({
        "sub_id": "s", "success": false, "run_success": false, "cost": 0.0,
        "stdout": null, "stderr": null, "reason": "queue_timeout",
    });
    assert_eq!(serde_json::to_value(not_run).unwrap(), expected);
    assert_eq!(serde_json::to_value(Reason::InvalidInput).unwrap(), "invalid_input");
}

#[test]
fn outputs_are_compared_whole_and_stripped_as_python_strips() {
    let long = "x".repeat(5000);
    for (printed, expected, success) in [
        (" 3 \n", Some("3"), true),
        ("3\u{1c}", Some("\u{a0}3"), true),
        ("4", Some("3"), false),
        ("3 4", Some("3  4"), false),
        ("anything", None, true),
        ("", Some(""), true),
        (&long, Some(long.as_str()), true),
        (&long, Some(&long[1..]), false),
    ] {
        let given = json!({"type": "python", "solution": "", "expected_output": expected});
        let given = submission(&given).unwrap();
        let outcome = ended(EXITED, printed, "");
        let executed = Executed::Ran { compile: None, run: &outcome };
        let run = RunResult::new(String::new(), &given, executed).unwrap();
        assert_eq!((run.success, run.run_success), (success, true), "{printed:.10} {expected:.10?}");
        assert_eq!(run.stdout.unwrap().chars().count(), printed.chars().count().min(1000));
    }
    let given =
        submission(&json!({"type": "python", "solution": "", "expected_output": "\u{fffd}"})).unwrap();
    let outcome = ExecOutcome { stdout: Captured::whole(*b"\xff"), ..ended(EXITED, "", "") };
    let run = RunResult::new(String::new(), &given, Executed::Ran { compile: None, run: &outcome }).unwrap();
    assert!(!run.success && run.run_success, "bytes that are no text are no text");
    let noisy = "é".repeat(2000);
    let outcome = ended(Termination::LimitExceeded(LimitKind::Memory), "", &noisy);
    let run = RunResult::new(String::new(), &given, Executed::Ran { compile: None, run: &outcome }).unwrap();
    let (cut, named) = run.stderr.as_deref().unwrap().split_once('\n').unwrap();
    assert_eq!(cut.chars().count(), 1000);
    assert!(named.contains("(memory)"), "the limit is named after the cut: {named}");
}

#[test]
fn run_code_requests_mean_what_they_meant() {
    let request = run_code(&json!({"code": "print(1)", "language": "python"})).unwrap();
    let order = &request.order;
    assert_eq!(
        (order.language.as_str(), &*order.code, &*order.stdin),
        ("python", &b"print(1)"[..], &b""[..])
    );
    assert_eq!(order.limits.wall_time, Some(Duration::from_secs(10)));
    assert_eq!(order.compile_limits.wall_time, Some(Duration::from_secs(10)));
    assert_eq!((order.limits.memory, order.files.len(), order.collect.len()), (None, 0, 0));

    let request = run_code(&json!({
        "compile_timeout": 3, "run_timeout": "2.5", "memory_limit_MB": 1024, "code": "echo 1;", "stdin": null,
        "language": "php", "args": ["-x"], "unknown": {"deep": [1, [2]]},
        "files": {
            "./a.txt": "aGk=", "dir/../b/c.bin": "AAH/\nAA==\n", "skipped": null,
            "IGNORE_THIS_FILE.x": "not base64",
        },
        "fetch_files": ["out.txt", "./sub//x"],
    }));
    let order = request.as_ref().unwrap().order.clone();
    assert_eq!((order.language.as_str(), &*order.code), ("php", &b"<?php\necho 1;"[..]));
    assert_eq!(order.limits.wall_time, Some(Duration::from_millis(2500)));
    assert_eq!(order.limits.memory, Some(ByteSize::gib(1)));
    assert_eq!(order.compile_limits.wall_time, Some(Duration::from_secs(3)));
    let files: Vec<(&str, &[u8])> =
        order.files.iter().map(|file| (file.path.as_str(), &*file.content)).collect();
    assert_eq!(files, [("a.txt", &b"hi"[..]), ("b/c.bin", &b"\x00\x01\xff\x00"[..])]);

    let file =
        |path: &str, content: &[u8]| FileEntry::new(RelativePath::new(path).unwrap(), content.to_vec());
    let outcome = ExecOutcome {
        files: vec![file("other", b"no"), file("sub/x", b"\xff\x00")],
        ..ended(EXITED, "", "")
    };
    let executed = Executed::Ran { compile: None, run: &outcome };
    let reply =
        serde_json::to_value(RunCodeReply::new(&request.unwrap().fetched, executed).unwrap()).unwrap();
    assert_eq!(reply["files"], json!({"./sub//x": "/wA="}), "by the name it was asked for");
}

#[test]
fn the_request_that_verl_sends_is_read() {
    let body = r#"{"compile_timeout": 10, "run_timeout": 10, "code": "print(input())", "stdin": "7", "memory_limit_MB": 1024,
        "language": "nodejs", "files": {}, "fetch_files": []}"#;
    let request = RunCodeRequest::read(body.as_bytes(), &OFFER).unwrap();
    assert_eq!((request.order.language.as_str(), &*request.order.stdin), ("javascript", &b"7"[..]));
    assert_eq!(request.order.limits.memory, Some(ByteSize::gib(1)));
}

/// The mistakes in a reply: kind, place, and message.
fn mistakes(reply: &Value) -> Vec<(String, Value, String)> {
    let read = |mistake: &Value| {
        let text = |key: &str| mistake[key].as_str().unwrap().to_owned();
        (text("type"), mistake["loc"].clone(), text("msg"))
    };
    reply["detail"].as_array().unwrap().iter().map(read).collect()
}

#[test]
fn run_code_names_each_mistake_by_its_field() {
    let with = |field: &str, value: Value| {
        let mut body = json!({"code": "", "language": "python"});
        body[field] = value;
        body
    };
    for (body, kind, loc, message) in [
        (json!({"language": "python"}), "missing", json!(["body", "code"]), "Field required"),
        (json!({"code": ""}), "missing", json!(["body", "language"]), "Field required"),
        (json!([]), "model_attributes_type", json!(["body"]), "Input should be a valid dictionary or object"),
        (with("code", json!(1)), "string_type", json!(["body", "code"]), "Input should be a valid string"),
        (with("stdin", json!([])), "string_type", json!(["body", "stdin"]), "Input should be a valid string"),
        (
            with("language", json!("csharp")),
            "literal_error",
            json!(["body", "language"]),
            "Input should be 'python', 'cpp', 'nodejs', 'php', 'R', 'c', 'javascript' or 'r'",
        ),
        (
            with("language", json!(null)),
            "literal_error",
            json!(["body", "language"]),
            "Input should be 'python'",
        ),
        (
            with("run_timeout", json!("soon")),
            "float_parsing",
            json!(["body", "run_timeout"]),
            "Input should be",
        ),
        (with("run_timeout", json!(null)), "float_type", json!(["body", "run_timeout"]), "Input should be"),
        (
            with("run_timeout", json!(0)),
            "value_error",
            json!(["body", "run_timeout"]),
            "Value error, a time limit",
        ),
        (
            with("run_timeout", json!("nan")),
            "value_error",
            json!(["body", "run_timeout"]),
            "Value error, a time",
        ),
        (
            with("compile_timeout", json!(1e9)),
            "value_error",
            json!(["body", "compile_timeout"]),
            "Value error",
        ),
        (
            with("memory_limit_MB", json!(5000)),
            "value_error",
            json!(["body", "memory_limit_MB"]),
            "Value error, this server gives no more than 4GiB",
        ),
        (
            with("memory_limit_MB", json!(1.5)),
            "int_from_float",
            json!(["body", "memory_limit_MB"]),
            "Input should",
        ),
        (
            with("memory_limit_MB", json!("x")),
            "int_parsing",
            json!(["body", "memory_limit_MB"]),
            "Input should",
        ),
        (
            with("files", json!([])),
            "dict_type",
            json!(["body", "files"]),
            "Input should be a valid dictionary",
        ),
        (with("files", json!({"a": 1})), "string_type", json!(["body", "files", "a"]), "Input should be"),
        (
            with("files", json!({"a": "a?"})),
            "value_error",
            json!(["body", "files", "a"]),
            "Value error, the content is not base64",
        ),
        (
            with("files", json!({"/etc/passwd": ""})),
            "value_error",
            json!(["body", "files", "/etc/passwd"]),
            "Value error, the path is absolute",
        ),
        (
            with("files", json!({"a/../../x": ""})),
            "value_error",
            json!(["body", "files", "a/../../x"]),
            "Value error, the path leads out",
        ),
        (with("files", json!({"": ""})), "value_error", json!(["body", "files", ""]), "Value error, ``"),
        (with("files", json!({"a\0b": ""})), "value_error", json!(["body", "files", "a\0b"]), "Value error"),
        (
            with("fetch_files", json!("x")),
            "list_type",
            json!(["body", "fetch_files"]),
            "Input should be a valid list",
        ),
        (
            with("fetch_files", json!(["a", "../x"])),
            "value_error",
            json!(["body", "fetch_files", 1]),
            "Value error, the path leads out",
        ),
    ] {
        let reply = run_code(&body).unwrap_err();
        let found = mistakes(&reply);
        let [(found_kind, found_loc, found_message)] = found.as_slice() else { panic!("{body}: {reply}") };
        assert_eq!((found_kind.as_str(), found_loc), (kind, &loc), "{body}");
        assert!(found_message.starts_with(message), "{body}: {found_message}");
    }
    let reply = run_code(&json!({"run_timeout": [], "files": {"..": "", "b": "?"}})).unwrap_err();
    let places: Vec<Value> = mistakes(&reply).into_iter().map(|(_, loc, _)| loc).collect();
    let expected = [
        json!(["body", "run_timeout"]),
        json!(["body", "code"]),
        json!(["body", "language"]),
        json!(["body", "files", ".."]),
        json!(["body", "files", "b"]),
    ];
    assert_eq!(places, expected, "all of them");
}

#[test]
fn hostile_bodies_are_refused_and_their_echo_is_short() {
    let read = |body: &[u8]| {
        let reply = RunCodeRequest::read(body, &OFFER).unwrap_err();
        serde_json::to_value(reply).unwrap()
    };
    for (body, cause) in [
        (b"".as_slice(), "EOF"),
        (b"{\"code\": \xff}", "expected value"),
        ("[".repeat(100_000).as_bytes(), "recursion limit"),
        (format!("{{\"x\": [0{}]}}", ",0".repeat(100_000)).as_bytes(), "more than 16384 values"),
    ] {
        let reply = read(body);
        let [mistake] = reply["detail"].as_array().unwrap().as_slice() else { panic!("{reply}") };
        assert_eq!((&mistake["type"], &mistake["loc"][0]), (&json!("json_invalid"), &json!("body")));
        assert!(mistake["ctx"]["error"].as_str().unwrap().contains(cause), "{mistake}");
    }
    assert_eq!(read(b"{\n  \"code\": ?}")["detail"][0]["loc"], json!(["body", 12]), "the offending byte");
    let long = json!({"code": "", "language": "x".repeat(10_000)}).to_string();
    assert!(read(long.as_bytes()).to_string().len() < 1000);
    let names: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    let reply = read(json!({"code": "", "language": "python", "fetch_files": names}).to_string().as_bytes());
    assert!(reply["detail"][0]["msg"].as_str().unwrap().contains("2000 files are more than 1024"), "{reply}");
    let reply =
        read(json!({"code": "x".repeat((64 << 20) + 1), "language": "python"}).to_string().as_bytes());
    assert_eq!(reply["detail"][0]["loc"], json!(["body", "code"]), "{reply}");
    let full = json!({"code": "x".repeat((64 << 20) - 2), "language": "python", "files": {"a": "AAAA"}});
    assert_eq!(read(full.to_string().as_bytes())["detail"][0]["loc"], json!(["body", "files", "a"]));
    let wrong: Vec<Value> = (0..1000).map(|_| json!(1)).collect();
    let reply = read(json!({"code": "", "language": "python", "fetch_files": wrong}).to_string().as_bytes());
    assert_eq!(reply["detail"].as_array().unwrap().len(), 20);
}

#[test]
fn code_judge_requests_are_read_and_their_mistakes_named() {
    let given = json!({
        "sub_id": "a", "type": "cpp", "options": {"k": "v"}, "solution": "s", "input": "i", "expected_output": "e",
        "unknown": 1,
    });
    let given = submission(&given).unwrap();
    let order = given.order().unwrap();
    assert_eq!(
        (given.sub_id.as_deref(), order.language.as_str(), &*order.stdin),
        (Some("a"), "cpp", &b"i"[..])
    );
    assert_eq!(order.limits.wall_time, Some(Duration::from_secs(10)));
    let plain = submission(&json!({"type": "python", "solution": "", "sub_id": ""})).unwrap();
    assert_eq!((plain.sub_id, plain.input, plain.expected_output), (None, None, None));
    let huge = submission(&json!({"type": "python", "solution": "x".repeat(20 << 20)})).unwrap();
    assert_eq!(huge.order(), Err(Reason::InvalidInput), "one program of a batch does not fail the others");

    let batch = |body: &Value| {
        let read = BatchSubmission::read(body.to_string().as_bytes(), &LANGUAGES);
        read.map_err(|reply| mistakes(&serde_json::to_value(reply).unwrap()))
    };
    // As rStar2's client sends it.
    let sent = json!({"type": "batch", "submissions": [
        {"type": "python", "solution": "print(1)", "input": ""}, {"type": "cpp", "solution": "int", "input": null},
    ]});
    let read = batch(&sent).unwrap();
    assert_eq!((read.sub_id, read.submissions.len()), (None, 2));
    assert_eq!(read.submissions[1].language, "cpp");
    assert_eq!(batch(&json!({"submissions": [{"type": "c", "solution": ""}]})).unwrap().submissions.len(), 1);

    let one = json!({"type": "python", "solution": ""});
    let languages = "Input should be 'c', 'cpp', 'javascript', 'php', 'python' or 'r'";
    for (body, kind, loc, message) in [
        (
            json!({"submissions": []}),
            "too_short",
            json!(["body", "submissions"]),
            "List should have at least 1 item",
        ),
        (json!({}), "missing", json!(["body", "submissions"]), "Field required"),
        (
            json!({"submissions": vec![one.clone(); 4097]}),
            "too_long",
            json!(["body", "submissions"]),
            "List should have at most 4096 items",
        ),
        (
            json!({"type": "x", "submissions": [one]}),
            "literal_error",
            json!(["body", "type"]),
            "Input should be 'batch'",
        ),
        (
            json!({"submissions": [one, {"type": "math", "solution": ""}]}),
            "literal_error",
            json!(["body", "submissions", 1, "type"]),
            languages,
        ),
        (
            json!({"submissions": [one, 3]}),
            "model_attributes_type",
            json!(["body", "submissions", 1]),
            "Input should be",
        ),
        (
            json!({"submissions": [{"type": "python", "solution": "", "options": {"a": 1}}]}),
            "string_type",
            json!(["body", "submissions", 0, "options"]),
            "Input should be a valid string",
        ),
    ] {
        let found = batch(&body).unwrap_err();
        let [(found_kind, found_loc, found_message)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((found_kind.as_str(), found_loc), (kind, &loc), "{loc}");
        assert!(found_message.starts_with(message), "{found_message}");
    }
}

#[test]
fn a_server_without_languages_says_so() {
    let reply =
        RunCodeRequest::read(br#"{"code": "", "language": "python"}"#, &Offer { languages: &[], ..OFFER })
            .unwrap_err();
    assert!(reply.detail[0].fault.message.contains("no language is ready"), "{reply:?}");
}
