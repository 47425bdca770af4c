//! `rollcage judge`: what each kind of solution deserves, in each language.

use std::fs;
use std::io::{BufRead as _, BufReader};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::harness::{Place, can_run, finish, jsonl};

/// Adds two numbers; three ways to fail at it, and the verdict each deserves.
struct Sums {
    language: &'static str,
    programs: &'static [&'static str],
    right: &'static str,
    wrong: &'static str,
    crash: &'static str,
    crash_verdict: &'static str,
    endless: &'static str,
}

const SUMS: [Sums; 6] = [
    Sums {
        language: "python",
        programs: &["python3"],
        right: "a, b = map(int, input().split())\nprint(a + b)\n",
        wrong: "print(0)\n",
        crash: "raise SystemExit(3)\n",
        crash_verdict: "runtime_error",
        endless: "while True: pass\n",
    },
    Sums {
        language: "javascript",
        programs: &["node"],
        right: "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number); console.log(a + b);",
        wrong: "console.log(0);",
        crash: "process.exit(3);",
        crash_verdict: "runtime_error",
        endless: "for (;;);",
    },
    Sums {
        language: "lua",
        programs: &["lua5.4"],
        right: "local a, b = io.read('n', 'n') print(a + b)",
        wrong: "print(0)",
        crash: "os.exit(3)",
        crash_verdict: "runtime_error",
        endless: "while true do end",
    },
    Sums {
        language: "bash",
        programs: &["bash"],
        right: "read -r a b; echo $((a + b))",
        wrong: "echo 0",
        crash: "exit 3",
        crash_verdict: "runtime_error",
        endless: "while :; do :; done",
    },
    Sums {
        language: "c",
        programs: &["gcc"],
        right: "#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d %d\", &a, &b); printf(\"%d\\n\", a + b); }\n",
        wrong: "#include <stdio.h>\nint main(void) { puts(\"0\"); }\n",
        crash: "int main(void) { return undeclared; }\n",
        crash_verdict: "compile_error",
        endless: "int main(void) { for (volatile int i = 0;; i = 0) { } }\n",
    },
    Sums {
        language: "cpp",
        programs: &["g++"],
        right: "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }\n",
        wrong: "int main() { }\n",
        crash: "#include <cstdlib>\nint main() { std::abort(); }\n",
        crash_verdict: "runtime_error",
        endless: "int main() { for (volatile int i = 0;; i = 0) { } }\n",
    },
];

fn problem() -> String {
    jsonl(&[json!({
        "id": "sum", "prompt": "Add.",
        "cases": [{"stdin": "1 2\n", "expected": "3\n"}, {"stdin": "2 2\n", "expected": "4"}],
        "limits": {"cpu_time": "1s", "wall_time": "20s"},
    })])
}

#[test]
fn each_language_gets_its_verdicts() {
    for sums in SUMS {
        if !can_run(sums.programs) {
            continue;
        }
        let place = Place::new(&[("problems.jsonl", &problem())]);
        let solutions = [sums.right, sums.wrong, sums.crash, sums.endless];
        let rows =
            solutions.map(|code| json!({"task_id": "sum", "solution": code, "language": sums.language}));
        place.write("samples.jsonl", &jsonl(&rows));
        let finished = place.run(&["judge", "samples.jsonl", "--problems", "problems.jsonl", "--json"]);
        let verdicts: Vec<_> = finished.lines().iter().map(|row| row["verdict"].clone()).collect();
        let expected = ["accepted", "wrong_answer", sums.crash_verdict, "time_limit_exceeded"];
        assert_eq!(verdicts, expected, "{}: {finished:?}", sums.language);
        assert_eq!(finished.code, Some(1));
    }
}

#[test]
fn partial_scores_are_given_where_asked_for() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = Place::new(&[("problems.jsonl", &problem())]);
    place.write("samples.jsonl", &jsonl(&[json!({"id": "sum", "code": "print(3)\n"})]));
    let arguments =
        ["judge", "samples.jsonl", "--problems", "problems.jsonl", "-l", "py", "--json", "--run-all"];
    let row = place.run(&arguments).lines().remove(0);
    assert_eq!((&row["verdict"], &row["score"]), (&json!("partially_correct"), &json!(0.5)));
    assert_eq!(row["cases"].as_array().map(Vec::len), Some(2));
    let row = place.run(&arguments[..arguments.len() - 1]).lines().remove(0);
    assert_eq!((&row["verdict"], &row["score"]), (&json!("wrong_answer"), &json!(0.0)));
}

#[test]
fn a_solution_that_skips_its_tests_is_not_accepted() {
    if !can_run(&["python3", "lua5.4"]) {
        return;
    }
    let problem = |id, language, test_code| json!({"id": id, "prompt": "p", "language": language, "test_code": test_code});
    let place = Place::new(&[]);
    place.write(
        "problems.jsonl",
        &jsonl(&[problem("py", "python", "assert f() == 1\n"), problem("lua", "lua", "assert(f() == 1)\n")]),
    );
    let rows = [
        ("py", "def f(): return 1\n", "accepted"),
        ("py", "import os\nos._exit(0)\n", "runtime_error"),
        ("py", "import sys\nsys.exit(0)\n", "runtime_error"),
        ("py", "def f(): return 2\n", "runtime_error"),
        ("lua", "function f() return 1 end\n", "accepted"),
        ("lua", "os.exit(0)\n", "runtime_error"),
    ];
    place.write(
        "samples.jsonl",
        &jsonl(&rows.map(|(id, solution, _)| json!({"task_id": id, "solution": solution}))),
    );
    let finished = place.run(&["judge", "samples.jsonl", "--problems", "problems.jsonl", "--json"]);
    let verdicts: Vec<_> = finished.lines().iter().map(|row| row["verdict"].clone()).collect();
    assert_eq!(verdicts, rows.map(|(_, _, verdict)| verdict), "{finished:?}");
}

