//! `rollcage languages` and `rollcage doctor`.

use crate::harness::{Files, can_run, rollcage};

const MISSING: &str = "prompt: p\nfilename: a.x\nexecute: no-such-compiler a.x\n";

#[test]
fn the_list_shows_where_languages_come_from_and_what_they_lack() {
    let files = Files::new(&[("klingon.yaml", MISSING), ("notes.txt", "not a language")]);
    let finished = rollcage(&["languages", "list", "--languages", files.path(), "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let languages = finished.json()["languages"].as_array().unwrap().clone();
    let names: Vec<_> = languages.iter().map(|language| language["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let named = |name| languages.iter().find(|language| language["name"] == name).unwrap();
    let klingon = named("klingon");
    assert_eq!(klingon["source"], files.at("klingon.yaml"));
    assert_eq!((&klingon["present"], &klingon["missing"][0]), (&false.into(), &"no-such-compiler".into()));
    assert!(klingon["version"].is_null(), "{klingon}");
    let keys = [
        "name",
        "display",
        "aliases",
        "present",
        "version",
        "warm",
        "source",
        "toolchain",
        "missing",
        "compiled",
        "session",
    ];
    assert!(klingon.as_object().unwrap().keys().eq(keys), "{klingon}");
    assert_eq!((&named("bash")["source"], &named("bash")["toolchain"]), (&"built-in".into(), &"host".into()));
    assert_eq!(named("julia")["toolchain"], "root");
    let table = rollcage(&["languages", "list", "klingon", "--languages", files.path()]);
    assert!(table.text().contains("missing no-such-compiler"), "{table:?}");
}

#[test]
fn self_tests_run_in_the_cage() {
    if !can_run(&["lua5.4", "bash"]) {
        return;
    }
    let finished = rollcage(&["languages", "test", "lua", "bash"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.text().contains("12 passed, 0 failed, 0 without a toolchain"), "{finished:?}");
    for test in ["output", "exit code", "compile error", "runtime error", "time limit", "memory limit"] {
        let rows = finished.text().lines().filter(|line| line.contains(test) && line.contains("✓ passed"));
        assert_eq!(rows.count(), 2, "{test}");
    }
}

#[test]
fn a_self_test_that_fails_says_why() {
    if !can_run(&["cat"]) {
        return;
    }
    let yaml = "prompt: p\nfilename: a.x\nexecute: cat a.x\ntests:\n  \
                - {name: same, program: text, stdout: text}\n  - {name: other, program: text, stdout: else}\n";
    let files = Files::new(&[("copy.yaml", yaml), ("klingon.yaml", MISSING)]);
    let test = |name: &str| rollcage(&["languages", "test", name, "--languages", files.path(), "--json"]);
    let finished = test("copy");
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let report = finished.json();
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &1.into()));
    assert_eq!(report["tests"][0]["result"], "passed");
    assert_eq!(report["tests"][1]["reason"], "expected it to print \"else\", but it printed \"text\"");
    let finished = test("klingon");
    assert_eq!(
        (finished.code, &finished.json()["missing_toolchains"]),
        (Some(112), &1.into()),
        "{finished:?}"
    );
}

#[test]
fn installing_says_what_it_runs_and_whether_it_helped() {
    let marker = Files::new::<&str>(&[]);
    let line = format!("touch {}", marker.at("ran"));
    let yaml = format!("{MISSING}install: {line}\n");
    let here = "prompt: p\nfilename: a.x\nexecute: cat a.x\ninstall: exit 1\n";
    let files = Files::new(&[("klingon.yaml", yaml.as_str()), ("copy.yaml", here), ("manual.yaml", MISSING)]);
    let install =
        |name: &str| rollcage(&["languages", "install", name, "--languages", files.path(), "--json"]);
    let finished = install("klingon");
    assert_eq!(finished.code, Some(112), "{finished:?}");
    assert!(finished.stderr.contains(&format!("installing klingon: {line}")), "{finished:?}");
    assert!(std::path::Path::new(&marker.at("ran")).exists());
    let result = &finished.json()["languages"][0];
    assert_eq!((&result["result"], &result["command"]), (&"failed".into(), &line.into()));
    assert!(result["reason"].as_str().unwrap().contains("no-such-compiler is still missing"));
    for (name, code, expected) in [("copy", 0, "present"), ("manual", 112, "manual")] {
        let finished = install(name);
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert_eq!(finished.json()["languages"][0]["result"], expected);
    }
}

#[test]
fn doctor_shows_mechanisms_and_versions() {
    if !can_run(&["python3"]) {
        return;
    }
    let finished = rollcage(&["doctor", "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = finished.json();
    assert_eq!((&report["level"], &report["works"]), (&"full".into(), &true.into()));
    assert_eq!(report["mechanisms"].as_array().unwrap().len(), 17);
    let languages = report["languages"].as_array().unwrap();
    let python = languages.iter().find(|language| language["name"] == "python").unwrap();
    assert!(python["version"].as_str().unwrap().starts_with("Python 3."), "{python}");
    assert!(python["install"].as_str().unwrap().contains("python3"), "{python}");
    let table = rollcage(&["doctor"]);
    assert!(table.text().contains("Isolation level `full` works."), "{table:?}");
}
