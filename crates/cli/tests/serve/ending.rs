//! How a server ends.

use std::io::Write as _;

use rustix::process::{Signal, kill_process};

use crate::harness::{ENDLESS, Server, can_serve, read_reply, wait_until};

#[test]
fn a_server_that_is_asked_to_end_finishes_what_it_has() {
    if !can_serve() {
        return;
    }
    let mut server = Server::start(&["--drain-time", "60s"]);
    // Long enough to be seen in work.
    let body = r#"{"language":"bash","code":"sleep 3; echo finished"}"#;
    let working = server.send("/v1/execute", body);
    server.wait_for("running", 1);
    kill_process(server.pid(), Signal::TERM).unwrap();
    let reply = read_reply(working).unwrap();
    assert_eq!(reply.json()["run"]["stdout"]["text"], "finished\n");
    assert_eq!(server.end(), Some(0));
}

/// The machine may be out of memory, and choose it.
#[test]
fn a_server_whose_launcher_and_interpreters_are_killed_starts_others() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&[]);
    let echo = r#"{"language":"bash","code":"echo hello"}"#;
    for _ in 0..5 {
        let working = server.send("/v1/execute", ENDLESS);
        server.wait_for("running", 1);
        server.kill_children();
        let reply = server.post("/v1/execute", echo);
        assert_eq!(reply.json()["run"]["stdout"]["text"], "hello\n", "{reply:?}");
        // What was running is run again: it has not ended, and that is not its doing.
        assert_eq!(server.health("running"), 1);
        drop(working);
        server.wait_for("running", 0);
    }
}

#[test]
fn what_does_not_finish_in_time_is_ended() {
    if !can_serve() {
        return;
    }
    let mut server = Server::start(&[]);
    let working = server.send("/v1/execute", ENDLESS);
    server.wait_for("running", 1);
    kill_process(server.pid(), Signal::TERM).unwrap();
    assert_eq!(server.end(), Some(0));
    assert!(read_reply(working).is_none());
}

#[test]
fn a_connection_that_was_open_is_told_that_the_server_ends() {
    if !can_serve() {
        return;
    }
    let mut server = Server::start(&["--drain-time", "60s"]);
    let idle = server.connect();
    let working = server.send("/v1/execute", ENDLESS);
    server.wait_for("running", 1);
    kill_process(server.pid(), Signal::TERM).unwrap();
    let address = server.listening.clone();
    wait_until("nobody is accepted any more", || std::net::TcpStream::connect(&address).is_err());
    // Idle ones are closed; one in the middle of a request is not.
    assert!(read_reply(idle).is_none());
    drop(working);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_server_ends_with_its_standard_input() {
    if !can_serve() {
        return;
    }
    let mut server = Server::start(&[]);
    let mut open = server.connect();
    open.write_all(b"GET /hea").unwrap();
    server.end_stdin();
    assert_eq!(server.end(), Some(0));
}
