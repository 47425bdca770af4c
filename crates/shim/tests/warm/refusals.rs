//! When an interpreter is no fork server, and which requests get no program.

use std::fs;
use std::os::fd::AsFd as _;

use crate::server::{PERL, PYTHON, Place};
use crate::wire::{CHILDREN_MAX, FAILED_EXIT, REFUSED_EXIT, Refusal, Report, Request, Stage};

/// What comes of a Python with this preload.
fn check(preload: &str, expected: impl Fn(Refusal, i64) -> bool) {
    let Some(mut place) = Place::new(PYTHON) else { return };
    let file = place.directory.path().join("preload.py");
    fs::write(&file, preload).unwrap();
    place.preload = Some(file);
    let server = place.start();
    match server.receive() {
        Some((Report::Refused { reason, detail }, _)) => {
            assert!(expected(reason, detail), "{} ({detail}): {preload}", reason.as_str());
        }
        other => panic!("{other:?} for {preload}: {}", server.fail()),
    }
    if !preload.contains("fork") {
        assert_eq!(server.exit_code(), Some(REFUSED_EXIT));
    }
}

#[test]
fn threads() {
    let preload =
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n";
    check(preload, |reason, detail| reason == Refusal::Threads && detail == 2);
}

#[test]
fn descriptors_that_cannot_be_made_anew() {
    check("import socket, builtins\nbuiltins.s = socket.socketpair()\n", |reason, detail| {
        reason == Refusal::SharedDescriptor && detail == 3
    });
    check("import builtins\nbuiltins.f = open('/dev/null'), open('written', 'w')\n", |reason, detail| {
        reason == Refusal::SharedDescriptor && detail == 4
    });
    check("import os\n[os.dup(0) for _ in range(2)]\n", |reason, _| reason == Refusal::SharedDescriptor);
    check("import os\n[os.open('/dev/null', 0) for _ in range(40)]\n", |reason, _| {
        reason == Refusal::TooManyDescriptors
    });
}

#[test]
fn a_preload_that_fails() {
    for preload in ["import no_such_module\n", "raise SystemExit(0)\n", "def broken(:\n"] {
        check(preload, |reason, _| reason == Refusal::Preload);
    }
}

#[test]
fn the_program_file_opened_twice() {
    check("open('snippet.py').read()\n", |reason, _| reason == Refusal::AskedTwice);
}

#[test]
fn the_program_file_opened_by_a_child() {
    check("import os\nif os.fork() == 0:\n    open('snippet.py')\nelse:\n    os.wait()\n", |reason, pid| {
        reason == Refusal::OtherProcess && pid > 0
    });
}

#[test]
fn a_preload_for_an_interpreter_that_takes_none() {
    let Some(mut place) = Place::new(PERL) else { return };
    place.preload = Some("/dev/null".into());
    let server = place.start();
    let refused = Report::Refused { reason: Refusal::Preload, detail: 0 };
    assert_eq!(server.receive().map(|(report, _)| report), Some(refused));
}

/// Whoever waits for the fork point needs a deadline, or sees the socket's end.
#[test]
fn an_interpreter_that_never_opens_the_file_runs_as_ever() {
    let Some(mut place) = Place::new(PYTHON) else { return };
    place.point = Some("/no/such/file".into());
    place.write("print('cold')\n");
    let mut server = place.start();
    assert!(server.receive().is_none());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut server.process.stdout.take().unwrap(), &mut text).unwrap();
    assert_eq!(text, "cold\n");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn the_server_ends_with_its_socket() {
    let Some(place) = Place::new(PYTHON) else { return };
    let mut server = place.serve();
    server.socket =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn requests_that_are_none() {
    let Some(place) = Place::new(PYTHON) else { return };
    let server = place.serve();
    let (pipe, _end) = rustix::pipe::pipe().unwrap();
    let some = pipe.as_fd();
    let request = Request { id: 9, clone_flags: 0, steps: 0 };
    let decode = Report::Failed { id: 0, stage: Stage::Decode, errno: libc::EBADMSG };
    let too_few = Report::Failed { id: 9, stage: Stage::Decode, errno: libc::EBADMSG };
    let cases: [(&[u8], usize, Report); 5] = [
        (b"?", 4, decode),
        (&[0; 32], 4, decode),
        (&[0xff; 64], 4, decode),
        (&request.encode(), 1, too_few),
        (&request.encode(), 3, too_few),
    ];
    for (bytes, count, expected) in cases {
        server.send_bytes(bytes, &vec![some; count]);
        assert_eq!(server.receive().unwrap().0, expected, "{bytes:?}");
    }
    assert_eq!(server.say(&place, "print(1)"), "1");
}

/// A child that cannot take on all it was asked to runs no program.
#[test]
fn children_that_fail_on_their_way() {
    let Some(place) = Place::new(PYTHON) else { return };
    let server = place.serve();
    let (pipe, _end) = rustix::pipe::pipe().unwrap();
    let directory = fs::File::open(place.directory.path()).unwrap();
    let (pipe, directory) = (pipe.as_fd(), directory.as_fd());
    let well = [pipe, pipe, pipe, directory];
    let surplus = [pipe, pipe, pipe, directory, pipe];
    let cases = [
        (well.as_slice(), 1 << 40, Stage::Confine, libc::EOPNOTSUPP),
        (&surplus, 0, Stage::Confine, libc::EOPNOTSUPP),
        (&[pipe; 4], 0, Stage::Directory, libc::ENOTDIR),
    ];
    for (descriptors, steps, stage, errno) in cases {
        server.send(&Request { id: 5, clone_flags: 0, steps }, descriptors);
        let mut reports = [(); 3].map(|()| server.receive().unwrap().0);
        reports.sort_by_key(|report| match report {
            Report::Failed { .. } => 0,
            Report::Ended { .. } => 1,
            Report::Ready { .. } | Report::Refused { .. } | Report::Started { .. } => 2,
        });
        assert_eq!(reports[0], Report::Failed { id: 5, stage, errno });
        let Report::Ended { status, .. } = reports[1] else { panic!("{reports:?}") };
        assert_eq!(status, FAILED_EXIT << 8);
    }
    assert_eq!(server.say(&place, "print(1)"), "1");
}

#[test]
fn more_children_than_there_is_room_for() {
    let Some(place) = Place::new(PERL) else { return };
    let server = place.serve();
    place.write("<STDIN>; exit 4;");
    let (input, hold) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let directory = fs::File::open(place.directory.path()).unwrap();
    let null = fs::File::options().write(true).open("/dev/null").unwrap();
    let descriptors = [input.as_fd(), null.as_fd(), null.as_fd(), directory.as_fd()];
    for id in 0..=CHILDREN_MAX as u64 {
        server.send(&Request { id, clone_flags: 0, steps: 0 }, &descriptors);
        let report = server.receive().unwrap().0;
        if id < CHILDREN_MAX as u64 {
            assert!(matches!(report, Report::Started { .. }), "{report:?}");
        } else {
            assert_eq!(report, Report::Failed { id, stage: Stage::Room, errno: libc::EAGAIN });
        }
    }
    drop((input, hold));
    for _ in 0..CHILDREN_MAX {
        let report = server.receive().unwrap().0;
        assert!(matches!(report, Report::Ended { status, .. } if status == 4 << 8), "{report:?}");
    }
    assert_eq!(server.say(&place, "print 1"), "1");
}
