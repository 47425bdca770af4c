//! What goes wrong when an interpreter forks without having asked to, one test each.

use rollcage_sandbox::ForkServerSpec;
use rollcage_types::{ByteSize, LimitKind, Termination};

use crate::harness::{self, Server, has_module, python_with};

fn differ(server: &Server, program: &str) {
    let (first, second) = (server.say(program), server.say(program));
    assert!(!first.is_empty());
    assert_ne!(first, second, "{:?}: {program}", server.server.spec().argv);
}

fn check_differ(spec: &ForkServerSpec, programs: &[&str]) {
    let Some(server) = Server::start(spec) else { return };
    programs.iter().for_each(|program| differ(&server, program));
}

/// All of them have one process id, each in a namespace of its own.
#[test]
fn siblings_draw_different_numbers() {
    check_differ(&harness::perl(), &["print rand(), ' ', rand();"]);
    check_differ(
        &harness::ruby(),
        &[
            "p rand, Random.rand, [*1..99].shuffle, Random.new_seed",
            "require 'securerandom'; p SecureRandom.hex",
        ],
    );
    let php = "<?php echo mt_rand(), ' ', rand(), ' ', random_int(0, 1 << 60), uniqid('', true);";
    check_differ(&harness::php(), &[php]);
    check_differ(&harness::bash(), &["echo $RANDOM $RANDOM $RANDOM", "echo $SRANDOM"]);
    check_differ(&harness::lua(), &["print(math.random(1 << 60))"]);
    check_differ(&harness::r(), &["cat(runif(3))", "cat(sample(1000))"]);
    check_differ(&harness::sqlite(), &["select random();", "select hex(randomblob(16));"]);
}

#[test]
fn siblings_of_a_preloaded_python_draw_different_numbers() {
    let preload =
        "import random, uuid, ssl, secrets, tempfile, hashlib\nrandom.random(); ssl.RAND_bytes(1)\n";
    check_differ(
        &python_with(preload),
        &[
            "import random; print(random.random())",
            "import ssl; print(ssl.RAND_bytes(16))",
            "import uuid; print(uuid.uuid4())",
            "import secrets; print(secrets.token_hex())",
            "import tempfile; print(next(tempfile._get_candidate_names()))",
            "import os; print(os.urandom(16))",
        ],
    );
}

#[test]
fn siblings_with_numpy_draw_different_numbers() {
    if !has_module("numpy") {
        return;
    }
    let preload = "import numpy\nimport numpy.random\nnumpy.random.rand()\n";
    let Some(server) = Server::start(&python_with(preload)) else { return };
    differ(&server, "import numpy; print(numpy.random.rand(), numpy.random.default_rng().random())");
    let seeded = "import numpy; numpy.random.seed(5); print(numpy.random.rand())";
    assert_eq!(server.say(seeded), server.say(seeded));
}

#[test]
fn the_line_that_seeds_lua_is_not_seen() {
    let Some(server) = Server::start(&harness::lua()) else { return };
    assert_eq!(server.say("print(os.getenv('LUA_INIT'), arg[0], arg[-1])"), "nil\tsnippet.lua\tlua5.4");
}

/// What the C library keeps of the thread, and registers with the kernel, it does not know to be a copy's.
#[test]
fn the_thread_is_the_programs_own() {
    let Some(server) = Server::start(&harness::python()) else { return };
    let program = "import ctypes, os, threading\n\
         libc = ctypes.CDLL(None)\n\
         mutex = ctypes.create_string_buffer(64)\n\
         libc.pthread_mutex_lock(mutex)\n\
         owner = int.from_bytes(mutex.raw[8:12], 'little')\n\
         print(owner == os.getpid() == threading.get_native_id())\n\
         t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n\
         pid = os.fork()\n\
         print('parent', os.waitpid(pid, 0)[1]) if pid else os._exit(0)\n\
         for cpu in os.sched_getaffinity(0):\n    \
             os.sched_setaffinity(0, {cpu})\n    \
             print(libc.sched_getcpu() == cpu)\n";
    let printed = server.say(program);
    assert!(printed.starts_with("True\nthread\nparent 0\nTrue"), "{printed}");
    assert!(!printed.contains("False"), "{printed}");
}

/// A process that had another's memory when it changed its user cannot be looked at by itself.
#[test]
fn a_program_may_look_at_itself() {
    let Some(server) = Server::start(&harness::python()) else { return };
    let program = "for name in 'maps', 'environ', 'auxv', 'status', 'fd', 'io':\n    \
                   import os; os.listdir('/proc/self/fd') if name == 'fd' else open('/proc/self/' + name, 'rb').read(9)\n\
                   print(os.stat('/proc/self/maps').st_uid == os.getuid())\n";
    assert_eq!(server.say(program), "True");
    assert_eq!(server.cold(program, "").stdout, "True\n");
}

#[test]
fn what_the_preload_printed_is_not_printed_again() {
    let preload =
        "import sys, ctypes\nsys.stdout.write('from Python ')\nctypes.CDLL(None).printf(b'from C ')\n";
    let Some(server) = Server::start(&python_with(preload)) else { return };
    for _ in 0..2 {
        assert_eq!(server.say("print('once')"), "once");
    }
}

#[test]
fn alarms_and_pending_signals_stay_with_the_server() {
    // The alarm would end it before it serves.
    let preload = "import signal\nsignal.pthread_sigmask(0, {14, 10})\nsignal.setitimer(signal.ITIMER_REAL, 0.001)\n\
                   import os; os.kill(os.getpid(), 10)\n";
    let Some(server) = Server::start(&python_with(preload)) else { return };
    let program = "import signal\nprint(signal.sigpending(), signal.getitimer(signal.ITIMER_REAL))";
    assert_eq!(server.say(program), "set() (0.0, 0.0)");
}

