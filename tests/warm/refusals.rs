//! When an interpreter is no fork server, and which requests its programs are not like.

use std::sync::Arc;
use std::time::Duration;

use rollcage_sandbox::{Cancel, ForkServerError, ForkServerSpec, Mismatch, Refusal, Stop};
use rollcage_types::ByteSize;

use crate::harness::{self, Server, python, python_with, refusal, request, spec};

fn check(preload: &str, expected: Refusal) {
    let Some(error) = refusal(&python_with(preload)) else { return };
    let is_expected = matches!(error, ForkServerError::Refused { reason, .. } if reason == expected);
    assert!(is_expected, "{error} for {preload}");
}

#[test]
fn threads() {
    check(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
        Refusal::Threads,
    );
}

#[test]
fn children() {
    check("import subprocess\nsubprocess.Popen(['sleep', '60'])\n", Refusal::Children);
}

#[test]
fn memory_that_would_be_shared() {
    check("import mmap, builtins\nbuiltins.m = mmap.mmap(-1, 4096)\n", Refusal::SharedMemory);
}

#[test]
fn descriptors_that_cannot_be_made_anew() {
    for preload in [
        "import socket, builtins\nbuiltins.s = socket.socketpair()\n",
        "import builtins\nbuiltins.f = open('/dev/null'), open('/tmp/written', 'w')\n",
        "import os\n[os.dup(0) for _ in range(2)]\n",
    ] {
        check(preload, Refusal::SharedDescriptor);
    }
    check("import os\n[os.open('/dev/null', 0) for _ in range(40)]\n", Refusal::TooManyDescriptors);
}

#[test]
fn a_preload_that_fails_says_why() {
    for (preload, why) in [
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("raise SystemExit(0)\n", "the preload asked for an exit"),
        ("def broken(:\n", "SyntaxError"),
    ] {
        let Some(error) = refusal(&python_with(preload)) else { return };
        let ForkServerError::Refused { reason: Refusal::Preload, said, .. } = &error else {
            panic!("{error}")
        };
        assert!(said.contains(why), "{said}");
        assert!(!error.is_retryable());
    }
}

#[test]
fn a_preload_that_crashes_or_hangs() {
    let Some(error) = refusal(&python_with("import os\nos.write(2, b'a word')\nos.abort()\n")) else {
        return;
    };
    let ForkServerError::NeverOpened { said } = &error else { panic!("{error}") };
    assert_eq!(said, "a word");
    let hanging = ForkServerSpec {
        start_time: Duration::from_millis(300),
        ..python_with("import os, time\nos.write(1, b'x' * (1 << 20))\ntime.sleep(60)\n")
    };
    let error = refusal(&hanging).unwrap();
    let ForkServerError::Late { said, .. } = &error else { panic!("{error}") };
    assert!(said.starts_with("xxx") && said.len() <= 4096, "{said}");
    assert!(error.is_retryable());
}

#[test]
fn an_interpreter_that_takes_too_much_memory() {
    let greedy = ForkServerSpec { memory: ByteSize::mib(32), ..python_with("x = bytearray(1 << 30)\n") };
    let Some(error) = refusal(&greedy) else { return };
    assert!(
        matches!(error, ForkServerError::NeverOpened { .. } | ForkServerError::Refused { .. }),
        "{error}"
    );
}

#[test]
fn the_program_file_opened_twice_or_by_a_child() {
    let twice = "open('snippet.py').read(); open('snippet.py').read()\n";
    check(twice, Refusal::AskedTwice);
    check(
        "import os\nif os.fork() == 0:\n    open('snippet.py'); open('snippet.py')\nelse:\n    os.wait()\n",
        Refusal::OtherProcess,
    );
}

#[test]
fn a_program_read_before_what_programs_need_is_loaded() {
    let not_ruby = ForkServerSpec { stop: Stop::Loaded, ..harness::perl() };
    let Some(error) = refusal(&not_ruby) else { return };
    assert!(matches!(error, ForkServerError::Refused { reason: Refusal::ReadAhead, .. }), "{error}");
    let Some(server) = Server::start(&harness::ruby()) else { return };
    let options = request(&harness::ruby(), "#! ruby -w\np $VERBOSE\n", "");
    assert_eq!(server.server.accepts(&options), Err(Mismatch::Content));
}

#[test]
fn a_preload_for_an_interpreter_that_takes_none() {
    let with_preload = ForkServerSpec { preload: Some(String::new()), ..harness::perl() };
    let Some(error) = refusal(&with_preload) else { return };
    assert!(matches!(error, ForkServerError::Refused { reason: Refusal::Preload, .. }), "{error}");
}

#[test]
fn interpreters_that_never_open_the_file() {
    for argv in [&["python3", "-c", "print('cold')"][..], &["true"], &["sh", "-c", "exit 3"]] {
        let Some(error) = refusal(&spec(argv, "snippet.py")) else { return };
        assert!(matches!(error, ForkServerError::NeverOpened { .. }), "{argv:?}: {error}");
    }
}

/// The loader's own configuration program has to work without a loader.
#[test]
fn an_interpreter_that_loads_no_library() {
    let Some(error) = refusal(&spec(&["/usr/sbin/ldconfig"], "snippet")) else { return };
    assert!(matches!(error, ForkServerError::Static { .. }), "{error}");
}

#[test]
fn programs_that_are_not_there_or_cannot_be_executed() {
    for argv in [&["/no/such/program"][..], &["/etc/passwd"], &["/usr"]] {
        let Some(host) = harness::host() else { return };
        let error =
            rollcage_sandbox::ForkServer::start(&host, spec(argv, "x"), &Cancel::new()).err().unwrap();
        assert!(matches!(error, ForkServerError::Launcher { .. }), "{argv:?}: {error}");
    }
}

#[test]
fn requests_that_programs_of_the_server_are_not_like() {
    let Some(server) = Server::start(&python()) else { return };
    let own = request(&python(), "print(1)", "");
    let mut others = vec![own.clone(); 5];
    others[0].argv.push("argument".to_owned());
    others[1].env_vars.push(("A".to_owned(), "b".to_owned()));
    others[2].limits.stack = ByteSize::mib(1);
    others[3].files.clear();
    others[4].files[0].content = Arc::from(*b"PK\x03\x04 an archive PK\x05\x06");
    let expected =
        [Mismatch::Arguments, Mismatch::Variables, Mismatch::Stack, Mismatch::NoProgram, Mismatch::Content];
    assert_eq!(server.server.accepts(&own), Ok(()));
    for (other, expected) in others.iter().zip(expected) {
        assert_eq!(server.server.accepts(other), Err(expected));
    }
}
