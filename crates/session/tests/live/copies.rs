//! What a copy of a session has of its files, and what stands in the way of one.

use rollcage_session::live::{ForkWay, LiveSpec, LiveState};
use rollcage_types::{ByteSize, FileEntry, Limits, RelativePath};

use crate::{Ground, check, open, run};

pub(crate) fn all(ground: &Ground) {
    files_are_as_they_were(ground);
    what_a_copy_could_not_go_on_with_is_replayed(ground);
    what_a_cell_says_late_is_no_answer(ground);
}

fn spec() -> LiveSpec {
    let limits = Limits { memory: ByteSize::mib(256), disk: ByteSize::mib(64), ..Limits::default() };
    LiveSpec { limits, forks: true, ..LiveSpec::default() }
}

fn files_are_as_they_were(ground: &Ground) {
    let session = open(&ground.roomy(), "python", spec());
    run(&session, "import os; os.mkdir('d'); open('d/a', 'w').write('x' * 5000); os.link('d/a', 'b')");
    run(&session, "f = open('holes', 'wb'); f.seek(40 << 20); f.write(b'end'); f.close()");
    run(&session, "for n in range(3): os.link('holes', f'holes{n}')");
    run(&session, "os.utime('b', (1, 2)); os.utime('d', (3, 4))");
    run(&session, "one = os.open('log', os.O_WRONLY | os.O_CREAT); two = os.dup(one); os.write(one, b'0')");
    let forked = session.fork(1).unwrap();
    assert_eq!(forked.way, ForkWay::Copied);
    let branch = &forked.sessions[0];
    check(branch, "os.stat('d/a').st_ino == os.stat('b').st_ino, os.stat('b').st_nlink", "(True, 2)\n");
    check(branch, "os.stat('b').st_mtime, os.stat('d').st_mtime", "(2.0, 4.0)\n");
    check(branch, "os.stat('holes').st_size - (40 << 20), os.stat('holes').st_blocks <= 8", "(3, True)\n");
    check(branch, "open('holes2', 'rb').read()[-4:]", "b'\\x00end'\n");
    check(branch, "os.write(one, b'1'); os.write(two, b'2'); open('log').read()", "'012'\n");
    check(&session, "os.write(two, b'3'); open('log').read()", "'03'\n");
}

fn what_a_copy_could_not_go_on_with_is_replayed(ground: &Ground) {
    let farm = ground.roomy();
    for (cell, reason) in [
        ("f = open('a', 'w'); os.chmod('a', 0o444)", "it holds a file that it may not open again"),
        (
            "f = open('a', 'w'); os.link('a', 'b'); os.unlink('a')",
            "it holds a file whose name is gone or another's by now",
        ),
        ("f = open('/proc/self/status')", "it holds a file of /proc"),
        (
            "import sqlite3; c = sqlite3.connect('x.db'); c.execute('create table t (a)'); c.commit()",
            "it holds a database of SQLite, which a copy could not write to",
        ),
        ("os.makedirs('/'.join(['d'] * 70))", "its files cannot be copied: Too many levels"),
        ("os.system('sleep 60 &')", "it has processes beside it"),
        (
            "files = []\ntry:\n    while True: files.append(open('/dev/null'))\nexcept OSError: pass",
            "its descriptors cannot be listed",
        ),
    ] {
        let session = open(&farm, "python", spec());
        run(&session, "import os; x = 1");
        run(&session, cell);
        let forked = session.fork(1).unwrap();
        let ForkWay::Replayed { reason: told } = forked.way else { panic!("{cell} was copied") };
        assert!(told.starts_with(reason), "{cell}: {told}");
        check(&forked.sessions[0], "x", "1\n");
        check(&session, "x", "1\n");
        assert_eq!(session.state(), LiveState::Ready);
    }
}

fn what_a_cell_says_late_is_no_answer(ground: &Ground) {
    let session = open(&ground.roomy(), "python", spec());
    let waiting = "import os, threading, time
def late():
    while not os.path.exists('over'): time.sleep(.01)
    display('late')
threading.Thread(target=late).start()";
    run(&session, waiting);
    session.put_file(FileEntry::new(RelativePath::new("over").unwrap(), b"".to_vec())).unwrap();
    loop {
        match session.fork(1).unwrap().way {
            ForkWay::Copied => break,
            ForkWay::Replayed { reason } => assert_eq!(reason, "it has threads"),
        }
    }
    // What it wrote is output of the next cell.
    check(&session, "1", "late\n1\n");
}