#[test]
fn a_problem_that_does_not_fit_its_own_limits_is_blamed_itself() {
    if !can_run(&["python3"]) {
        return;
    }
    let problem = json!({
        "id": "large", "prompt": "p", "language": "python", "cases": [{"expected": "1"}],
        "limits": {"disk": "64KiB"}, "files": {"data.txt": "x".repeat(200_000)},
    });
    let place = Place::new(&[("problems.jsonl", &jsonl(&[problem]))]);
    place.write("samples.jsonl", &jsonl(&[json!({"id": "large", "code": "print(1)\n"})]));
    let finished = place.run(&["judge", "samples.jsonl", "--problems", "problems.jsonl", "--json"]);
    let row = finished.lines().remove(0);
    assert_eq!(row["error"]["blame"], "problem", "{row}");
    assert!(row.get("verdict").is_none() && row.get("score").is_none());
    assert_eq!(finished.code, Some(111));
}

#[test]
fn mistakes_are_answered_with_advice() {
    let place = Place::new(&[("problems.jsonl", &problem())]);
    place.write("samples.jsonl", &jsonl(&[json!({"id": "sun", "code": "x"})]));
    place.write("none.jsonl", "\n");
    for (arguments, code, expected) in [
        (
            &["judge", "samples.jsonl", "--problems", "problems.jsonl", "-l", "py"][..],
            111,
            "did you mean `sum`?",
        ),
        (&["judge", "samples.jsonl", "--problems", "nowhere.jsonl"], 111, "cannot read `nowhere.jsonl`"),
        (&["judge", "none.jsonl", "--problems", "problems.jsonl"], 111, "`none.jsonl` holds no solution"),
        (&["judge", "samples.jsonl"], 2, "name them with --problems or --dataset"),
        (&["judge", "samples.jsonl", "--dataset", "humanevla"], 111, "did you mean `humaneval`?"),
        (&["judge", "samples.jsonl", "--dataset", "humaneval"], 111, "--data names a directory"),
        (&["judge"], 2, "SAMPLES"),
    ] {
        let finished = place.run(arguments);
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert!(finished.stderr.contains(expected), "{finished:?}");
        assert!(finished.stdout.is_empty());
    }
}

/// Whether a process on this machine is called `name`.
fn is_running(name: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|entry| {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).next().is_some_and(|program| program == name.as_bytes())
    })
}

#[test]
fn an_interrupted_judge_takes_its_programs_with_it() {
    if !can_run(&["bash"]) {
        return;
    }
    let name = format!("endless-{}", std::process::id());
    let code = format!("exec -a {name} bash -c 'trap \"\" INT TERM; while :; do :; done'\n");
    let limits = json!({"cpu_time": "10m", "wall_time": "10m"});
    let problem = json!({"id": "p", "prompt": "p", "cases": [{"expected": "1"}], "limits": limits});
    let place = Place::new(&[("problems.jsonl", &jsonl(&[problem]))]);
    place.write("samples.jsonl", &jsonl(&[json!({"id": "p", "code": code, "language": "bash"})]));
    let mut child = place.start(&["judge", "samples.jsonl", "--problems", "problems.jsonl"]);
    while !is_running(&name) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its program began");
    }
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let finished = finish(child);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(110), ""), "{finished:?}");
    assert!(!is_running(&name));
}

#[test]
fn results_are_printed_as_they_come_and_in_order() {
    if !can_run(&["bash"]) {
        return;
    }
    let limits = json!({"cpu_time": "10m", "wall_time": "10m"});
    let problem = json!({"id": "p", "prompt": "p", "cases": [{"expected": "1"}], "limits": limits});
    let place = Place::new(&[("problems.jsonl", &jsonl(&[problem]))]);
    let solution = |code: &str| json!({"id": "p", "code": code, "language": "bash"});
    let slow = "for ((i = 0; i < 300000; i++)); do :; done; echo 1";
    let codes = [slow, "echo 2", "while :; do :; done", "echo 4"];
    place.write("samples.jsonl", &jsonl(&codes.map(solution)));
    let mut child = place.start(&["judge", "samples.jsonl", "--problems", "problems.jsonl", "--json"]);
    let rows = BufReader::new(child.stdout.take().unwrap()).lines().take(2);
    let samples: Vec<_> = rows
        .map(|row| serde_json::from_str::<serde_json::Value>(&row.unwrap()).unwrap()["sample"].clone())
        .collect();
    assert_eq!(samples, [json!(0), json!(1)]);
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let finished = finish(child);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(110), ""), "{finished:?}");
}
