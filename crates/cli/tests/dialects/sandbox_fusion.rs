//! SandboxFusion's wire, told by PyPI's client and by what verl sends.

use serde_json::{Value, json};

use crate::python;
use crate::server::{Server, can_run, is_here};

const CLIENT: &str = include_str!("sandbox_fusion.py");
const VERL: &str = include_str!("verl.py");

const CPP_SUM: &str =
    "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }\n";

/// Programs that add two numbers: a name of theirs, what it needs on the host, the program.
const SUMS: [(&str, &str, &str); 11] = [
    ("python", "python3", "a, b = map(int, input().split())\nprint(a + b, end='')"),
    ("cpp", "g++", CPP_SUM),
    ("bash", "bash", "read a b; printf $((a + b))"),
    (
        "nodejs",
        "node",
        "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number); process.stdout.write(`${a + b}`)",
    ),
    ("lua", "lua5.4", "io.write(io.read('n') + io.read('n') | 0)"),
    ("perl", "perl", "my ($a, $b) = split ' ', <STDIN>; print $a + $b;"),
    ("ruby", "ruby", "print gets.split.sum(&:to_i)"),
    ("php", "php", "[$a, $b] = explode(' ', fgets(STDIN)); echo $a + $b;"),
    (
        "rust",
        "rustc",
        "fn main() { let mut s = String::new(); std::io::stdin().read_line(&mut s).unwrap();\n\
         print!(\"{}\", s.split_whitespace().map(|n| n.parse::<i32>().unwrap()).sum::<i32>()); }",
    ),
    ("R", "Rscript", "cat(sum(scan(file('stdin'), quiet = TRUE)))"),
    (
        "go",
        "go",
        "package main\nimport \"fmt\"\nfunc main() { var a, b int; fmt.Scan(&a, &b); fmt.Print(a + b) }",
    ),
];

