//! Clients that do not behave, and those that may not come in.

use std::io::{Read as _, Write as _};

use crate::harness::{ENDLESS, Server, can_serve, command, post, read_reply, wait_until};

#[test]
fn a_client_that_goes_away_takes_its_cages_along() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&[]);
    let batch = r#"{"language":"bash","items":[{"solution":"exec sleep 600","problem":{"cases":[{"expected":""}],"limits":{"wall_time":"300s"}}}]}"#;
    let judge = r#"{"language":"bash","solution":"exec sleep 600","problem":{"cases":[{"expected":""}],"limits":{"wall_time":"300s"}}}"#;
    for (path, body) in [("/v1/execute", ENDLESS), ("/v1/judge", judge), ("/v1/judge/batch", batch)] {
        let client = server.send(path, body);
        server.wait_for("running", 1);
        drop(client);
        server.wait_for("running", 0);
    }
    // The same in the middle of a stream.
    let two = r#"{"language":"bash","items":[{"solution":"","problem":{"cases":[{"expected":""}]}},
        {"solution":"exec sleep 600","problem":{"cases":[{"expected":""}],"limits":{"wall_time":"300s"}}}]}"#;
    let mut client = server.connect();
    client
        .write_all(&post("/v1/judge/batch", &[("accept", "application/x-ndjson")], two.as_bytes()))
        .unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("accepted") {
        let mut chunk = [0; 1024];
        let count = client.read(&mut chunk).unwrap();
        assert_ne!(count, 0, "the stream ended");
        seen.extend_from_slice(&chunk[..count]);
    }
    drop(client);
    server.wait_for("running", 0);
}

#[test]
fn a_client_that_stops_sending_or_reading_is_let_go() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&["--client-time", "2s"]);
    // Half a head is answered with nothing, half a body with a word.
    assert!(server.raw(b"POST /v1/execute HTTP/1.1\r\nhost: te").is_none_or(|reply| reply.status == 408));
    let half = post("/v1/execute", &[], &[b' '; 1000]);
    let reply = server.raw(&half[..half.len() - 500]).unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (408, "request_timeout"));
    // Far more than the kernel holds for a client that does not read.
    let flood = r#"{"language":"python","code":"print('x' * 40_000_000)","limits":{"output":"64MiB"}}"#;
    let client = server.send("/v1/execute", flood);
    // That it runs may be over before anybody looks; that it ran stays.
    let ran = "rollcage_runs_total{termination=\"exited_0\"} 1";
    wait_until(ran, || server.get("/metrics").body.contains(ran));
    server.wait_for("running", 0);
    drop(client);
}

#[test]
fn a_token_lets_in_and_nothing_else_does() {
    if !can_serve() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let server = Server::start(&["--token-file", file.to_str().unwrap()]);
    let body = br#"{"language":"bash","code":""}"#;
    for (authorization, status) in [
        ("", 401),
        ("Bearer wrong", 401),
        ("Basic c2VjcmV0", 401),
        ("Bearer secret", 200),
        ("bearer secret", 200),
    ] {
        let reply = server.raw(&post("/v1/execute", &[("authorization", authorization)], body)).unwrap();
        assert_eq!(reply.status, status, "{authorization}");
    }
    for (path, status) in
        [("/health", 200), ("/metrics", 401), ("/v1/languages", 401), ("/openapi.json", 401)]
    {
        assert_eq!(server.get(path).status, status, "{path}");
    }
    let open = command("0.0.0.0:0", &[]).output().unwrap();
    assert_eq!(open.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&open.stderr).contains("no token is asked for"), "{open:?}");
}

#[test]
fn a_socket_file_is_replaced_if_nobody_answers_there() {
    use std::os::unix::net::UnixStream;
    if !can_serve() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let address = format!("unix:{}", path.display());
    let mut server = Server::start_at(&address, &[]);
    assert_eq!(server.listening, address);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(&post("/v1/execute", &[], br#"{"language":"bash","code":"echo hi"}"#)).unwrap();
    assert_eq!(read_reply(client).unwrap().json()["run"]["stdout"]["text"], "hi\n");
    let second = command(&address, &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(2), "{second:?}");
    server.end_stdin();
    assert_eq!(server.end(), Some(0));
    assert!(!path.exists());
}
