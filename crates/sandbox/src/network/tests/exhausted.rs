//! A relay on a machine that has run out of descriptors.
//!
//! In a process of its own, because the limit is the process's.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::leaks::run_alone;
use super::names::query;
use super::{Bounds, Cage, PATIENCE, connections, next_read};

/// More than are answered in one turn: what was ready before the first has been looked at before the last is answered.
const QUERIES: usize = 20;

/// All this process may have, few enough to take.
const DESCRIPTORS: u64 = 64;

#[test]
fn failures_of_ours_are_told_as_such() {
    run_alone(
        "network::tests::exhausted::failures_of_ours_are_told_as_such_in_a_process_of_their_own",
        Command::new,
    );
}

/// Takes all descriptors the process may have but `left`.
fn take_all_but(left: usize, of: &UdpSocket) -> Vec<UdpSocket> {
    let mut taken: Vec<_> = std::iter::from_fn(|| of.try_clone().ok()).collect();
    taken.truncate(taken.len() - left);
    taken
}

#[test]
#[ignore = "limits the process's descriptors; `failures_of_ours_are_told_as_such` starts it in one of its own"]
fn failures_of_ours_are_told_as_such_in_a_process_of_their_own() {
    let usual = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), ..usual }).unwrap();
    // Nobody waits in accept(2) meanwhile, which takes a descriptor beforehand.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let entry = format!("localhost:{}", listener.local_addr().unwrap().port());
    let cage = Cage::new(&[&entry], Bounds::USUAL, &[]);
    let resolver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    resolver.set_read_timeout(Some(PATIENCE)).unwrap();
    let let_the_relay_look = || {
        for _ in 0..QUERIES {
            resolver.send_to(&query("localhost", 1), cage.dns).unwrap();
            assert_ne!(resolver.recv(&mut [0; 512]).unwrap(), 0);
        }
    };

    // One for the program's end: the relay cannot even accept, and does once it can.
    let taken = take_all_but(1, &resolver);
    let mut patient = cage.connect(0);
    let_the_relay_look();
    drop(taken);
    patient.write_all(b"late, but here").unwrap();
    let host = listener.accept().unwrap().0;
    assert_eq!(next_read(&host), Ok(14));

    // One to accept with, and none to go on to the host.
    let taken = take_all_but(2, &resolver);
    assert_eq!(next_read(&cage.connect(0)), Err(ErrorKind::ConnectionReset));
    drop(taken);

    let log = cage.finish();
    let told = connections(&log);
    let (last, ours) = told.split_last().unwrap();
    assert_eq!(last, "localhost at 127.0.0.1: 14 up, 0 down, RunOver");
    assert_eq!(log.failures_of_ours, ours.len() as u64);
    for action in ["accept a connection", "make a socket"] {
        let expected =
            format!("localhost failed: the relay could not {action}: Too many open files (os error 24)");
        assert!(ours.contains(&expected), "{told:?}");
    }
}
