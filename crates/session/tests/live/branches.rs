//! Branches: copies of a running interpreter that go their own ways.

use std::time::Duration;

use rollcage_session::live::{CellLimits, ForkWay, LiveCell, LiveOutcome, LiveSession, LiveSpec, LiveState};
use rollcage_session::{CellEffect, LostReason};
use rollcage_types::{ByteSize, LimitKind, Limits, Termination};

use crate::{Ground, check, open, run, text};

pub(crate) fn all(ground: &Ground) {
    a_copy_has_everything_and_shares_nothing(ground);
    a_shell_and_a_connection_are_copied_too(ground);
    branches_draw_what_their_trunk_would_and_not_what_the_kernel_gives(ground);
    nobody_reaches_the_others(ground);
    each_outlives_the_others(ground);
    what_cannot_be_copied_is_replayed(ground);
    what_the_kernel_does_not_copy_is_replayed(ground);
    nobody_has_branches_without_end(ground);
    the_kernel_bounds_what_a_branch_could_make(ground);
    branches_have_branches(ground);
    only_the_supervisor_makes_branches(ground);
    limits_are_each_ones_own(ground);
    a_trunk_may_change_what_its_branches_have(ground);
    how_a_branch_ends_is_told(ground);
}

fn spec() -> LiveSpec {
    let limits = Limits { memory: ByteSize::mib(256), ..Limits::default() };
    LiveSpec { limits, forks: true, ..LiveSpec::default() }
}

/// What comes of a cell that is meant to meet its limit on the clock.
fn run_briefly(session: &LiveSession, source: &str) -> LiveOutcome {
    let limits = CellLimits { wall_time: Duration::from_secs(2), ..CellLimits::from(&spec().limits) };
    let cell = LiveCell { limits: Some(limits), ..LiveCell::new(source) };
    session.execute(&cell, &mut |_| None).unwrap()
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
    run(&session, "os.symlink('f', 'link'); os.chmod('f', 0o640); os.mkfifo('fifo')");
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
        check(
            branch,
            "os.readlink('link'), oct(os.stat('f').st_mode & 0o777), os.stat('f').st_uid == os.getuid()",
            "('f', '0o640', True)\n",
        );
        check(
            branch,
            "os.mkdir('e'); os.rename('f', 'e/f'); sorted(os.listdir('.'))",
            "['e', 'fifo', 'link', 'log']\n",
        );
    }
    check(&session, "x, f.read(), open('log').read()", "([1], 'unk', 'one ')\n");
    check(&session, "sorted(os.listdir('.'))", "['f', 'fifo', 'link', 'log']\n");
}

fn a_shell_and_a_connection_are_copied_too(ground: &Ground) {
    let farm = ground.roomy();
    let shell = open(&farm, "bash", spec());
    run(&shell, "x=1; f() { echo f $x; }; mkdir d; cd d; echo trunk >file; exec 5<file");
    let branch = copies(&shell, 1).remove(0);
    check(
        &branch,
        "x=2; f; pwd; read -r line <&5; echo $line >>file; cat file",
        "f 2\n/ws/work/d\ntrunk\ntrunk\n",
    );
    check(&shell, "f; cat file; read -r line <&5; echo $line", "f 1\ntrunk\ntrunk\n");
    check(&branch, "declare -p x; sleep 0; echo done", "declare -- x=\"2\"\ndone\n");
    run(&shell, "trap 'echo heard' USR1; trap 'echo wrong' ERR");
    let branch = copies(&shell, 1).remove(0);
    for session in [&shell, &branch] {
        check(session, "kill -USR1 $BASHPID; false", "heard\nwrong\n");
    }
    let database = open(&farm, "sqlite", spec());
    run(&database, "create table t (a); insert into t values (1)");
    let branch = copies(&database, 1).remove(0);
    run(&branch, "insert into t values (2)");
    check(&branch, "select count(*) n from t", "n\n2\n");
    check(&database, "select count(*) n from t", "n\n1\n");
}

