//! Names over the relay's socket, and what they may lead to.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::{Bounds, Cage, NetworkEvent, PATIENCE, connections, next_read};

/// A query of a stub resolver's.
pub(super) fn query(name: &str, kind: u8) -> Vec<u8> {
    let mut packet = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, kind, 0, 1]);
    packet
}

#[test]
fn queries_are_answered_and_told_once() {
    let cage = Cage::new(&["a.example", "b.example"], Bounds::USUAL, &[]);
    let resolver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    resolver.set_read_timeout(Some(PATIENCE)).unwrap();
    resolver.connect(cage.dns).unwrap();
    let ask = |packet: &[u8]| {
        resolver.send(packet).unwrap();
        let mut answer = [0; 512];
        let length = resolver.recv(&mut answer).unwrap();
        answer[..length].to_vec()
    };
    // What is no query gets no answer, so the next answer is the next query's.
    for junk in [&b""[..], b"\0", &[0xff; 1400], &[query("b.example", 1), vec![0; 1300]].concat()] {
        resolver.send(junk).unwrap();
    }
    assert!(ask(&query("B.example", 1)).ends_with(&[0, 4, 127, 0, 1, 2]));
    assert_eq!(ask(&query("b.example", 28))[2..8], *b"\x81\x80\x00\x01\x00\x00");
    assert_eq!(ask(&query("c.example", 1))[2..8], *b"\x81\x83\x00\x01\x00\x00");
    let queried = [("b.example", true), ("c.example", false)]
        .map(|(name, allowed)| NetworkEvent::Queried { name: name.to_owned(), allowed });
    assert_eq!(cage.finish().events, queried);
}

#[test]
fn names_do_not_lead_inside() {
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
    const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const MAPPED: IpAddr = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 1));
    for (addresses, expected) in [
        (&[LOOPBACK][..], "a.example refused: the name resolved to 127.0.0.1, a loopback address"),
        (&[METADATA], "a.example refused: the name resolved to 169.254.169.254, a link-local address"),
        (&[PRIVATE, LOOPBACK], "a.example refused: the name resolved to 10.0.0.1, a private address"),
        (&[MAPPED], "a.example refused: the name resolved to ::ffff:127.0.0.1, a loopback address"),
        (&[], "a.example failed: the name could not be resolved: it has no address"),
    ] {
        // Something listens, so that only the refusal stands between.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let entry = format!("a.example:{}", listener.local_addr().unwrap().port());
        let cage = Cage::new(&[&entry], Bounds::USUAL, addresses);
        assert_eq!(next_read(&cage.connect(0)), Err(ErrorKind::ConnectionReset));
        assert_eq!(connections(&cage.finish()), [expected]);
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
}

#[test]
fn a_name_that_cannot_be_resolved_is_a_failure() {
    let cage = Cage::resolving(&["a.example:1"], Bounds::USUAL, |host| {
        Err(io::Error::other(format!("no server knows {host}")))
    });
    assert_eq!(next_read(&cage.connect(0)), Err(ErrorKind::ConnectionReset));
    assert_eq!(
        connections(&cage.finish()),
        ["a.example failed: the name could not be resolved: no server knows a.example"]
    );
}

#[test]
fn a_stuck_lookup_is_given_up_and_holds_up_no_other() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let bounds = Bounds { lookup: Duration::from_millis(50), ..Bounds::USUAL };
    let cage = Cage::resolving(&["stuck.example:1", "quick.example:1"], bounds, move |host| {
        if host.as_str() == "stuck.example" {
            // Until the test is over.
            let _over = released.lock().unwrap().recv();
        }
        Ok(vec![Ipv4Addr::new(10, 0, 0, 1).into()])
    });
    let stuck = cage.connect(0);
    assert_eq!(next_read(&cage.connect(1)), Err(ErrorKind::ConnectionReset));
    assert_eq!(next_read(&stuck), Err(ErrorKind::ConnectionReset));
    assert_eq!(
        connections(&cage.finish()),
        [
            "quick.example refused: the name resolved to 10.0.0.1, a private address",
            "stuck.example failed: resolving the name took longer than 0 s",
        ]
    );
    drop(release);
}
