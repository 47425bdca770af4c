//! `rollcage run`: what programs write reaches us byte for byte, whatever it is and however much.

use std::process::Stdio;

use crate::harness::{Files, can_run, command, rollcage};

#[test]
fn neither_source_nor_output_needs_to_be_text() {
    if !can_run(&["python3"]) {
        return;
    }
    let source = b"# -*- coding: latin-1 -*-\nimport sys\nsys.stdout.buffer.write('\xe9\\x00\xff'.encode('latin-1'))\nsys.stderr.buffer.write(b'\\xfe')\n";
    let files = Files::new(&[("a.py", source)]);
    let output = command(&["run", &files.at("a.py")]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"\xe9\x00\xff".as_slice()));
    assert_eq!(output.stderr, b"\xfe");
    let json = rollcage(&["run", "--json", &files.at("a.py")]).json();
    assert_eq!(json["stdout"]["text"], "\u{fffd}\0\u{fffd}");
    assert_eq!(json["stdout"]["bytes_total"], 3);
}

const HUNDRED_MB: &str = "import sys\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)\n";

#[test]
fn a_hundred_megabytes_pass_if_they_may() {
    if !can_run(&["python3"]) {
        return;
    }
    let files = Files::new(&[("a.py", HUNDRED_MB)]);
    let finished = rollcage(&["run", &files.at("a.py"), "--output", "128MiB"]);
    assert_eq!((finished.code, finished.stdout.len()), (Some(0), 100_000_000), "{}", finished.stderr);
    assert!(finished.stdout.iter().all(|byte| *byte == b'x'));
}

#[test]
fn a_hundred_megabytes_are_cut_at_the_limit_if_not() {
    if !can_run(&["python3"]) {
        return;
    }
    let files = Files::new(&[("a.py", HUNDRED_MB)]);
    let finished = rollcage(&["run", &files.at("a.py")]);
    assert_eq!((finished.code, finished.stdout.len()), (Some(105), 16 << 20), "{}", finished.stderr);
    let json = rollcage(&["run", "--json", &files.at("a.py")]).json();
    assert_eq!(json["stdout"]["truncated"], true);
    assert!(json["stdout"]["bytes_total"].as_u64().unwrap() > 16 << 20);
    let kept = json["stdout"]["text"].as_str().unwrap();
    assert!(kept.len() < 16 << 20 && kept.contains("bytes omitted"));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    if !can_run(&["python3"]) {
        return;
    }
    let files = Files::new(&[("a.py", "print('x' * 1_000_000)\nexit(5)\n")]);
    let mut child =
        command(&["run", &files.at("a.py")]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_full_disk_under_our_output_is_a_failure_of_ours() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["languages", "list"]).stdout(full()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(113));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("error: cannot write to standard output: No space")
    );
}
