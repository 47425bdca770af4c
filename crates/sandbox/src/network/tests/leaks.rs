//! After any number of relays there are as many descriptors and threads as before.
//!
//! In a process of its own, because other tests open some.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::{Bounds, Cage, PATIENCE, echo_host, echoes, next_read};

const ROUNDS: usize = 30;

#[test]
fn nothing_leaks() {
    run_alone("network::tests::leaks::nothing_leaks_in_a_process_of_its_own", Command::new);
}

/// Runs an ignored test of this binary with what `command` makes of its path.
pub(super) fn run_alone(test: &str, command: impl FnOnce(std::path::PathBuf) -> Command) {
    let binary = std::env::current_exe().expect("a test has a path");
    let output = command(binary)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .expect("this test starts itself");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "the inner test did not run: {stdout}");
}

fn inventory() -> (usize, usize) {
    let count = |path: &str| fs::read_dir(path).expect("/proc is mounted").count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

/// Lives through everything a relay can be in the middle of.
fn round() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    // A host of its own in this thread: nothing of it is left either.
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let entry = format!("localhost:{}", listener.local_addr().unwrap().port());
    let cage = Cage::resolving(&[&entry, "stuck.example:1", "127.0.0.1:1"], Bounds::USUAL, move |_host| {
        let _over = released.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let _looking = cage.connect(1);
    assert!(next_read(&cage.connect(2)).is_err());
    let closed = cage.connect(0);
    let (mut host, _) = listener.accept().unwrap();
    host.set_read_timeout(Some(PATIENCE)).unwrap();
    closed.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next_read(&host), Ok(0));
    drop(host);
    assert_eq!(next_read(&closed), Ok(0));
    let _open = cage.connect(0);
    (host, _) = listener.accept().unwrap();
    host.write_all(b"unread").unwrap();
    cage.finish();
    drop(release);
}

#[test]
#[ignore = "counts descriptors, so it needs a process to itself; `nothing_leaks` starts it in one"]
fn nothing_leaks_in_a_process_of_its_own() {
    let settled = |expected: (usize, usize)| {
        // Lookups that were left behind end on their own time.
        let tries = (0..2000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            inventory() == expected
        });
        assert!(tries, "{:?} instead of {expected:?}", inventory());
    };
    let before = inventory();
    for _ in 0..ROUNDS {
        round();
    }
    settled(before);
    let entry = echo_host();
    let cage = Cage::new(&[&entry], Bounds::USUAL, &[]);
    assert!(echoes(&cage.connect(0), b"it still works"));
}
