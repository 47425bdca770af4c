//! Bytes through the relay, and connections that do not come about.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

use super::{Bounds, Cage, Host, PATIENCE, connections, echo, echo_host, echoes, next_read};

#[test]
fn bytes_and_ends_are_passed_on_both_ways() {
    let host = Host::new(|mut stream| {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        // The program's end has come; the answer still goes its way.
        stream.write_all(b"all of it").unwrap();
        heard
    });
    let cage = Cage::new(&[&host.entry], Bounds::USUAL, &[]);
    let mut program = cage.connect(0);
    program.write_all(b"hello").unwrap();
    program.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    program.read_to_end(&mut answer).unwrap();
    assert_eq!((host.join(), answer), (b"hello".to_vec(), b"all of it".to_vec()));
    let log = cage.finish();
    assert_eq!(connections(&log), ["localhost at 127.0.0.1: 5 up, 9 down, Closed"]);
    assert_eq!((log.bytes_sent, log.bytes_received, log.dropped), (5, 9, 0));
}

#[test]
fn a_host_may_end_first() {
    let host = Host::new(|mut stream| {
        stream.write_all(b"bye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        heard
    });
    let cage = Cage::new(&[&host.entry], Bounds::USUAL, &[]);
    let mut program = cage.connect(0);
    let mut answer = Vec::new();
    program.read_to_end(&mut answer).unwrap();
    program.write_all(b"wait").unwrap();
    drop(program);
    assert_eq!((host.join(), answer), (b"wait".to_vec(), b"bye".to_vec()));
    assert_eq!(connections(&cage.finish()), ["localhost at 127.0.0.1: 4 up, 3 down, Closed"]);
}

#[test]
fn a_mebibyte_each_way_at_once() {
    let sent: Vec<u8> = (0..1 << 20).map(|index: u32| index.to_le_bytes()[(index % 3) as usize]).collect();
    let cage = Cage::new(&[&echo_host()], Bounds::USUAL, &[]);
    let program = cage.connect(0);
    let (mut writer, to_send) = (program.try_clone().unwrap(), sent.clone());
    let writing = thread::spawn(move || {
        writer.write_all(&to_send).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    (&program).read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent, "what came back differs");
    assert_eq!(connections(&cage.finish()), ["localhost at 127.0.0.1: 1048576 up, 1048576 down, Closed"]);
}

#[test]
fn a_host_that_breaks_off_is_not_taken_for_one_that_ended() {
    let host = Host::new(|mut stream| {
        stream.write_all(b"the first half").unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).unwrap();
        // Closing with bytes unread makes the kernel send a reset.
        stream.peek(&mut asked).unwrap();
    });
    let cage = Cage::new(&[&host.entry], Bounds::USUAL, &[]);
    let mut program = cage.connect(0);
    let mut half = [0; 14];
    program.read_exact(&mut half).unwrap();
    program.write_all(b"more and more").unwrap();
    assert_eq!(next_read(&program), Err(ErrorKind::ConnectionReset));
    host.join();
    let told = connections(&cage.finish());
    assert!(matches!(&told[..], [one] if one.ends_with("14 down, Reset")), "{told:?}");
}

#[test]
fn a_host_that_refuses_is_a_failure_and_a_reset() {
    // Nobody listens there once this is closed.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let cage = Cage::new(&[&format!("127.0.0.1:{}", closed.port())], Bounds::USUAL, &[]);
    assert_eq!(next_read(&cage.connect(0)), Err(ErrorKind::ConnectionReset));
    let expected = format!("127.0.0.1 failed: cannot connect to {closed}: Connection refused (os error 111)");
    assert_eq!(connections(&cage.finish()), [expected]);
}

#[test]
fn a_host_that_does_not_answer_is_given_up() {
    // A listener whose queue is full ignores whoever knocks.
    let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&silent, &std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listen(&silent, 0).unwrap();
    let address = std::net::SocketAddr::try_from(getsockname(&silent).unwrap()).unwrap();
    let _queued = TcpStream::connect(address).unwrap();
    let bounds = Bounds { connect: Duration::from_millis(20), ..Bounds::USUAL };
    let cage = Cage::new(&[&format!("127.0.0.1:{}", address.port())], bounds, &[]);
    assert_eq!(next_read(&cage.connect(0)), Err(ErrorKind::ConnectionReset));
    let expected = format!("127.0.0.1 failed: {address} did not answer within 0 s");
    assert_eq!(connections(&cage.finish()), [expected]);
}

#[test]
fn a_silent_connection_is_broken_off() {
    let host = Host::new(|stream| next_read(&stream));
    let bounds = Bounds { idle: Duration::from_millis(20), ..Bounds::USUAL };
    let cage = Cage::new(&[&host.entry], bounds, &[]);
    assert_eq!(next_read(&cage.connect(0)), Err(ErrorKind::ConnectionReset));
    assert_eq!(host.join(), Err(ErrorKind::ConnectionReset));
    assert_eq!(connections(&cage.finish()), ["localhost at 127.0.0.1: 0 up, 0 down, Idle"]);
}

#[test]
fn more_connections_than_the_bound_are_refused_until_one_ends() {
    let bounds = Bounds { connections: 2, ..Bounds::USUAL };
    let cage = Cage::new(&[&echo_host()], bounds, &[]);
    let open = [cage.connect(0), cage.connect(0)];
    assert!(open.iter().all(|stream| echoes(stream, b"here")));
    assert_eq!(next_read(&cage.connect(0)), Err(ErrorKind::ConnectionReset));
    let [first, second] = open;
    // Its end has gone to the host and back when this reads it.
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next_read(&first), Ok(0));
    assert!(echoes(&cage.connect(0), b"there"));
    assert!(echoes(&second, b"still here"));
    let told = connections(&cage.finish());
    assert_eq!(told[0], "localhost refused: 2 connections were open");
    assert_eq!(told[1], "localhost at 127.0.0.1: 4 up, 4 down, Closed");
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn each_listener_leads_to_its_own_host() {
    let (one, two) =
        (Host::new(|stream| echo(&stream)), Host::new(|mut stream| stream.write_all(b"2").unwrap()));
    let two_by_address = two.entry.replace("localhost", "127.0.0.1");
    let cage = Cage::new(&[&one.entry, &two_by_address], Bounds::USUAL, &[]);
    assert_eq!(cage.listeners[0].ip(), Ipv4Addr::new(127, 0, 1, 1));
    assert_eq!(cage.listeners[1].ip(), Ipv4Addr::new(127, 0, 1, 2));
    let mut said = String::new();
    cage.connect(1).read_to_string(&mut said).unwrap();
    assert_eq!(said, "2");
    let program = cage.connect(0);
    assert!(echoes(&program, b"1"));
    drop(program);
    one.join();
    two.join();
    let mut told = connections(&cage.finish());
    told.sort();
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with("127.0.0.1 at 127.0.0.1: 0 up, 1 down"), "{told:?}");
    assert!(told[1].starts_with("localhost at 127.0.0.1: 1 up, 1 down"), "{told:?}");
}

#[test]
fn many_connections_at_once() {
    let cage = Cage::new(&[&echo_host()], Bounds::USUAL, &[]);
    thread::scope(|scope| {
        for index in 0..Bounds::USUAL.connections {
            let stream = cage.connect(0);
            scope.spawn(move || {
                let text = vec![u8::try_from(index).unwrap(); 100_000];
                let mut writer = stream.try_clone().unwrap();
                let to_send = text.clone();
                let writing = thread::spawn(move || {
                    writer.write_all(&to_send).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut back = Vec::new();
                (&stream).read_to_end(&mut back).unwrap();
                writing.join().unwrap();
                assert!(back == text, "connection {index}");
            });
        }
    });
    let told = connections(&cage.finish());
    assert_eq!(told.len(), Bounds::USUAL.connections);
    assert!(told.iter().all(|event| event.ends_with("100000 up, 100000 down, Closed")), "{told:?}");
}