#[test]
fn an_ignored_sigchld_hides_no_exit() {
    let preload = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n";
    let Some(server) = Server::start(&python_with(preload)) else { return };
    let ended = server.warm("import signal\nraise SystemExit(signal.getsignal(signal.SIGCHLD))\n", "");
    // SIG_IGN is 1.
    assert_eq!(ended.termination, Termination::Exited { code: 1 });
}

#[test]
fn the_interpreters_own_descriptors_are_each_programs_own() {
    let Some(server) = Server::start(&harness::ruby()) else { return };
    let program =
        "puts Dir['/proc/self/fdinfo/*'].filter_map { |f| File.read(f)[/eventfd-id:.*/] rescue nil }";
    let of_program = server.say(program);
    let of_server: Vec<String> = crate::harness::tasks_below(server.server.process_id())
        .iter()
        .flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten())
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .flat_map(|text| {
            text.lines().filter(|line| line.starts_with("eventfd-id:")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(of_program.starts_with("eventfd-id:"), "Ruby holds no eventfd any more: {of_program}");
    assert!(!of_server.is_empty());
    assert!(
        of_program.lines().all(|line| of_server.iter().all(|own| own != line)),
        "{of_program} {of_server:?}"
    );
}

#[test]
fn files_and_pipes_of_the_preload_are_each_programs_own() {
    let preload = "import builtins, os\nbuiltins.file = os.open(os.__file__, os.O_RDONLY)\n\
                   os.lseek(builtins.file, 7, 0)\nbuiltins.ends = os.pipe()\n";
    let Some(server) = Server::start(&python_with(preload)) else { return };
    let program = "import os\nos.set_blocking(ends[0], False)\nos.write(ends[1], b'x')\n\
                   print(os.read(ends[0], 9), os.read(file, 4) == open(os.__file__, 'rb').read(11)[7:], file, ends)";
    let (first, second) = (server.say(program), server.say(program));
    assert_eq!(first, second);
    assert!(first.starts_with("b'x' True"), "{first}");
}

#[test]
fn directories_for_temporary_files_are_each_programs_own() {
    let preload = "import tempfile, builtins\nbuiltins.place = tempfile.mkdtemp()\n";
    let Some(server) = Server::start(&python_with(preload)) else { return };
    let program = "import os\nprint(os.listdir(place))\nopen(place + '/x', 'w')\n";
    for _ in 0..2 {
        assert_eq!(server.say(program), "[]");
    }
}

#[test]
fn bash_knows_its_own_process_user_and_time() {
    let Some(server) = Server::start(&harness::bash()) else { return };
    let program = "[[ $$ = $BASHPID && $SECONDS -lt 2 ]] && echo own; echo $PPID\n\
                   [[ $UID = $(id -u) && $EUID = $UID && ${GROUPS[0]} = $(id -g) ]] && echo user";
    assert_eq!(server.say(program), "own\n1\nuser");
}

/// Files of the host show the same owner, whether or not the program is in a user namespace.
#[test]
fn owners_are_those_of_a_cold_run() {
    let Some(server) = Server::start(&harness::bash()) else { return };
    // But for /proc, whose own directory is the host's root's.
    let program = "stat -c '%n %U %u %G %g' /usr /usr/bin/env /etc /etc/passwd /dev /dev/null / /var\n\
                   echo $(($(stat -c %u .) - UID)) $(($(stat -Lc %u /tmp) - UID)) $(stat -c %u /proc/$$ | grep -c $UID)";
    assert_eq!(server.warm(program, ""), server.cold(program, ""));
}

#[test]
fn a_program_that_forks_ends_each_of_its_processes_as_ever() {
    let Some(server) = Server::start(&harness::python()) else { return };
    let program = "import os, sys, atexit\natexit.register(print, 'end', flush=True)\n\
                   pid = os.fork()\nif pid == 0: sys.exit(4)\nprint(os.waitpid(pid, 0)[1] >> 8)\n";
    assert_eq!(server.warm(program, ""), server.cold(program, ""));
}

/// Pages that a copy writes to are charged to the copy: its limit ends it, and neither its server nor a sibling.
#[test]
fn a_copy_that_takes_too_much_memory_ends_alone() {
    let Some(server) = Server::start(&harness::python()) else { return };
    let mut greedy = server.request("kept = []\nwhile True: kept.append(bytearray(1 << 24))\n", "");
    greedy.limits.memory = ByteSize::mib(64);
    let modest = server.request("import time\ntime.sleep(0.3)\nprint('well')\n", "");
    std::thread::scope(|scope| {
        let sibling = scope.spawn(|| server.warm_request(&modest));
        for _ in 0..3 {
            let ended = server.warm_request(&greedy);
            assert_eq!(ended.termination, Termination::LimitExceeded(LimitKind::Memory));
        }
        assert_eq!(sibling.join().unwrap().stdout.to_text(), "well\n");
    });
    assert!(server.server.is_alive());
    assert_eq!(server.say("print('well')"), "well");
}

/// The pipes are the program's own, not root's, so that they can be opened by name.
#[test]
fn standard_streams_can_be_opened_by_name() {
    let Some(server) = Server::start(&harness::python()) else { return };
    let program = "text = open('/dev/stdin').read()\nopen('/dev/stdout', 'w').write(text.upper())\n";
    let ended = server.warm(program, "word");
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("WORD", ""));
}
