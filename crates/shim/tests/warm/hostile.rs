//! Programs that turn on the server they were forked from. Outside a cage the kernel lets them kill it; what is shown
//! here is what holds without one.

use crate::server::{PERL, PYTHON, Place};

/// Runs a program, and shows that the server goes on.
fn check(program: &str, expected: &str) {
    let Some(place) = Place::new(PYTHON) else { return };
    let server = place.serve();
    for _ in 0..2 {
        place.write(program);
        let outcome = server.run(&place, "");
        assert_eq!(outcome.text(), expected, "{}", String::from_utf8_lossy(&outcome.stderr));
        assert_eq!(server.say(&place, "print('well')"), "well");
    }
}

#[test]
fn closes_every_descriptor() {
    check("import os\nprint('out', flush=True)\nos.closerange(0, 4096)\nos._exit(0)\n", "out");
}

#[test]
fn writes_to_every_descriptor() {
    let program = "import os\nfor fd in range(3, 4096):\n    try: os.write(fd, b'x' * 48)\n    except OSError: pass\n\
                   print('wrote')\n";
    check(program, "wrote");
}

#[test]
fn signals_its_parent() {
    let program = "import os, signal\nfor n in sorted(signal.valid_signals() - {9, 19}):\n    \
                   os.kill(os.getppid(), n)\nprint('sent')\n";
    check(program, "sent");
}

#[test]
fn executes_its_interpreter_again() {
    let program = "import os, sys\nif 'again' in sys.argv: print('again', sorted(os.environ)); sys.exit()\n\
                   os.execv(sys.executable, [sys.executable, __file__, 'again'])\n";
    check(program, "again ['LANG', 'PATH']");
}

#[test]
fn leaves_processes_behind() {
    let program = "import os\nif os.fork() == 0:\n    os.setsid()\n    os.closerange(0, 3)\n    os.execv('/bin/sleep', ['sleep', '0.2'])\n\
                   print('left')\n";
    check(program, "left");
}

#[test]
fn dies_while_it_writes() {
    let program = "import os\nos.write(1, b'x')\nos.kill(os.getpid(), 9)\n";
    check(program, "x");
}

#[test]
fn a_server_that_was_killed_ends_its_socket() {
    let Some(place) = Place::new(PERL) else { return };
    let server = place.serve();
    place.write("kill 'KILL', getppid; sleep 1 while getppid == $ARGV[0]; print 'orphan';");
    let directory = std::fs::File::open(place.directory.path()).unwrap();
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    use std::os::fd::AsFd as _;
    let request = crate::wire::Request { id: 1, clone_flags: 0, steps: 0 };
    server.send(&request, &[null.as_fd(), null.as_fd(), null.as_fd(), directory.as_fd()]);
    while server.receive().is_some() {}
    assert_eq!(server.exit_code(), None);
}