fn branches_draw_what_their_trunk_would_and_not_what_the_kernel_gives(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec { seed: 9, ..spec() });
    run(&session, "import random, os, ssl; random.random()");
    let branches = copies(&session, 2);
    let draw = |session: &LiveSession| text(&run(session, "random.random()").stdout);
    let own = draw(&session);
    assert!(branches.iter().all(|branch| draw(branch) == own), "a branch goes on where its trunk was");
    // Libraries with generators of their own tell a fork by a changed process number.
    let draw = |session: &LiveSession| text(&run(session, "ssl.RAND_bytes(8).hex()").stdout);
    let mut drawn: Vec<_> = branches.iter().chain([&session]).map(draw).collect();
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 3, "{drawn:?}");
    let number = |session: &LiveSession| text(&run(session, "os.getpid()").stdout);
    let deep = copies(&branches[0], 1).remove(0);
    assert_ne!(number(&session), number(&branches[0]));
    assert_ne!(number(&branches[0]), number(&deep));
}

fn nobody_reaches_the_others(ground: &Ground) {
    let session = open(&ground.roomy(), "python", spec());
    run(&session, "import os, signal");
    let branch = copies(&session, 1).remove(0);
    // Its init is not shown to it.
    check(
        &branch,
        "sorted(name for name in os.listdir('/proc') if name.isdigit()) == [str(os.getpid())]",
        "True\n",
    );
    check(&branch, "os.getuid() == os.stat('/ws/work').st_uid != 65534", "True\n");
    let kill = "for pid in range(1, 50):\n    if pid != os.getpid():\n        try: os.kill(pid, signal.SIGKILL)\n        \
                except OSError: pass";
    run(&branch, kill);
    check(&session, "'alive'", "'alive'\n");
    check(&branch, "'alive'", "'alive'\n");
    // New namespaces come with capabilities, which it has given up.
    check(
        &branch,
        "{line.split()[1] for line in open('/proc/self/status') if line.startswith('Cap')}",
        "{'0000000000000000'}\n",
    );
    let escapes = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n\
                   [libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), libc.unshare(0x10000000), libc.setns(0, 0), \
                   libc.chroot(b'/ws'), libc.sethostname(b'x', 1), libc.pivot_root(b'/', b'/') if hasattr(libc, 'pivot_root') else -1]";
    check(&branch, escapes, "[-1, -1, -1, -1, -1, -1]\n");
}

fn each_outlives_the_others(ground: &Ground) {
    let farm = ground.roomy();
    let session = open(&farm, "python", spec());
    run(&session, "x = 1");
    let mut branches = copies(&session, 3);
    let ended = run(&branches[0], "import os; os._exit(3)");
    assert_eq!(ended.effect, CellEffect::Lost(LostReason::InterpreterEnded));
    assert!(matches!(branches[0].state(), LiveState::Poisoned(_)));
    branches[0].restore().unwrap();
    check(&branches[0], "x", "1\n");
    check(&session, "x", "1\n");
    run(&session, "import os; os._exit(3)");
    check(&branches[1], "x", "1\n");
    let deep = copies(&branches[1], 1).remove(0);
    branches[1].close().unwrap();
    drop(session);
    let last = branches.pop().unwrap();
    drop(branches);
    check(&last, "x", "1\n");
    check(&deep, "x", "1\n");
    check(&copies(&deep, 1)[0], "x", "1\n");
    assert_eq!(farm.counts().live, 2);
    drop((last, deep));
    assert_eq!(farm.counts().live, 0);
}

