//! Programs that turn on the server they were copied from. What the cage holds is in `tests/escape`; here it is shown that
//! the server and its other programs are as before.

use rollcage_types::Termination;

use crate::harness::{Server, python};

/// Runs a program, and shows that the server goes on.
fn check(program: &str, expected: &str) {
    let Some(server) = Server::start(&python()) else { return };
    for _ in 0..2 {
        let ended = server.warm(program, "");
        assert_eq!(ended.stdout.trim_end(), expected, "{}", ended.stderr);
        assert_eq!(server.say("print('well')"), "well");
    }
    assert!(server.server.is_alive());
}

#[test]
fn closes_every_descriptor() {
    check("import os\nprint('out', flush=True)\nos.closerange(0, 4096)\nos._exit(0)\n", "out");
}

#[test]
fn writes_to_every_descriptor() {
    let program = "import os\nfor fd in range(3, 4096):\n    try: os.write(fd, b'x' * 80)\n    except OSError: pass\n\
                   print('wrote')\n";
    check(program, "wrote");
}

#[test]
fn signals_its_parent_and_everybody() {
    let program = "import os, signal\nfor number in signal.valid_signals() - {9, 19}:\n    \
                   for pid in os.getppid(), 1, -1:\n        \
                       signal.signal(number, signal.SIG_IGN) if number not in (32, 33) else None\n        \
                       try: os.kill(pid, number)\n        \
                       except OSError: pass\n\
                   print('sent')\n";
    check(program, "sent");
}

#[test]
fn executes_its_interpreter_again() {
    let program = "import os, sys\nif 'again' in sys.argv: print('again', sorted(os.environ)); sys.exit()\n\
                   os.execv(sys.executable, [sys.executable, __file__, 'again'])\n";
    check(program, "again ['HOME', 'LANG', 'PATH', 'TMPDIR', 'TZ', 'USER']");
}

/// The control: a server that forks its programs and confines nothing is told a lie by one, and killed by another.
#[test]
fn a_server_without_cages_is_harmed_by_the_same() {
    const SERVER: &str = "import os, socket, sys\nours, other = socket.socketpair()\npid = os.fork()\n\
                          if pid == 0:\n    exec(sys.argv[1])\n    os._exit(0)\n\
                          os.waitpid(pid, 0)\nours.setblocking(False)\nprint('told', ours.recv(80)[:1])\n";
    let harm = |program: &str| {
        std::process::Command::new("/usr/bin/python3").args(["-c", SERVER, program]).output().unwrap()
    };
    let lies =
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'x' * 80)\n    except OSError: pass\n";
    assert_eq!(String::from_utf8_lossy(&harm(lies).stdout), "told b'x'\n");
    let killed = harm("import os, signal\nos.kill(os.getppid(), signal.SIGTERM)\n");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.status), Some(15));
}

#[test]
fn leaves_processes_behind() {
    let program = "import os\nif os.fork() == 0:\n    os.setsid()\n    os.closerange(0, 3)\n    os.execv('/bin/sleep', ['sleep', '60'])\n\
                   print('left')\n";
    check(program, "left");
}

/// The library that is preloaded, and what it left in memory, are the program's own copy.
#[test]
fn overwrites_the_memory_of_the_preloaded_library() {
    let program = "import ctypes\nprint('before', flush=True)\n\
                   for line in open('/proc/self/maps'):\n    \
                       span, mode = line.split()[:2]\n    \
                       if 'rollcage-shim' in line and 'w' in mode:\n        \
                           low, high = (int(x, 16) for x in span.split('-'))\n        \
                           ctypes.memset(low, 0x41, high - low)\n";
    check(program, "before");
}

/// Every mapping that is not a file's: whatever the launcher keeps there would be among them.
#[test]
fn overwrites_all_of_its_memory() {
    let program = "import ctypes, os\nprint('before', flush=True)\n\
                   spans = [line.split()[0] for line in open('/proc/self/maps')\n         \
                       if line.split()[1][1] == 'w' and 'python' not in line and '[' not in line]\n\
                   libc = ctypes.CDLL(None)\n\
                   for span in spans:\n    \
                       low, high = (int(x, 16) for x in span.split('-'))\n    \
                       libc.memset(ctypes.c_void_p(low), 0x41, ctypes.c_size_t(high - low))\n";
    let Some(server) = Server::start(&python()) else { return };
    let ended = server.warm(program, "");
    assert_eq!(ended.stdout, "before\n");
    assert!(
        matches!(ended.termination, Termination::Signaled { .. } | Termination::Exited { .. }),
        "{ended:?}"
    );
    assert_eq!(server.say("print('well')"), "well");
}

/// Nothing is mapped that is shared with others and can be written to.
#[test]
fn finds_no_shared_memory() {
    let program = "print([line for line in open('/proc/self/maps') if line.split()[1][3] == 's' and 'w' in line.split()[1]])";
    check(program, "[]");
}

#[test]
fn finds_no_trace_of_the_servers_start() {
    let program = "import os\nnames = open('/proc/self/environ').read() + repr(os.environ)\n\
                   print('ROLLCAGE' in names, 'LD_PRELOAD' in names, sorted(os.listdir('/proc/self/fd')))";
    check(program, "False False ['0', '1', '2', '3']");
}

#[test]
fn dies_while_it_writes() {
    let Some(server) = Server::start(&python()) else { return };
    let ended = server.warm("import os\nos.write(1, b'x')\nos.kill(os.getpid(), 9)\n", "");
    assert_eq!((ended.termination, ended.stdout.as_str()), (Termination::Signaled { signal: 9 }, "x"));
    assert_eq!(server.say("print('well')"), "well");
}
