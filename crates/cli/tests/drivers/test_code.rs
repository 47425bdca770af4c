//! Tests given as code, language by language: what passes, what fails, and what leaves before its tests are through.

use serde_json::json;

use crate::harness::{Place, can_run, jsonl};

/// A function that must return 1, in one language.
struct Case {
    language: &'static str,
    programs: &'static [&'static str],
    test_code: &'static str,
    right: &'static str,
    wrong: &'static str,
    /// Solutions that see to it that the tests do not decide.
    evasive: &'static [&'static str],
}

const CASES: [Case; 15] = [
    Case {
        language: "c",
        programs: &["gcc"],
        test_code: "#include <assert.h>\nint main(void) { assert(f() == 1); }\n",
        right: "int f(void) { return 1; }\n",
        wrong: "int f(void) { return 2; }\n",
        evasive: &[
            "#include <stdlib.h>\nint f(void) { exit(0); }\n",
            "#include <unistd.h>\nint f(void) { _exit(0); }\n",
        ],
    },
    Case {
        language: "cpp",
        programs: &["g++"],
        test_code: "#include <assert.h>\nint main() { assert(f() == 1); }\n",
        right: "int f() { return 1; }\n",
        wrong: "int f() { return 2; }\n",
        evasive: &["#include <cstdlib>\nint f() { std::exit(0); }\n"],
    },
    Case {
        language: "go",
        programs: &["go", "gcc"],
        test_code: "package main\n\nimport \"testing\"\n\nfunc TestF(t *testing.T) {\n\tif f() != 1 {\n\t\tt.Fatal()\n\t}\n}\n",
        right: "package main\n\nfunc f() int { return 1 }\n",
        wrong: "package main\n\nfunc f() int { return 2 }\n",
        evasive: &[
            "package main\n\nimport \"os\"\n\nfunc f() int { os.Exit(0); return 2 }\n",
            "package main\n\nimport \"syscall\"\n\nfunc init() { syscall.Exit(0) }\n\nfunc f() int { return 2 }\n",
        ],
    },
    Case {
        language: "java",
        programs: &["javac", "java"],
        test_code: "public class Main {\n  public static void main(String[] a) { assert Solution.f() == 1; }\n}\n",
        right: "public class Solution { static int f() { return 1; } }\n",
        wrong: "class Solution { static int f() { return 2; } }\n",
        evasive: &[
            "class Solution { static int f() { System.exit(0); return 2; } }\n",
            "class Solution { static int f() { Runtime.getRuntime().halt(0); return 2; } }\n",
        ],
    },
    Case {
        language: "rust",
        programs: &["rustc"],
        test_code: "#[cfg(test)]\nmod tests {\n    #[test]\n    fn one() { assert_eq!(super::f(), 1); }\n}\n",
        right: "fn f() -> i32 { 1 }\n",
        wrong: "fn f() -> i32 { 2 }\n",
        evasive: &[
            "fn f() -> i32 { std::process::exit(0) }\n",
            "fn f() -> i32 { 2 }\n#[cfg(any())]\n",
            "#![cfg(any())]\nfn f() -> i32 { 2 }\n",
        ],
    },
    Case {
        language: "javascript",
        programs: &["node"],
        test_code: "console.assert(f() === 1);\n",
        right: "const f = () => 1;\n",
        wrong: "const f = () => 2;\n",
        evasive: &["const f = () => process.exit(0);\n", "process.stderr.write('-'); const f = () => 2;\n"],
    },
    Case {
        language: "typescript",
        programs: &["tsc", "node"],
        test_code: "console.assert(f() === 1);\n",
        right: "const f = (): number => 1;\n",
        wrong: "const f = (): number => 2;\n",
        evasive: &["const f = (): number => process.exit(0);\n"],
    },
    Case {
        language: "ocaml",
        programs: &["ocamlopt"],
        test_code: "let () = assert (f () = 1)\n",
        right: "let f () = 1\n",
        wrong: "let f () = 2\n",
        evasive: &["let f () = exit 0\n"],
    },
    Case {
        language: "perl",
        programs: &["perl"],
        test_code: "die unless f() == 1\n",
        right: "sub f { 1 }\n",
        wrong: "sub f { 2 }\n",
        evasive: &["sub f { exit 0 }\n"],
    },
    Case {
        language: "ruby",
        programs: &["ruby"],
        test_code: "raise unless f == 1\n",
        right: "def f = 1\n",
        wrong: "def f = 2\n",
        evasive: &["def f = exit!(0)\n"],
    },
    Case {
        language: "php",
        programs: &["php"],
        test_code: "if (f() !== 1) { throw new Exception(); }\n",
        right: "<?php function f() { return 1; }\n",
        wrong: "<?php function f() { return 2; }\n",
        evasive: &["<?php function f() { exit(0); }\n"],
    },
    Case {
        language: "r",
        programs: &["Rscript"],
        test_code: "stopifnot(f() == 1)\n",
        right: "f <- function() 1\n",
        wrong: "f <- function() 2\n",
        evasive: &["f <- function() quit(status = 0)\n"],
    },
    Case {
        language: "sqlite",
        programs: &["sqlite3"],
        test_code: "SELECT CASE (SELECT x FROM f) WHEN 1 THEN 'right' ELSE abs(-9223372036854775808) END;\n",
        right: "CREATE VIEW f AS SELECT 1 AS x;\n",
        wrong: "CREATE VIEW f AS SELECT 2 AS x;\n",
        evasive: &[".exit 0\n"],
    },
    Case {
        language: "postgresql",
        programs: &["psql", "python3"],
        test_code: "SELECT 1 / (CASE (SELECT x FROM f) WHEN 1 THEN 1 ELSE 0 END);\n",
        right: "CREATE VIEW f AS SELECT 1 AS x;\n",
        wrong: "CREATE VIEW f AS SELECT 2 AS x;\n",
        evasive: &["\\q\n"],
    },
    Case {
        language: "duckdb",
        programs: &["duckdb"],
        test_code: "SELECT CASE (SELECT x FROM f) WHEN 1 THEN 'right' ELSE error('wrong') END;\n",
        right: "CREATE VIEW f AS SELECT 1 AS x;\n",
        wrong: "CREATE VIEW f AS SELECT 2 AS x;\n",
        evasive: &[".exit 0\n"],
    },
];

