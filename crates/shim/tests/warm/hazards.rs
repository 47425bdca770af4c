//! What goes wrong when an interpreter forks without having asked to, one test each.

use std::fs;

use crate::server::{BASH, LUA, PERL, PHP, PYTHON, Place, RUBY, Recipe};
use crate::wire::{Report, Request, Stage};

/// A Python with a preload.
fn python_with(preload: &str) -> Option<Place> {
    let mut place = Place::new(PYTHON)?;
    let file = place.directory.path().join("preload.py");
    fs::write(&file, preload).unwrap();
    place.preload = Some(file);
    Some(place)
}

/// Whether this process may make namespaces.
fn may_make_namespaces() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        eprintln!("skipped: namespaces take root");
    }
    may
}

fn differ(recipe: Recipe, program: &str) {
    let Some(place) = Place::new(recipe) else { return };
    let server = place.serve();
    let first = server.say(&place, program);
    let second = server.say(&place, program);
    assert!(!first.is_empty());
    assert_ne!(first, second, "{}: {program}", place.program.display());
}

#[test]
fn siblings_draw_different_numbers() {
    differ(PERL, "print rand(), ' ', rand();");
    differ(RUBY, "p rand, Random.rand, [*1..99].shuffle, Random.new_seed");
    differ(RUBY, "require 'securerandom'; p SecureRandom.hex");
    differ(PHP, "<?php echo mt_rand(), ' ', rand(), ' ', random_int(0, 1 << 60), uniqid('', true);");
    differ(BASH, "echo $RANDOM $RANDOM $RANDOM");
    differ(BASH, "echo $SRANDOM");
}

#[test]
fn siblings_of_a_preloaded_python_draw_different_numbers() {
    let preload =
        "import random, uuid, ssl, secrets, tempfile, hashlib\nrandom.random(); ssl.RAND_bytes(1)\n";
    let Some(place) = python_with(preload) else { return };
    let server = place.serve();
    for program in [
        "import random; print(random.random())",
        "import ssl; print(ssl.RAND_bytes(16))",
        "import uuid; print(uuid.uuid4())",
        "import secrets; print(secrets.token_hex())",
        "import tempfile; print(next(tempfile._get_candidate_names()))",
        "import os; print(os.urandom(16))",
    ] {
        assert_ne!(server.say(&place, program), server.say(&place, program), "{program}");
    }
}

#[test]
fn siblings_with_numpy_draw_different_numbers() {
    let Some(mut place) = python_with("import numpy\nimport numpy.random\nnumpy.random.rand()\n") else {
        return;
    };
    let Some(python) = crate::measure::python_with_numpy() else { return };
    place.program = python;
    place.variables.push(("OPENBLAS_NUM_THREADS".into(), "1".into()));
    let server = place.serve();
    let program = "import numpy; print(numpy.random.rand(), numpy.random.default_rng().random())";
    assert_ne!(server.say(&place, program), server.say(&place, program));
    let seeded = "import numpy; numpy.random.seed(5); print(numpy.random.rand())";
    assert_eq!(server.say(&place, seeded), server.say(&place, seeded));
}

/// Lua seeds its generator when it starts. Its recipe puts the fork point into a file that it reads before the program.
#[test]
fn lua_is_seeded_anew_by_a_file_at_the_fork_point() {
    let Some(mut place) = Place::new(LUA) else { return };
    let seed = place.directory.path().join("seed");
    // Lua's own seed is made of the time in seconds and addresses, which siblings have in common.
    let text = "local f = io.open('/dev/urandom', 'rb')\n\
                math.randomseed(('i8i8'):unpack(f:read(16)))\nf:close()\n";
    fs::write(&seed, text).unwrap();
    place.variables.push(("LUA_INIT".into(), format!("@{}", seed.display())));
    place.point = Some(seed);
    place.hidden = Some("LUA_INIT");
    let server = place.serve();
    let program = "print(math.random(1 << 60), os.getenv('LUA_INIT'), arg[0], arg[-1])";
    let [first, second] = [(); 2].map(|()| server.say(&place, program));
    assert_ne!(first, second);
    assert!(first.ends_with("nil\tsnippet.lua\t/usr/bin/lua5.4"), "{first}");
}

