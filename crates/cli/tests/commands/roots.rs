//! `rollcage languages build`, and languages on root file systems of their own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::harness::{Files, Finished, can_run, command, finish, rollcage, rollcage_reading};

/// A shell and one program of an old suite, whose version the host does not have.
const GREETER: &str = "\
prompt: p
filename: a.sh
execute: sh a.sh
toolchain: [sh, hello, greet]
version: hello --version
root:
  debian: bullseye
  archived: true
  packages: [hello]
  fixups:
    - {path: /usr/bin/greet, link: hello}
    - {path: /etc/greeting, content: \"well met\\n\"}
    - {path: /etc/debian_version, replace: \"11.\", with: \"XI.\"}
tests:
- name: output
  program: |
    hello
    greet -t
    read line </etc/greeting; echo \"$line\"
    read line </etc/debian_version; echo \"${line%%.*}\"
  stdout: |
    Hello, world!
    hello, world
    well met
    XI
";

/// A directory of roots, and one with the language file.
struct Place {
    roots: Files,
    languages: Files,
}

impl Place {
    fn new() -> Self {
        let (roots, languages) = (Files::new::<&str>(&[]), Files::new(&[("greeter.yaml", GREETER)]));
        Self { roots, languages }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("ROLLCAGE_ROOTS", self.roots.path()).env("ROLLCAGE_LANGUAGES", self.languages.path());
        // What is asked of a server of this test goes to it.
        command.env("no_proxy", "127.0.0.1");
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments))
    }

    fn build_from(&self, mirror: &str) -> Command {
        self.command(&["languages", "build", "greeter", "--json", "--mirror", mirror])
    }

    /// What is there but for locks: roots, links to them, and work that was left.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for part in ["", "recipes", "work"] {
            let Ok(entries) = fs::read_dir(Path::new(self.roots.path()).join(part)) else { continue };
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            left.extend(names.filter(|name| !["recipes", "work"].contains(&name.as_str())));
        }
        left.retain(|name| !name.ends_with(".lock"));
        left
    }
}

/// Whether the host can build roots at all; says what is missing if not.
fn can_build() -> bool {
    for needed in ["/usr/bin/apt-get", "/usr/share/keyrings/debian-archive-keyring.gpg"] {
        if !Path::new(needed).exists() {
            eprintln!("skipped: needs {needed}");
            return false;
        }
    }
    true
}

