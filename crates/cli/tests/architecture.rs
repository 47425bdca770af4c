//! The rules of `ARCHITECTURE.md` that can be read off manifests and sources.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PURE: [&str; 5] = ["types", "language", "judge", "rollout", "api"];
const UNSAFE: [&str; 3] = ["sys", "guest", "shim"];
const ASYNC: [&str; 3] = ["engine", "server", "rollcage"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A crate's name as the table has it.
fn short(name: &str) -> String {
    name.strip_prefix("rollcage-").unwrap_or(name).to_owned()
}

/// For each crate of ours, the names it depends on, tests and builds aside.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let normal = |package: &serde_json::Value| {
        let listed = package["dependencies"].as_array().unwrap().iter();
        listed.filter(|d| d["kind"].is_null()).map(|d| d["name"].as_str().unwrap().to_owned()).collect()
    };
    packages.iter().map(|p| (short(p["name"].as_str().unwrap()), normal(p))).collect()
}

/// The table of `ARCHITECTURE.md`: for each crate, what it may depend on.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let table =
        text.split("<!-- crate edges: begin -->").nth(1).unwrap().split("<!-- crate edges: end -->").next();
    let row = |line: &str| {
        let line = line.strip_prefix('|').unwrap().strip_suffix('|').unwrap();
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [name, _owns, may] = cells[..] else { panic!("not a row of three cells: {line}") };
        let may = may.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        (name.to_owned(), may)
    };
    table.unwrap().lines().filter(|line| line.starts_with("| ")).skip(1).map(row).collect()
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    let allowed = allowed();
    let found = dependencies();
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        allowed.keys().collect::<Vec<_>>(),
        "the table lists every crate"
    );
    for (name, depends) in &found {
        let ours: BTreeSet<_> =
            depends.iter().filter(|d| d.starts_with("rollcage-")).map(|d| short(d)).collect();
        let surplus: Vec<_> = ours.difference(&allowed[name]).collect();
        assert!(surplus.is_empty(), "{name} depends on {surplus:?}, which ARCHITECTURE.md does not allow");
    }
}

#[test]
fn only_the_engine_and_the_edges_know_tokio() {
    for (name, depends) in dependencies() {
        let uses = depends.contains("tokio");
        assert!(!uses || ASYNC.contains(&name.as_str()), "{name} depends on tokio");
    }
}

#[test]
fn every_other_crate_forbids_unsafe_code() {
    let mut looked_at = 0;
    for entry in fs::read_dir(workspace().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let roots = [path.join("src/lib.rs"), path.join("src/main.rs")];
        let root = roots.into_iter().find(|file| file.exists()).unwrap();
        let forbids = fs::read_to_string(&root).unwrap().contains("#![forbid(unsafe_code)]");
        assert_ne!(forbids, UNSAFE.contains(&name.as_str()), "{}", root.display());
        looked_at += 1;
    }
    assert_eq!(looked_at, allowed().len());
}

#[test]
fn pure_crates_ban_effects_by_lint() {
    for name in PURE {
        let path = workspace().join("crates").join(name).join("clippy.toml");
        let text = fs::read_to_string(&path).unwrap_or_default();
        for banned in ["std::time::Instant::now", "std::fs::read_to_string", "std::process::Command::new"] {
            assert!(text.contains(banned), "{} does not ban {banned}", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    /// Beyond this a file has more than one subject.
    const LINES_MAX: usize = 800;
    let listed =
        Command::new("git").args(["ls-files", "*.rs", "*.py", "*.sh"]).current_dir(workspace()).output();
    let listed = listed.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    if listed.is_empty() {
        eprintln!("skipped: without git and a checkout, files of the project are not told from others");
        return;
    }
    for file in listed.lines() {
        let Ok(text) = fs::read_to_string(workspace().join(file)) else { continue };
        assert!(text.lines().count() <= LINES_MAX, "{file} has {} lines", text.lines().count());
        if file.ends_with(".rs") && file.contains("/src/") && !file.contains("tests") {
            assert!(text.starts_with("//!"), "{file} does not say what it owns");
        }
    }
}
