//! Branches: copies of a running interpreter that go their own ways.

use rollcage_session::live::{ForkWay, LiveSession, LiveSpec, LiveState};
use rollcage_types::{ByteSize, Limits};

use crate::{Ground, check, open, run, text};

pub(crate) fn all(ground: &Ground) {
    a_copy_has_everything_and_shares_nothing(ground);
}

fn spec() -> LiveSpec {
    let limits = Limits { memory: ByteSize::mib(512), ..Limits::default() };
    LiveSpec { limits, forks: true, ..LiveSpec::default() }
}

/// Branches that are copies.
fn copies(session: &LiveSession, count: usize) -> Vec<LiveSession> {
    let forked = session.fork(count).unwrap();
    assert_eq!(forked.way, ForkWay::Copied);
    forked.sessions
}

fn a_copy_has_everything_and_shares_nothing(ground: &Ground) {
    let session = open(&ground.roomy(), "python", spec());
    run(
        &session,
        "import os; x = [1]; os.mkdir('d'); os.chdir('d'); open('f', 'w').write('trunk'); f = open('f'); f.read(2)",
    );
    run(&session, "open('/tmp/t', 'w').write('temporary'); w = open('log', 'a'); w.write('one '); w.flush()");
    let branches = copies(&session, 2);
    for (index, branch) in branches.iter().enumerate() {
        check(
            branch,
            "x.append(len(x) + 1); x, os.getcwd(), f.read(), open('/tmp/t').read()",
            "([1, 2], '/ws/work/d', 'unk', 'temporary')\n",
        );
        check(
            branch,
            &format!("w.write('b{index}'); w.flush(); open('log').read()"),
            &format!("'one b{index}'\n"),
        );
        assert_eq!(branch.state(), LiveState::Ready);
    }
    check(
        &session,
        "x, f.read(), open('log').read(), os.listdir('.')",
        "([1], 'unk', 'one ', ['f', 'log'])\n",
    );
    let deep = copies(&branches[0], 1).remove(0);
    check(&deep, "x.append(3); x, open('log').read()", "([1, 2, 3], 'one b0')\n");
    check(&branches[0], "x", "[1, 2]\n");
    println!("{}", text(&run(&deep, "open('/proc/self/status').read(), os.listdir('/proc')").stdout));
}