fn what_cannot_be_copied_is_replayed(ground: &Ground) {
    for (cell, reason) in [
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "it has threads",
        ),
        ("import subprocess; p = subprocess.Popen(['sleep', '60'])", "it has children"),
        ("import mmap; m = mmap.mmap(-1, 4096)", "it shares memory"),
        ("import os; p = os.pipe()", "it has descriptors that cannot be copied"),
        ("import tempfile; f = tempfile.TemporaryFile()", "it holds a file that has no name any more"),
    ] {
        let session = open(&ground.roomy(), "python", spec());
        run(&session, "x = 1");
        run(&session, cell);
        let forked = session.fork(1).unwrap();
        assert_eq!(forked.way, ForkWay::Replayed { reason: reason.to_owned() }, "{cell}");
        check(&forked.sessions[0], "x", "1\n");
        check(&session, "x", "1\n");
    }
}

/// The init of a branch would be a second process of its trunk's until it has a group of its own.
fn what_the_kernel_does_not_copy_is_replayed(ground: &Ground) {
    let mut spec = spec();
    spec.limits.processes = 1;
    for (language, first, second, stdout) in
        [("python", "x = 1", "x + 1", "2\n"), ("bash", "x=1", "echo $((x + 1))", "2\n")]
    {
        let session = open(&ground.roomy(), language, spec.clone());
        run(&session, first);
        let forked = session.fork(1).unwrap();
        let ForkWay::Replayed { reason } = forked.way else { panic!("{language} was copied") };
        assert!(reason.starts_with("the kernel made no copy: "), "{reason}");
        check(&forked.sessions[0], second, stdout);
        check(&session, second, stdout);
    }
}

fn nobody_has_branches_without_end(ground: &Ground) {
    /// As documented.
    const BRANCHES_MAX: usize = 256;
    let session = open(&ground.roomy(), "python", spec());
    run(&session, "x = 1");
    let mut branches = copies(&session, BRANCHES_MAX);
    // One of a branch is one more of the family.
    for one in [&session, &branches[0]] {
        let forked = one.fork(1).unwrap();
        let reason = "it has as many branches as it may have".to_owned();
        assert_eq!(forked.way, ForkWay::Replayed { reason });
        check(&forked.sessions[0], "x", "1\n");
    }
    branches.pop();
    check(&copies(&session, 1)[0], "x", "1\n");
    assert!(branches.iter().all(|branch| text(&run(branch, "x").stdout) == "1\n"));
}

/// What the kernel itself would refuse, whatever filters and supervisors allowed.
fn the_kernel_bounds_what_a_branch_could_make(ground: &Ground) {
    let session = open(&ground.roomy(), "python", spec());
    let _branch = copies(&session, 1);
    let mut seen = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let program = std::fs::read_link(process.join("exe"));
        if !program.is_ok_and(|program| program.to_string_lossy().contains("rollcage-init")) {
            continue;
        }
        let files =
            ["net", "ipc", "uts", "cgroup"].map(|kind| format!("/proc/sys/user/max_{kind}_namespaces"));
        let shown = std::process::Command::new("nsenter")
            .args(["--preserve-credentials", &format!("--user={}", process.join("ns/user").display())])
            .args(["head", "-qn1"])
            .args(files)
            .output()
            .unwrap();
        // One of somebody else's, which ended meanwhile.
        if !shown.status.success() && !process.exists() {
            continue;
        }
        assert_eq!(String::from_utf8_lossy(&shown.stdout), "0\n0\n0\n0\n", "{shown:?}");
        seen += 1;
    }
    assert!(seen > 0);
}

fn branches_have_branches(ground: &Ground) {
    /// Deeper than user namespaces go.
    const DEPTH: usize = 26;
    let mut line = vec![open(&ground.roomy(), "python", spec())];
    run(&line[0], "x = []");
    let mut ways = Vec::new();
    for depth in 0..DEPTH {
        run(&line[depth], &format!("x.append({depth})"));
        let mut forked = line[depth].fork(1).unwrap();
        ways.push(forked.way == ForkWay::Copied);
        line.push(forked.sessions.remove(0));
    }
    let copied = ways.iter().take_while(|copied| **copied).count();
    assert_eq!(copied, 24, "{ways:?}");
    check(&line[DEPTH], "x == list(range(26))", "True\n");
    check(&line[3], "x", "[0, 1, 2, 3]\n");
}

