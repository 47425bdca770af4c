//! The standard streams.

use std::sync::Arc;
use std::time::Duration;

use rollcage_types::{ExecRequest, LimitKind};

use crate::harness::{check, check_prints, exceeded, exited, file, python, sh, text, with};

/// Many times what a pipe holds.
const LARGE: usize = 5 << 20;

fn fed(request: ExecRequest, input: &[u8]) -> ExecRequest {
    with(request, |request| request.stdin = Arc::from(input))
}

#[test]
fn the_streams_can_be_opened_by_their_names() {
    let script =
        "cat /dev/stdin > /dev/stdout; echo 2 > /dev/stderr; cat /proc/self/fd/0; echo 3 >> /dev/fd/1";
    let Some(outcome) = check(&fed(sh(script), b"1\n"), exited(0)) else { return };
    assert_eq!(
        (text(&outcome.stdout.head), text(&outcome.stderr.head)),
        ("1\n3\n".to_owned(), "2\n".to_owned())
    );
}

#[test]
fn bash_on_a_pipe_reads_no_start_up_file() {
    // It takes a socket as its input for a remote shell and then reads ~/.bashrc.
    let request = with(fed(ExecRequest::new(["bash"]), b"echo from-input\n"), |request| {
        request.env_vars.push(("HOME".to_owned(), "/ws/work".to_owned()));
        for name in [".bashrc", ".profile", ".bash_profile"] {
            request.files.push(file(name, b"echo from-start-up\n"));
        }
    });
    check_prints(&request, "from-input\n");
}

#[test]
fn input_larger_than_a_pipe_arrives_whole() {
    let input: Vec<u8> = (0..LARGE).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let program = "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())";
    let whole = "import hashlib; print(hashlib.sha256(bytes(i % 251 for i in range(5 << 20))).hexdigest())";
    let Some(expected) = check(&python(whole), exited(0)) else { return };
    check_prints(&fed(python(program), &input), &text(&expected.stdout.head));
    check_prints(&fed(sh("wc -c"), &input), &format!("{LARGE}\n"));
}

#[test]
fn input_that_nobody_reads_holds_nothing_up() {
    let input = vec![b'x'; LARGE];
    check(&fed(sh("true"), &input), exited(0));
    check(&fed(sh("exec <&-; echo closed"), &input), exited(0));
    check(&fed(sh("head -c 3 > /dev/null; exit 4"), &input), exited(4));
}

#[test]
fn no_input_is_end_of_file() {
    check_prints(&sh("wc -c"), "0\n");
}

#[test]
fn large_input_and_large_output_flow_at_once() {
    let input = vec![b'x'; LARGE];
    let Some(outcome) = check(&fed(ExecRequest::new(["cat"]), &input), exited(0)) else { return };
    assert!(outcome.stdout.complete().is_some_and(|bytes| *bytes == *input));
}

#[test]
fn closed_streams_are_not_the_end() {
    let request =
        with(sh("exec >&- 2>&-; sleep 60"), |request| request.limits.wall_time = Duration::from_millis(300));
    check(&request, exceeded(LimitKind::WallTime));
    let Some(outcome) = check(&sh("echo before; exec >&-; echo lost; exit 0"), exited(0)) else { return };
    assert_eq!(text(&outcome.stdout.head), "before\n");
}

#[test]
fn output_is_bytes() {
    let program = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 3)";
    let Some(outcome) = check(&python(program), exited(0)) else { return };
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(outcome.stdout.head, all.repeat(3));
}

#[test]
fn both_streams_may_be_filled_without_order() {
    let program = "import os\nfor _ in range(40):\n os.write(2, b'e' * 65536)\nfor _ in range(40):\n os.write(1, b'o' * 65536)";
    let Some(outcome) = check(&python(program), exited(0)) else { return };
    assert_eq!((outcome.stdout.bytes_total, outcome.stderr.bytes_total), (40 << 16, 40 << 16));
}

#[test]
fn what_a_child_printed_before_it_was_killed_is_kept() {
    // Opening a fifo waits for whoever opens its other end.
    let script = "mkfifo said; (echo child; : > said; sleep 60) & : < said; echo main";
    let Some(outcome) = check(&sh(script), exited(0)) else { return };
    assert_eq!(text(&outcome.stdout.head), "child\nmain\n");
}
