//! The end of a relay, whatever is going on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::{Bounds, Cage, Host, connections, echo_host, echoes, next_read};

#[test]
fn open_connections_are_broken_off_on_both_sides() {
    let host = Host::new(|mut stream| {
        stream.read_exact(&mut [0; 5]).unwrap();
        stream.write_all(b"hello").unwrap();
        next_read(&stream)
    });
    let cage = Cage::new(&[&host.entry], Bounds::USUAL, &[]);
    let program = cage.connect(0);
    assert!(echoes(&program, b"hello"));
    assert_eq!(connections(&cage.finish()), ["localhost at 127.0.0.1: 5 up, 5 down, RunOver"]);
    assert_eq!(next_read(&program), Err(ErrorKind::ConnectionReset));
    assert_eq!(host.join(), Err(ErrorKind::ConnectionReset));
}

#[test]
fn what_a_program_sent_before_it_ended_arrives() {
    let host = Host::new(|mut stream| {
        stream.write_all(b"!").unwrap();
        let mut heard = String::new();
        let end = stream.read_to_string(&mut heard).map_err(|error| error.kind());
        // Not closed before the relay is over, so that it is the run that ends.
        (heard, end, stream)
    });
    let cage = Cage::new(&[&host.entry], Bounds::USUAL, &[]);
    let mut program = cage.connect(0);
    program.read_exact(&mut [0]).unwrap();
    program.write_all(b"last words").unwrap();
    program.shutdown(Shutdown::Write).unwrap();
    let told = connections(&cage.finish());
    assert_eq!(told, ["localhost at 127.0.0.1: 10 up, 1 down, RunOver"]);
    let (heard, end, _stream) = host.join();
    assert_eq!((heard.as_str(), end), ("last words", Ok(10)));
}

#[test]
fn a_stuck_lookup_does_not_delay_the_end() {
    let (release, released) = channel::<()>();
    let (started, starts) = channel();
    let (released, started) = (Mutex::new(released), Mutex::new(started));
    let cage = Cage::resolving(&["a.example:1"], Bounds::USUAL, move |_host| {
        started.lock().unwrap().send(()).unwrap();
        let _over = released.lock().unwrap().recv();
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    });
    let program = cage.connect(0);
    starts.recv().unwrap();
    // The lookup is released only after this returns.
    let log = cage.finish();
    drop(release);
    assert_eq!(connections(&log), ["a.example failed: the run was over before the host answered"]);
    assert_eq!(next_read(&program), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_relay_that_is_dropped_ends_too() {
    let cage = Cage::new(&[&echo_host()], Bounds::USUAL, &[]);
    let program = cage.connect(0);
    assert!(echoes(&program, b"hello"));
    let address = cage.listeners[0];
    drop(cage);
    assert_eq!(next_read(&program), Err(ErrorKind::ConnectionReset));
    let again = std::net::TcpStream::connect(address).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(again, Err(ErrorKind::ConnectionRefused));
}