/// OpenSSL and others tell a fork by the process id.
#[test]
fn a_child_with_the_servers_own_process_id_runs_no_program() {
    let unshare_next = "import ctypes\nctypes.CDLL(None).unshare(0x20000000)\n";
    let Some(mut place) = python_with(unshare_next) else { return };
    if !may_make_namespaces() {
        return;
    }
    place.executable = Some(fs::canonicalize(&place.program).unwrap().to_str().unwrap().to_owned());
    place.program = "/usr/bin/unshare".into();
    place.recipe.arguments = &["--pid", "--fork", "/usr/bin/python3", "snippet.py"];
    let server = place.serve();
    let (nothing, _end) = rustix::pipe::pipe().unwrap();
    let nothing = &nothing;
    use std::os::fd::AsFd as _;
    server.send(&Request { id: 1, clone_flags: 0, steps: 0 }, &[nothing.as_fd(); 4]);
    let reports = [(); 2].map(|()| server.receive().unwrap().0);
    let refused = Report::Failed { id: 1, stage: Stage::OwnPid, errno: libc::EEXIST };
    assert!(reports.contains(&refused), "{reports:?}");
}

#[test]
fn the_program_is_never_the_first_process_of_its_namespace() {
    let Some(place) = Place::new(PYTHON) else { return };
    let server = place.serve();
    let (nothing, _end) = rustix::pipe::pipe().unwrap();
    use std::os::fd::AsFd as _;
    let clone_flags = u64::from(libc::CLONE_NEWPID.cast_unsigned());
    server.send(&Request { id: 3, clone_flags, steps: 0 }, &[nothing.as_fd(); 4]);
    let refused = Report::Failed { id: 3, stage: Stage::Flags, errno: libc::EINVAL };
    assert_eq!(server.receive().unwrap().0, refused);
    assert_eq!(server.say(&place, "print('still here')"), "still here");
}

/// libc keeps the thread's id, and the owner of a recursive mutex is told by it.
#[test]
fn a_raw_clone_knows_its_own_thread_id() {
    let Some(place) = Place::new(PYTHON) else { return };
    if !may_make_namespaces() {
        return;
    }
    let server = place.serve();
    place.write(
        "import ctypes, os, threading\n\
         libc = ctypes.CDLL(None)\n\
         mutex = ctypes.create_string_buffer(64)\n\
         libc.pthread_mutex_lock(mutex)\n\
         owner = int.from_bytes(mutex.raw[8:12], 'little')\n\
         print(owner == os.getpid() == threading.get_native_id(), os.uname().nodename != '')\n\
         t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n\
         pid = os.fork()\n\
         print('parent', os.waitpid(pid, 0)[1]) if pid else os._exit(0)\n",
    );
    let flags = (libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNS).cast_unsigned();
    for flags in [0, u64::from(flags)] {
        let outcome = server.run_as(&place, "", flags);
        assert_eq!(outcome.text(), "True True\nthread\nparent 0", "{outcome:?}");
        assert_eq!(outcome.status, 0);
    }
}

#[test]
fn what_the_preload_printed_is_not_printed_again() {
    let preload = "import sys, ctypes\nsys.stdout.write('from Python ')\n\
                   ctypes.CDLL(None).printf(b'from C ')\n";
    let Some(place) = python_with(preload) else { return };
    let server = place.serve();
    for _ in 0..2 {
        assert_eq!(server.say(&place, "print('once')"), "once");
    }
}