fn only_the_supervisor_makes_branches(ground: &Ground) {
    let farm = ground.roomy();
    let clone = |flags: &str| {
        format!(
            "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n\
             result = libc.syscall(56, ctypes.c_ulong({flags}), 0, 0, 0, 0)\n\
             if result == 0: os._exit(0)\nresult, ctypes.get_errno()"
        )
    };
    let branch_flags = "0x10000000 | 0x20000 | 0x20000000 | 0x100 | 0x4000 | 0x8000 | 17";
    for (forks, flags, expected) in [
        // New users; new processes; all of a branch and the network.
        (true, "0x10000000 | 17", "(-1, 1)\n"),
        (true, "0x20000000 | 17", "(-1, 1)\n"),
        (true, &format!("{branch_flags} | 0x40000000"), "(-1, 1)\n"),
        (false, branch_flags, "(-1, 1)\n"),
    ] {
        let session = open(&farm, "python", LiveSpec { forks, ..spec() });
        check(&session, &clone(flags), expected);
    }
    // The very flags of a branch wait for somebody who lets them pass, and nobody does.
    let session = open(&farm, "python", spec());
    let outcome = run_briefly(&session, &clone(branch_flags));
    assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::WallTime), "{outcome:?}");
    assert_eq!(session.state(), LiveState::Ready);
    check(&copies(&session, 1)[0], "1", "1\n");
}

fn limits_are_each_ones_own(ground: &Ground) {
    let session = open(&ground.roomy(), "python", spec());
    run(&session, "x = bytearray(b'x') * (100 << 20)");
    let branches = copies(&session, 2);
    let outcome = run(&branches[0], "kept = []\nwhile True: kept.append(bytearray(b'y') * (1 << 24))");
    assert_eq!(outcome.effect, CellEffect::Lost(LostReason::Limit(LimitKind::Memory)), "{outcome:?}");
    check(&branches[1], "len(x)", "104857600\n");
    check(&session, "len(x)", "104857600\n");
    let outcome = run_briefly(&branches[1], "while True: pass");
    assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::WallTime));
    check(&branches[1], "len(x)", "104857600\n");
}

fn a_trunk_may_change_what_its_branches_have(ground: &Ground) {
    let session = open(&ground.roomy(), "python", spec());
    run(&session, "x = bytearray(b'x') * (150 << 20)");
    let branches = copies(&session, 2);
    // What it had stays its own for as long as they have it.
    run(&session, "for at in range(0, len(x), 4096): x[at] = 121");
    check(&session, "x[0], x[-4096]", "(121, 121)\n");
    check(&branches[0], "x[0], x[-4096]", "(120, 120)\n");
    drop(branches);
    // They are gone a moment later, and with them what they had.
    while session.memory().unwrap() > ByteSize::mib(200) {
        std::thread::yield_now();
    }
    let outcome = run(&session, "y = bytearray(b'y') * (150 << 20)");
    assert_eq!(outcome.effect, CellEffect::Lost(LostReason::Limit(LimitKind::Memory)), "{outcome:?}");
}

fn how_a_branch_ends_is_told(ground: &Ground) {
    let session = open(&ground.roomy(), "python", spec());
    run(&session, "import os, signal");
    let branches = copies(&session, 2);
    for (branch, end, expected) in [
        (&branches[0], "os._exit(7)", Termination::Exited { code: 7 }),
        (&branches[1], "os.kill(os.getpid(), signal.SIGTERM)", Termination::Signaled { signal: 15 }),
    ] {
        let outcome = run(branch, end);
        assert_eq!(outcome.termination, expected, "{end}");
        assert_eq!(outcome.effect, CellEffect::Lost(LostReason::InterpreterEnded));
    }
    check(&session, "1 + 1", "2\n");
}
