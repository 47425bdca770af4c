//! What DataMind's released interpreter gets wrong (arXiv 2509.25084), each as something that a session gets right.
//!
//! That interpreter keeps the text of earlier snippets and runs all of it again every turn, with every line that holds
//! `print(` replaced by `pass`.

use std::time::Duration;

use rollcage_session::Ending;
use rollcage_session::live::LiveSpec;
use rollcage_types::Termination;

use crate::{farm, open, run, text};

/// A line of a print of several is no line to replace.
#[test]
fn a_print_of_several_lines_poisons_nothing() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec::default());
    assert_eq!(text(&run(&session, "x = 1\nprint(\n    x,\n    x + 1,\n)").stdout), "1 2\n");
    assert_eq!(text(&run(&session, "x").stdout), "1\n");
}

/// What else is on the line of a print is not lost.
#[test]
fn an_assignment_beside_a_print_is_kept() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec::default());
    run(&session, "b = 5; print(b)");
    session.evict().unwrap();
    assert_eq!(text(&run(&session, "b").stdout), "5\n");
}

/// A warning on standard error is no failure.
#[test]
fn a_warning_is_no_failure() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec::default());
    let outcome = run(&session, "import sys; y = 2; print('careful', file=sys.stderr)");
    assert_eq!(outcome.termination, Termination::Exited { code: 0 });
    assert_eq!(text(&run(&session, "y").stdout), "2\n");
}

/// What a snippet did to a file it did once.
#[test]
fn effects_happen_once() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec::default());
    run(&session, "open('rows.csv', 'a').write('1\\n')");
    run(&session, "1 + 1");
    run(&session, "2 + 2");
    assert_eq!(text(&run(&session, "open('rows.csv').read()").stdout), "'1\\n'\n");
    // Not twice either where the session was put aside, which replays from the files it began with.
    session.evict().unwrap();
    assert_eq!(text(&run(&session, "open('rows.csv').read()").stdout), "'1\\n'\n");
}

/// A number that was drawn stays what it was.
#[test]
fn random_numbers_stay() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec { seed: 4, ..LiveSpec::default() });
    let drawn = text(&run(&session, "import random; n = random.random(); n").stdout);
    assert_eq!(text(&run(&session, "n").stdout), drawn);
    session.evict().unwrap();
    assert_eq!(text(&run(&session, "n").stdout), drawn);
}

/// Ten turns that each take a while take ten times as long, not fifty-five: by the processor time that the kernel counted.
#[test]
fn a_turn_costs_what_it_does_and_not_what_came_before() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec::default());
    let spin = "import time\nbegan = time.process_time()\nwhile time.process_time() - began < 0.05: pass";
    let costs: Vec<Duration> = (0..10).map(|_| run(&session, spin).usage.cpu_time).collect();
    let (first, last) = (costs[0], costs[9]);
    assert!(last < first * 3, "the tenth turn took {last:?} where the first took {first:?}");
}

/// Sessions run beside each other, each in its own directory.
#[test]
fn sessions_do_not_wait_for_each_other_or_share_a_directory() {
    let Some(farm) = farm() else { return };
    let waiting = open(farm, "python", LiveSpec { asks: true, ..LiveSpec::default() });
    let other = open(farm, "python", LiveSpec::default());
    let mut seen = String::new();
    // The first cell is still running while the second runs from its beginning to its end.
    let outcome = waiting
        .execute(
            &rollcage_session::live::LiveCell::new("import os; os.mkdir('here'); os.chdir('here'); input()"),
            &mut |_prompt| {
                seen = text(&run(&other, "import os; os.getcwd(), os.listdir('.')").stdout);
                Some(b"done".to_vec())
            },
        )
        .unwrap();
    assert_eq!(text(&outcome.stdout), "'done'\n");
    assert_eq!(seen, "('/ws/work', [])\n");
}

/// What the paper calls insecure is kept from happening, whatever it is written like.
#[test]
fn what_is_insecure_does_not_happen() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec::default());
    for (cell, error) in [
        ("import socket; socket.create_connection(('127.0.0.1', 80), 1)", "OSError"),
        ("open('/etc/passwd', 'a')", "PermissionError"),
        ("import os; getattr(os, 'set' + 'uid')(0)", "PermissionError"),
    ] {
        assert_eq!(run(&session, cell).ending, Some(Ending::Raised(error.to_owned())), "{cell}");
    }
    assert_eq!(
        text(&run(&session, "import os; os.system('id -u') or os.getuid() != 0").stdout).lines().last(),
        Some("True")
    );
}

/// A module that is missing is missing: nothing that a model names is fetched and run.
#[test]
fn nothing_is_installed_by_name() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec::default());
    for _ in 0..2 {
        let outcome = run(&session, "import a_module_that_nobody_has");
        assert_eq!(outcome.ending, Some(Ending::Raised("ModuleNotFoundError".to_owned())));
    }
}

/// What a failed snippet did before it failed is there, as in a notebook, and is there again when the session comes back.
#[test]
fn a_failed_cell_leaves_what_it_did() {
    let Some(farm) = farm() else { return };
    let session = open(farm, "python", LiveSpec::default());
    run(&session, "kept = 'yes'; open('made', 'w').close(); 1 / 0");
    session.evict().unwrap();
    assert_eq!(text(&run(&session, "import os; kept, os.listdir('.')").stdout), "('yes', ['made'])\n");
}