#[test]
fn pypis_client_finds_what_it_knows() {
    let Some(interpreter) = python::interpreter() else { return };
    if !can_run(&["python3", "g++", "bash"]) {
        return;
    }
    let mut programs = json!({
        "crashed": ["python", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"],
        "raised": ["python", "raise ValueError('no')"],
        "filled": ["python", "kept = []\nwhile True: kept.append(b'x' * 2**24)"],
        "not compiled": ["cpp", "int main() { return undeclared; }"],
    });
    for (language, needs, program) in SUMS {
        if is_here(needs) {
            programs[language] = json!([language, program]);
        } else {
            eprintln!("skipped: {language} over SandboxFusion's wire needs {needs}");
        }
    }
    let server = Server::start(&[]);
    let found = python::run(interpreter, CLIENT, &[&server.url(""), &programs.to_string()]);

    for (language, _, _) in SUMS {
        let sum = &found[language];
        if programs[language].is_array() {
            let told = (&sum["status"], &sum["run_result"]["stdout"], &sum["run_result"]["return_code"]);
            assert_eq!(told, (&json!("Success"), &json!("9"), &json!(0)), "{language}: {sum}");
            assert!(sum["run_result"]["execution_time"].as_f64().unwrap() > 0.0);
        }
    }
    assert_eq!(found["cpp"]["compile_result"]["return_code"], 0);
    assert_eq!(found["python"]["compile_result"], Value::Null);

    let code = |name: &str| found[name]["run_result"]["return_code"].clone();
    let stderr = |name: &str, stage: &str| found[name][stage]["stderr"].as_str().unwrap().to_owned();
    for (name, summary, return_code) in
        [("crashed", "RE", json!(-11)), ("raised", "RE", json!(1)), ("filled", "RE", json!(-9))]
    {
        let told = (&found[name]["status"], &found[name]["summary"], code(name));
        assert_eq!(told, (&json!("Failed"), &json!(summary), return_code), "{}", found[name]);
    }
    assert!(stderr("raised", "run_result").contains("ValueError: no"));
    assert!(
        stderr("filled", "run_result")
            .contains("rollcage: killed: it used more memory than its limit (memory)")
    );
    let failed = &found["not compiled"];
    assert_eq!((&failed["summary"], &failed["run_result"]), (&json!("CE"), &Value::Null), "{failed}");
    assert!(stderr("not compiled", "compile_result").contains("undeclared"), "{failed}");

    let stopped = &found["stopped"];
    assert_eq!(
        (&stopped["summary"], &stopped["run_result"]["status"]),
        (&json!("TLE"), &json!("TimeLimitExceeded"))
    );
    assert_eq!((&stopped["run_result"]["stdout"], code("stopped")), (&json!("so far\n"), Value::Null));

    let files = &found["files"];
    assert_eq!(files["files"], json!({"./out/back.bin": "MQr/AA==", "in/data.bin": "AP8KMQ=="}), "{files}");
    assert_eq!(
        files["run_result"]["stdout"], "['in', 'out', 'snippet.py']\n",
        "what is ignored is not there"
    );

    let squares: Vec<String> = (0..32).map(|n| format!("{}\n", n * n)).collect();
    assert_eq!(found["concurrent"], json!(squares), "each reply goes to whoever asked");
    assert_eq!(found["asynchronous"], json!((0..8).map(|n| format!("{n}\n")).collect::<Vec<_>>()));

    let calls = programs.as_object().unwrap().len() as u64 + 2 + 32 + 8;
    assert_eq!(server.answered("/run_code", 200), calls, "a program's fault is asked about once");
}

#[test]
fn verl_scores_programs_and_asks_once() {
    let Some(interpreter) = python::interpreter() else { return };
    if !can_run(&["python3", "g++"]) {
        return;
    }
    let cases = json!([
        ["python", "print(int(input()) + 1)", "1\n", "2\n", 10],
        ["python", "print(int(input()) + 1)", "5", "2", 10],
        ["python", "print(", "", "", 10],
        ["python", "while True: pass", "", "", 0.5],
        ["python", "x = [0] * 10**10", "", "", 10],
        ["cpp", CPP_SUM, "4 5", "9", 30],
        ["cpp", CPP_SUM, "1 1", "2", 30],
        ["cpp", "int main() { undeclared; }", "", "", 30],
        ["cpp", "int main() { volatile int *p = nullptr; return *p; }", "", "", 30],
    ]);
    let server = Server::start(&[]);
    let url = format!("{}/run_code", server.url(""));
    let scores = python::run(interpreter, VERL, &[&url, &cases.to_string()]);
    let expected =
        json!([[true, 1], [false, 1], [-2, 1], [-3, 1], [-2, 1], [true, 1], [true, 1], [-4, 1], [-2, 1],]);
    assert_eq!(scores, expected);
    assert_eq!(server.answered("/run_code", 200), 9);
}

#[test]
fn identical_programs_are_compiled_once() {
    if !can_run(&["g++"]) {
        return;
    }
    let server = Server::start(&[]);
    let compiling = |stdin: &str, seconds: u32| {
        let body = json!({"code": CPP_SUM, "language": "cpp", "stdin": stdin, "compile_timeout": seconds});
        let reply = server.post("/run_code", &body).body;
        assert_eq!(reply["status"], "Success", "{reply}");
        reply["compile_result"].clone()
    };
    let first = compiling("1 2", 30);
    assert_eq!(compiling("3 4", 30), first, "the same outcome, to the nanosecond");
    assert_ne!(compiling("3 4", 31), first, "another limit is another request");
}

#[test]
fn requests_without_sense_are_named_and_not_run() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(&["--memory-max", "2GiB"]);
    assert_eq!((server.get("/v1/ping").status, server.get("/v1/ping").body), (200, json!("pong")));
    let with = |field: &str, value: Value| {
        let mut body = json!({"code": "print(1)", "language": "python"});
        body[field] = value;
        server.post("/run_code", &body)
    };
    for (field, value, loc, says) in [
        ("language", json!("cuda"), json!(["body", "language"]), "'python'"),
        ("files", json!({"../x": ""}), json!(["body", "files", "../x"]), "leads out"),
        ("files", json!({"a": "", "a/b": ""}), json!(["body", "files"]), "cannot place `a/b`"),
        ("files", json!({"x": "not base64"}), json!(["body", "files", "x"]), "not base64"),
        ("run_timeout", json!(-1), json!(["body", "run_timeout"]), "above 0"),
        ("run_timeout", json!(100_000), json!(["body", "run_timeout"]), "at most 600 seconds"),
        ("memory_limit_MB", json!(4096), json!(["body", "memory_limit_MB"]), "no more than 2GiB"),
    ] {
        let answer = with(field, value);
        let mistake = &answer.body["detail"][0];
        assert_eq!((answer.status, &mistake["loc"]), (422, &loc), "{answer:?}");
        assert!(mistake["msg"].as_str().unwrap().contains(says), "{answer:?}");
    }
    assert_eq!(server.post_bytes("/run_code", b"{").status, 422);
    assert_eq!(server.post_bytes("/run_code", "[".repeat(100_000).as_bytes()).status, 422);
    assert_eq!(with("memory_limit_MB", json!(2048)).body["run_result"]["stdout"], "1\n");
    assert_eq!(with("unknown", json!([[[]]])).body["status"], "Success");
}