#[test]
fn a_mirror_that_is_not_reached_leaves_nothing() {
    if !can_build() {
        return;
    }
    let place = Place::new();
    let finished = finish(&mut place.build_from("http://127.0.0.1:1/debian"));
    assert_eq!(finished.code, Some(113), "{finished:?}");
    let expected = "cannot fetch the package index of `bullseye` from http://127.0.0.1:1/debian: ";
    assert!(finished.stderr.contains(expected), "{finished:?}");
    assert!(finished.stderr.contains("hint: ") && finished.stdout.is_empty(), "{finished:?}");
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_built_is_said_before_anything_is_done() {
    let place = Place::new();
    let finished = finish(&mut place.build_from("ftp//no mirror"));
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("`ftp//no mirror` is not the address of a mirror"), "{finished:?}");
    let finished = place.run(&["languages", "build", "bash"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("Bash has no root file system of its own"), "{finished:?}");
    let finished = place.run(&["languages", "install", "greeter", "--json"]);
    assert_eq!((finished.code, &finished.json()["languages"][0]["result"]), (Some(112), &"build".into()));
    assert_eq!(place.left(), Vec::<String>::new());
}

/// Starts a build, and returns once it waits for a mirror that says nothing.
fn stuck_build(place: &Place) -> (Child, TcpListener, std::net::TcpStream) {
    let mirror = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/debian", mirror.local_addr().unwrap());
    let child = place.build_from(&address).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (asked, _peer) = mirror.accept().unwrap();
    (child, mirror, asked)
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    if !can_build() {
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let (child, _mirror, _asked) = stuck_build(&place);
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(110), "{output:?}");
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[test]
fn a_killed_build_is_not_taken_for_whole_and_the_next_one_starts_anew() {
    if !can_build() {
        return;
    }
    let place = Place::new();
    let (child, mirror, asked) = stuck_build(&place);
    send(&child, Signal::KILL);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(9), "{output:?}");
    assert_eq!(place.left().len(), 1, "the work it was at");
    let listed = place.run(&["languages", "list", "greeter", "--json"]);
    assert_eq!(listed.json()["languages"][0]["present"], false);
    // What it had started waits for the mirror still, and the next build for that.
    let next = place.build_from("http://127.0.0.1:1/debian").stderr(Stdio::piped()).spawn().unwrap();
    drop((mirror, asked));
    let output = next.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(113), "{output:?}");
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_language_without_its_root_is_a_missing_toolchain() {
    if !can_run(&["bash"]) {
        return;
    }
    let place = Place::new();
    let program = Files::new(&[("a.sh", "hello\n")]);
    for (level, why, hint) in [
        ("full", "which is not built", "hint: build it with `rollcage languages build greeter`"),
        ("process", "level process has no mounts", "hint: use level full or rootless"),
    ] {
        let level = ["--isolation", level];
        let run = place.run(&[&["run", "-l", "greeter", &program.at("a.sh")], &level[..]].concat());
        let judge = ["judge", "--protocol", "agnostics", "-l", "greeter"];
        let judge = place.run(&[&judge, &level[..]].concat());
        for finished in [run, judge] {
            assert_eq!(finished.code, Some(112), "{finished:?}");
            assert!(finished.stderr.contains(why) && finished.stderr.contains(hint), "{finished:?}");
        }
        let tested = place.run(&[&["languages", "test", "greeter", "--json"], &level[..]].concat());
        assert_eq!((tested.code, &tested.json()["missing_toolchains"]), (Some(112), &1.into()));
        assert!(tested.json()["tests"][0]["reason"].as_str().unwrap().contains(why), "{tested:?}");
    }
}

/// Two at once, of which one builds; and then everything that can be done with what they built.
#[test]
fn a_root_is_built_once_and_its_programs_run_beside_those_of_the_host() {
    if !can_build() || !can_run(&["bash"]) {
        return;
    }
    let place = Place::new();
    let build = || {
        let mut command = place.command(&["languages", "build", "greeter", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let builds = [build(), build()].map(|child| child.wait_with_output().unwrap());
    let said: Vec<_> = builds.iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
    if said.iter().any(|said| said.contains("cannot fetch") || said.contains("names no Debian mirror")) {
        eprintln!("skipped: needs a Debian mirror that can be reached");
        return;
    }
    let mut results: Vec<_> = builds
        .iter()
        .map(|output| {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            report["languages"][0].clone()
        })
        .collect();
    results.sort_by_key(|result| result["result"].to_string());
    assert_eq!((&results[0]["result"], &results[1]["result"]), (&"built".into(), &"present".into()));
    assert_eq!(results[0]["root"], results[1]["root"]);
    let packages = results[0]["packages"].as_array().unwrap();
    assert!(packages.iter().any(|name| name.as_str().unwrap().starts_with("hello_2.10-")), "{packages:?}");
    let name = Path::new(results[0]["root"].as_str().unwrap()).parent().unwrap().file_name().unwrap();
    assert_eq!(place.left().len(), 2, "a root and the link to it, and no work: {:?}", place.left());
    assert!(name.to_str().unwrap().starts_with("hello-bullseye-"), "{name:?}");

    let tested = place.run(&["languages", "test", "greeter", "bash"]);
    assert_eq!(tested.code, Some(0), "{tested:?}");
    let listed = place.run(&["languages", "list", "greeter", "--json"]).json();
    let greeter = &listed["languages"][0];
    assert_eq!((&greeter["present"], &greeter["toolchain"]), (&true.into(), &"root".into()));
    assert_eq!(greeter["version"], "hello (GNU Hello) 2.10");

    // Both in one judging: each solution finds its own root.
    let solutions = ["greeter", "bash"].map(|language| {
        let code = "test -e /etc/greeting && echo own || echo host";
        let row = serde_json::json!({"task_id": language, "solution": code, "language": language});
        format!("{row}\n")
    });
    let problems = [("greeter", "own\n"), ("bash", "host\n")].map(|(id, expected)| {
        let row = serde_json::json!({"id": id, "prompt": "p", "language": id,
            "cases": [{"stdin": "", "expected": expected}]});
        format!("{row}\n")
    });
    let files = Files::new(&[("s.jsonl", solutions.concat()), ("p.jsonl", problems.concat())]);
    let judged = place.run(&["judge", &files.at("s.jsonl"), "--problems", &files.at("p.jsonl"), "--json"]);
    assert_eq!(judged.code, Some(0), "{judged:?}");
}

#[test]
fn julia_passes_its_self_tests() {
    if !can_run(&["bash"]) {
        return;
    }
    if std::env::var_os("ROLLCAGE_LONG").is_some() && can_build() {
        // Whether it worked is seen next.
        let _built = rollcage(&["languages", "build", "julia"]);
    }
    let listed = rollcage(&["languages", "list", "julia", "--json"]);
    if listed.json()["languages"][0]["present"] == false {
        eprintln!("skipped: needs `rollcage languages build julia`");
        return;
    }
    let tested = rollcage(&["languages", "test", "julia", "--json"]);
    assert_eq!((tested.code, &tested.json()["passed"]), (Some(0), &6.into()), "{tested:?}");
    has_sessions_in_julia();
}

fn has_sessions_in_julia() {
    let cells = [
        "x = 41",
        "f(n) = n + 1; f(x)",
        "for i in 1:3\n  x += i\nend; x;",
        "error(\"no\")",
        "while true; sum(rand(10)); end",
        "readline(), x",
    ];
    let session = rollcage_reading(
        &["session", "-l", "julia", "--cpu", "1s", "--json"],
        cells.join("\n%%\n").as_bytes(),
    );
    let told: Vec<serde_json::Value> = session
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|cell: serde_json::Value| json!([cell["ending"], cell["stdout"], cell["kept"]]))
        .collect();
    let expected = [
        json!(["it returned", "41\n", true]),
        json!(["it returned", "42\n", true]),
        json!(["it returned", "", true]),
        json!(["it raised ErrorException", "", true]),
        json!(["it raised InterruptException", "", true]),
        json!(["it returned", "(\"\", 47)\n", true]),
    ];
    assert_eq!(told, expected, "{session:?}");
}