#[test]
fn each_language_runs_its_tests_to_their_end() {
    for case in CASES.iter().filter(|case| can_run(case.programs)) {
        let problem =
            json!({"id": "one", "prompt": "p", "language": case.language, "test_code": case.test_code});
        let place = Place::new(&[("problems.jsonl", &jsonl(&[problem]))]);
        let solutions = [&[case.right, case.wrong], case.evasive].concat();
        let rows: Vec<_> = solutions.iter().map(|text| json!({"task_id": "one", "solution": text})).collect();
        place.write("samples.jsonl", &jsonl(&rows));
        let finished = place.run(&["judge", "samples.jsonl", "--problems", "problems.jsonl", "--json"]);
        let lines = finished.lines();
        assert_eq!(lines.len(), solutions.len(), "{finished:?}");
        for (row, solution) in lines.iter().zip(&solutions) {
            let expected = if *solution == case.right { "accepted" } else { "runtime_error" };
            assert_eq!(row["verdict"], expected, "{}: {solution}: {row}", case.language);
        }
    }
}

#[test]
fn what_assertions_reported_is_known_or_nothing_is_accepted() {
    if !can_run(&["node"]) {
        return;
    }
    let problem =
        json!({"id": "x", "prompt": "p", "language": "js", "test_code": "console.assert(f() === 1);\n"});
    let place = Place::new(&[("problems.jsonl", &jsonl(&[problem]))]);
    // More than is kept of a stream, and less than a program may write.
    let noisy = "require('fs').writeSync(2, '.'.repeat(9 << 20)); const f = () => 1;\n";
    place.write("samples.jsonl", &jsonl(&[json!({"task_id": "x", "solution": noisy})]));
    let finished = place.run(&["judge", "samples.jsonl", "--problems", "problems.jsonl", "--json"]);
    let row = finished.lines().remove(0);
    assert_eq!(row["verdict"], "output_limit_exceeded", "{finished:?}");
    assert!(row["reason"].as_str().unwrap().contains("more to standard error than is kept"), "{row}");
}

#[test]
fn a_library_that_is_missing_is_nobodys_failure() {
    if !can_run(&["sh"]) {
        return;
    }
    let language = "\
prompt: p
filename: a.sh
execute: sh a.sh
test_code:
  libraries: {thing: /usr/nowhere/thing}
  install: apt-get install -y thing
";
    let problem = |id: &str, test_code: &str| json!({"id": id, "prompt": "p", "language": "made", "test_code": test_code});
    let problems = [problem("with", "# thing\n"), problem("without", "true\n")];
    let place = Place::new(&[("problems.jsonl", &jsonl(&problems))]);
    std::fs::create_dir(place.path().join("languages")).unwrap();
    place.write("languages/made.yaml", language);
    let rows = ["with", "without"].map(|id| json!({"task_id": id, "solution": "true # thing\n"}));
    place.write("samples.jsonl", &jsonl(&rows));
    let arguments =
        ["judge", "samples.jsonl", "--problems", "problems.jsonl", "--languages", "languages", "--json"];
    let finished = place.run(&arguments);
    let lines = finished.lines();
    let text = lines[0].to_string();
    assert!(text.contains("/usr/nowhere/thing") && text.contains("apt-get install -y thing"), "{text}");
    assert!(lines[0].get("verdict").is_none_or(serde_json::Value::is_null), "{text}");
    assert_eq!(lines[1]["verdict"], "accepted", "the problem does not ask for it: {}", lines[1]);
}
