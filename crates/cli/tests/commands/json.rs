//! `--json`: one object, whose shape scripts rely on.

use serde_json::{Value, json};

use crate::harness::{Files, can_run, rollcage};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_run_is_one_object() {
    if !can_run(&["python3"]) {
        return;
    }
    let program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)";
    let files = Files::new(&[("a.py", program)]);
    let finished = rollcage(&["run", "--json", &files.at("a.py")]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(3), ""));
    assert!(finished.text().ends_with("}\n") && finished.text().lines().count() == 1);
    let object = finished.json();
    assert_eq!(keys(&object), ["termination", "start", "stdout", "stderr", "usage", "enforcement"]);
    assert_eq!(object["termination"], json!({"kind": "exited", "code": 3}));
    assert_eq!(object["stdout"], json!({"text": "out\n", "bytes_total": 4, "truncated": false}));
    assert_eq!(object["stderr"], json!({"text": "err\n", "bytes_total": 4, "truncated": false}));
    assert_eq!(keys(&object["usage"]), ["cpu_ms", "wall_ms", "memory_bytes", "processes"]);
    assert!(object["usage"]["wall_ms"].as_f64().unwrap() > 0.0, "{object}");
    assert!(object["usage"]["memory_bytes"].as_u64().unwrap() > 100_000, "{object}");
    assert_eq!(object["enforcement"]["level"], "full");
    let mechanisms = object["enforcement"]["mechanisms"].as_array().unwrap();
    let seccomp = mechanisms.iter().find(|mechanism| mechanism["mechanism"] == "seccomp").unwrap();
    assert_eq!(seccomp["state"], "full");
}

#[test]
fn a_signal_is_told_by_number() {
    if !can_run(&["python3"]) {
        return;
    }
    let files = Files::new(&[("a.py", "import os; os.abort()")]);
    let finished = rollcage(&["run", "--json", &files.at("a.py")]);
    assert_eq!(finished.code, Some(109));
    assert_eq!(finished.json()["termination"], json!({"kind": "signaled", "signal": 6}));
}

#[test]
fn a_compiled_program_has_two_parts() {
    if !can_run(&["gcc"]) {
        return;
    }
    let warned = "int main(void) { int unused = f(); return 0; }\nint f(void) { return 0; }\n";
    let files = Files::new(&[("good.c", warned), ("bad.c", "int main(void) { return x; }\n")]);
    let good = rollcage(&["run", "--json", &files.at("good.c")]);
    assert_eq!(good.code, Some(0), "{good:?}");
    let good = good.json();
    assert_eq!(keys(&good), ["termination", "start", "stdout", "stderr", "usage", "enforcement", "compile"]);
    assert_eq!(good["compile"]["succeeded"], true);
    assert!(good["compile"]["stderr"]["text"].as_str().unwrap().contains("warning"), "{good}");
    assert_eq!(good["stderr"]["text"], "");

    let bad = rollcage(&["run", "--json", &files.at("bad.c")]);
    assert_eq!((bad.code, bad.stderr.as_str()), (Some(111), ""));
    let bad = bad.json();
    assert_eq!(bad["compile"]["succeeded"], false);
    assert_eq!(bad["compile"]["termination"], json!({"kind": "exited", "code": 1}));
    assert!(bad["compile"]["stderr"]["text"].as_str().unwrap().contains("error"), "{bad}");
}
