//! Bodies that are no requests.

use crate::harness::{Server, can_serve, post};

#[test]
fn each_is_refused_with_its_field_and_the_server_goes_on() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&["--memory-max", "1GiB"]);
    let deep = format!(r#"{{"language":"python","code":{}"#, "[".repeat(100_000));
    for (path, body, status, message) in [
        ("/v1/execute", r#"{"language":"python","code":"#, 400, "`code`: not valid JSON at line 1 column 28"),
        ("/v1/execute", "", 400, "not valid JSON"),
        ("/v1/execute", "[]", 400, "expected a JSON object"),
        ("/v1/execute", deep.as_str(), 400, "`code`: invalid type: sequence"),
        ("/v1/judge", r#"{"problem":{"meta":{"a":"#, 400, "`problem.meta"),
        (
            "/v1/execute",
            r#"{"language":"python","code":{"base64":"%"}}"#,
            400,
            "`code`: `base64` is not base64",
        ),
        (
            "/v1/execute",
            r#"{"language":"python","code":"","files":{"../../etc/passwd":""}}"#,
            400,
            "`files.../../etc/passwd`",
        ),
        (
            "/v1/execute",
            r#"{"language":"python","code":"","files":{"/etc/passwd":""}}"#,
            400,
            "`files./etc/passwd`",
        ),
        ("/v1/execute", r#"{"language":"python","code":"","collect":["a/../b"]}"#, 400, "`collect[0]`"),
        (
            "/v1/execute",
            r#"{"language":"python","code":"","limits":{"memory":"2GiB"}}"#,
            400,
            "`limits.memory`: this server gives no more than 1GiB",
        ),
        (
            "/v1/execute",
            r#"{"language":"python","code":"","limits":{"wall_time":"3h"}}"#,
            400,
            "`limits.wall_time`",
        ),
        ("/v1/execute", r#"{"language":"python","code":"","limts":{}}"#, 400, "`limts`: unknown field"),
        (
            "/v1/execute",
            r#"{"language":"pyton","code":""}"#,
            422,
            "`language`: no language is called `pyton`",
        ),
        ("/v1/judge", r#"{"solution":"","language":"python","problem":{"cases":[]}}"#, 400, "`problem`"),
        ("/v1/judge/batch", r#"{"items":[{"solution":"","problem":"p"}]}"#, 400, "`items[0].problem`"),
    ] {
        let reply = server.post(path, body);
        let told = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(reply.status, status, "{told}");
        assert!(told.starts_with(message), "{told} is not {message}");
    }
    let not_text = server.raw(&post("/v1/execute", &[], b"{\"language\":\"\xff\xfe\"}")).unwrap();
    assert_eq!((not_text.status, not_text.code().as_str()), (400, "bad_request"));
    assert_eq!(server.post("/v1/execute", r#"{"language":"bash","code":""}"#).status, 200);
}

#[test]
fn large_ones_are_refused_by_what_they_say_and_by_what_they_are() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&["--body-limit", "64KiB"]);
    let large = post("/v1/execute", &[], &[b' '; 70_000]);
    let reply = server.raw(&large).unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (413, "too_large"));
    // The same without saying how long it is.
    let head = "POST /v1/execute HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 35_000, " ".repeat(35_000));
    let reply = server.raw(format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes()).unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (413, "too_large"));
    assert_eq!(server.post("/v1/execute", r#"{"language":"bash","code":""}"#).status, 200);
}

/// A page in somebody's browser can send these to loopback without being asked.
#[test]
fn what_is_not_json_by_its_own_account_is_not_read() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&[]);
    let body = br#"{"language":"bash","code":""}"#;
    for content_type in
        ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let reply = server.raw(&post("/v1/execute", &[("content-type", content_type)], body)).unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"), "{content_type}");
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(
            server.raw(&post("/v1/execute", &[("content-type", content_type)], body)).unwrap().status,
            200
        );
    }
    assert_eq!(server.get("/v1/execute").code(), "method_not_allowed");
    assert_eq!(server.get("/v2").code(), "not_found");
}