#[test]
fn alarms_and_pending_signals_stay_with_the_server() {
    let preload = "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.001)\n";
    let Some(place) = python_with(preload) else { return };
    // The alarm would end it before it serves.
    fs::write(place.preload.as_ref().unwrap(), format!("{preload}signal.pthread_sigmask(0, {{14}})\n"))
        .unwrap();
    let server = place.serve();
    for signal in [libc::SIGTERM, libc::SIGALRM, libc::SIGUSR1] {
        // SAFETY: plain numbers; the server is our own child and was not reaped.
        unsafe { libc::kill(libc::pid_t::try_from(server.pid()).unwrap(), signal) };
    }
    let program = "import signal\nprint(signal.sigpending(), signal.getitimer(signal.ITIMER_REAL))";
    assert_eq!(server.say(&place, program), "set() (0.0, 0.0)");
}

#[test]
fn an_ignored_sigchld_hides_no_exit() {
    let Some(place) = python_with("import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n") else {
        return;
    };
    let server = place.serve();
    place.write("import signal\nraise SystemExit(signal.getsignal(signal.SIGCHLD))\n");
    // SIG_IGN is 1, and an exit code stands in the second byte of a status.
    assert_eq!(server.run(&place, "").status, 1 << 8);
}

#[test]
fn the_interpreters_own_descriptors_are_each_childs_own() {
    let Some(place) = Place::new(RUBY) else { return };
    let server = place.serve();
    let program =
        "puts Dir['/proc/self/fdinfo/*'].filter_map { |f| File.read(f)[/eventfd-id:.*/] rescue nil }";
    let listed = fs::read_dir(format!("/proc/{}/fdinfo", server.pid())).unwrap();
    let of_server: Vec<String> = listed
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .filter_map(|text| text.lines().find(|line| line.starts_with("eventfd-id:")).map(str::to_owned))
        .collect();
    let of_child = server.say(&place, program);
    assert_eq!(of_child.lines().count(), of_server.len());
    assert!(!of_server.is_empty(), "Ruby holds no eventfd any more");
    assert!(of_child.lines().all(|line| of_server.iter().all(|own| own != line)), "{of_child} {of_server:?}");
}

#[test]
fn files_and_pipes_of_the_preload_are_each_childs_own() {
    let preload = "import builtins, os\nbuiltins.file = os.open(__file__, os.O_RDONLY)\n\
                   os.lseek(builtins.file, 7, 0)\nbuiltins.ends = os.pipe()\n";
    let Some(place) = python_with(preload) else { return };
    let server = place.serve();
    let program = "import os\nos.set_blocking(ends[0], False)\nos.write(ends[1], b'x')\n\
                   print(os.read(ends[0], 9), os.read(file, 8), file, ends)";
    let [first, second] = [(); 2].map(|()| server.say(&place, program));
    assert_eq!(first, second);
    assert!(first.starts_with("b'x' b'builtins'"), "{first}");
}

#[test]
fn a_wrapper_may_come_first() {
    let Some(mut place) = Place::new(PYTHON) else { return };
    place.executable = Some(fs::canonicalize(&place.program).unwrap().to_str().unwrap().to_owned());
    place.program = "/bin/sh".into();
    place.recipe.arguments = &["-c", "/bin/true; exec /usr/bin/python3 -B snippet.py"];
    let server = place.serve();
    let program = "import os\nprint(sorted(os.environ), sorted(os.listdir('/proc/self/fd')))";
    assert_eq!(server.say(&place, program), "['LANG', 'PATH', 'PWD'] ['0', '1', '2', '3']");
}

#[test]
fn another_preloaded_library_stays() {
    let Some(mut place) = Place::new(PYTHON) else { return };
    let other = "/lib/x86_64-linux-gnu/libm.so.6";
    if !std::path::Path::new(other).exists() {
        eprintln!("skipped: no {other}");
        return;
    }
    place.other_library = Some(other);
    let server = place.serve();
    assert_eq!(server.say(&place, "import os\nprint(os.environ['LD_PRELOAD'])"), other);
}

#[test]
fn bash_knows_its_own_process_and_time() {
    let Some(place) = Place::new(BASH) else { return };
    let server = place.serve();
    let program = "[[ $$ = $BASHPID && $SECONDS -lt 2 ]] && echo own; (kill -0 $PPID) && echo parent $PPID";
    assert_eq!(server.say(&place, program), format!("own\nparent {}", server.pid()));
}
