//! Requests that wait, and that may not.

use std::net::TcpStream;

use crate::harness::{ENDLESS, Server, can_serve, post, read_reply};
use std::io::Write as _;

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&["--slots", "1", "--queue", "1"]);
    // One slot gives two turns; one more may wait.
    let _running = [server.send("/v1/execute", ENDLESS), server.send("/v1/execute", ENDLESS)];
    server.wait_for("running", 2);
    let waiting = server.send("/v1/execute", ENDLESS);
    server.wait_for("queued", 1);
    let reply = server.post("/v1/execute", ENDLESS);
    assert_eq!((reply.status, reply.code().as_str()), (429, "queue_full"));
    assert!(reply.headers["retry-after"].parse::<u64>().unwrap() >= 1);
    assert_eq!(reply.json()["error"]["retryable"], true);
    // One who goes away makes room.
    drop(waiting);
    server.wait_for("queued", 0);
}

#[test]
fn who_waits_too_long_is_told_so() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&["--slots", "1", "--queue-time", "50ms"]);
    let _running = [server.send("/v1/execute", ENDLESS), server.send("/v1/execute", ENDLESS)];
    server.wait_for("running", 2);
    let reply = server
        .post("/v1/judge", r#"{"solution":"","language":"bash","problem":{"cases":[{"expected":""}]}}"#);
    assert_eq!((reply.status, reply.code().as_str()), (504, "queue_deadline"));
}

/// Whatever the server does with them, each is answered, and it is the same server afterwards.
#[test]
fn ten_thousand_at_once_are_each_answered() {
    const REQUESTS: usize = 10_000;
    if !can_serve() {
        return;
    }
    raise_descriptor_limit();
    let server = Server::start(&["--queue", "200"]);
    let request = post("/v1/execute", &[], br#"{"language":"bash","code":"exit 7"}"#);
    let send = |_| {
        let mut stream: TcpStream = server.connect();
        stream.write_all(&request).unwrap();
        stream
    };
    let streams: Vec<TcpStream> = (0..REQUESTS).map(send).collect();
    let (mut done, mut refused) = (0, 0);
    for stream in streams {
        let reply = read_reply(stream).unwrap();
        match reply.status {
            200 => {
                assert_eq!(reply.json()["run"]["termination"]["code"], 7);
                done += 1;
            }
            429 => {
                assert_eq!(reply.code(), "queue_full");
                refused += 1;
            }
            _ => panic!("{reply:?}"),
        }
    }
    assert_eq!(done + refused, REQUESTS);
    assert!(done >= 200, "{done} done");
    server.wait_for("running", 0);
    assert_eq!(server.health("queued"), 0);
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
