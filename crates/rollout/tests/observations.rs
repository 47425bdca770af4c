//! What a policy reads of a cell.

use std::time::Duration;

use proptest::prelude::*;
use rollcage_rollout::{CellResult, Envelope, ObservationStyle, SessionState, cut_text};
use rollcage_types::{ByteSize, Captured, LimitKind, Limits, Termination, Usage};

fn cell(termination: Termination, stdout: &[u8], stderr: &[u8]) -> CellResult {
    CellResult {
        termination,
        stdout: Captured::whole(stdout),
        stderr: Captured::whole(stderr),
        usage: Usage::default(),
        session: SessionState::Kept,
    }
}

#[test]
fn endings_are_named() {
    let limits = Limits { cpu_time: Duration::from_secs(2), memory: ByteSize::mib(64), ..Limits::default() };
    let style = ObservationStyle::default();
    let check = |termination, stdout: &[u8], stderr: &[u8], expected: &str| {
        assert_eq!(style.cell_text(&cell(termination, stdout, stderr), &limits), expected);
    };
    let exited = |code| Termination::Exited { code };
    check(exited(0), b"hi\n", b"", "stdout:\nhi");
    check(exited(0), b"", b"", "(no output)");
    check(exited(1), b"a\n", b"b\n", "exit code 1\nstdout:\na\nstderr:\nb");
    check(Termination::Signaled { signal: 11 }, b"", b"", "killed by signal 11 (SIGSEGV)\n(no output)");
    check(Termination::Signaled { signal: 40 }, b"", b"", "killed by signal 40\n(no output)");
    check(
        Termination::LimitExceeded(LimitKind::CpuTime),
        b"x",
        b"",
        "stopped: cpu_time limit 2s exceeded\nstdout:\nx",
    );
    check(
        Termination::LimitExceeded(LimitKind::Memory),
        b"",
        b"",
        "stopped: memory limit 64MiB exceeded\n(no output)",
    );
    check(Termination::Cancelled, b"", b"", "stopped: cancelled\n(no output)");
    check(exited(0), b"\xff\n", b"", "stdout:\n\u{fffd}");
}

#[test]
fn a_lost_session_is_announced() {
    let lost = CellResult { session: SessionState::Lost, ..cell(Termination::Exited { code: 0 }, b"x", b"") };
    let text = ObservationStyle::default().cell_text(&lost, &Limits::default());
    assert!(text.ends_with("The interpreter was restarted: what earlier code defined is gone."), "{text}");
}

#[test]
fn cuts_keep_both_ends_and_both_streams() {
    let style = ObservationStyle { output_bytes_max: ByteSize::bytes(8), ..ObservationStyle::default() };
    let check = |stdout: &[u8], stderr: &[u8], expected: &str| {
        let text =
            style.cell_text(&cell(Termination::Exited { code: 0 }, stdout, stderr), &Limits::default());
        assert_eq!(text, expected);
    };
    check(b"0123456789", b"", "stdout:\n0123\n[… 2 of 10 bytes omitted …]\n6789");
    check(b"0123456789", b"e", "stdout:\n012\n[… 3 of 10 bytes omitted …]\n6789\nstderr:\ne");
    check(
        b"0123456789",
        b"abcdefghij",
        "stdout:\n01\n[… 6 of 10 bytes omitted …]\n89\nstderr:\nab\n[… 6 of 10 bytes omitted …]\nij",
    );
}

#[test]
fn cuts_fall_between_characters() {
    let check =
        |stream: &Captured, bytes_max, expected: &str| assert_eq!(cut_text(stream, bytes_max), expected);
    let accents = Captured::whole("éééé".as_bytes());
    check(&accents, 8, "éééé");
    check(&accents, 6, "é\n[… 4 of 8 bytes omitted …]\né");
    let holed = Captured { head: "aé".as_bytes()[..2].to_vec(), tail: b"\xa9z".to_vec(), bytes_total: 100 };
    check(&holed, 64, "a\n[… 98 of 100 bytes omitted …]\nz");
}

#[test]
fn envelopes_stand_around() {
    let check = |envelope, expected: &str| {
        let style = ObservationStyle { envelope, ..ObservationStyle::default() };
        assert_eq!(style.enclose("x"), expected);
    };
    check(Envelope::Plain, "x");
    check(Envelope::Heading("Observation:".to_owned()), "Observation:\nx");
    check(Envelope::Tag("interpreter".to_owned()), "<interpreter>\nx\n</interpreter>");
}

proptest! {
    /// Whatever a program prints: the text fits, and what is shown and what is said to be missing add up.
    #[test]
    fn cuts_fit_and_count(bytes in proptest::collection::vec(any::<u8>(), 0..200), bytes_max in 0..100_usize) {
        let text = cut_text(&Captured::whole(bytes.clone()), bytes_max);
        match text.split_once("\n[… ") {
            Some((head, rest)) if rest.contains(" bytes omitted …]\n") => {
                let (count, tail) = rest.split_once(" bytes omitted …]\n").unwrap();
                prop_assert!(head.len() + tail.len() <= bytes_max);
                let (omitted, total) = count.split_once(" of ").unwrap();
                prop_assert_eq!(total.parse::<usize>().unwrap(), bytes.len());
                // A replacement character stands for one to three bytes, every other one for itself.
                let shown = bytes.len() - omitted.parse::<usize>().unwrap();
                let valid = |text: &str| text.chars().filter(|c| *c != '\u{fffd}').map(char::len_utf8).sum::<usize>();
                let replaced = text.chars().filter(|c| *c == '\u{fffd}').count();
                prop_assert!(shown >= valid(head) + valid(tail));
                prop_assert!(shown <= valid(head) + valid(tail) + 3 * replaced);
            }
            _ => prop_assert_eq!(text, String::from_utf8_lossy(&bytes)),
        }
    }
}
