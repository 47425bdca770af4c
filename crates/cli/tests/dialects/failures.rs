//! Failures of ours: each client tries again or stops, and none takes one for what a program did.

use std::net::TcpStream;

use serde_json::{Value, json};

use crate::code_judge::RSTAR2;
use crate::python;
use crate::server::{Server, can_run};

/// A call that gives up after its second try.
const GIVES_UP: &str = r#"
import json, sys
from sandbox_fusion import RunCodeRequest, run_code
try:
    run_code(RunCodeRequest(code="print(1)", language="python"), endpoint=sys.argv[1], max_attempts=2)
    json.dump("took it", sys.stdout)
except Exception as error:
    json.dump(str(error), sys.stdout)
"#;

/// A server with no room for another request, for as long as the connections are there.
fn full_server() -> (Server, Vec<TcpStream>) {
    let server = Server::start(&["--slots", "1", "--queue", "0"]);
    let body = json!({"code": "sleep 500", "language": "bash", "run_timeout": 600}).to_string();
    let head = format!(
        "POST /run_code HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    let mut sleepers = Vec::new();
    while server.get("/health").body["running"] != 2 {
        if sleepers.len() < 2 {
            sleepers.push(server.send(&head, body.as_bytes()));
        }
        std::thread::yield_now();
    }
    (server, sleepers)
}

#[test]
fn a_full_server_is_no_verdict() {
    if !can_run(&["python3", "bash"]) {
        return;
    }
    let (server, sleepers) = full_server();
    let refused = server.post("/run_code", &json!({"code": "print(1)", "language": "python"}));
    assert_eq!(refused.status, 504, "{refused:?}");
    assert!(refused.head.contains("retry-after: "), "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("wait"), "{refused:?}");
    let judged = server.post("/judge", &json!({"type": "python", "solution": "print(1)"}));
    let told = (judged.status, &judged.body["reason"], &judged.body["run_success"]);
    assert_eq!(told, (200, &json!("queue_timeout"), &json!(false)), "{judged:?}");

    let Some(interpreter) = python::interpreter() else { return };
    let before = server.answered("/run_code", 504);
    let raised = python::run(interpreter, GIVES_UP, &[&server.url("")]);
    assert!(raised.as_str().unwrap().contains("code 504"), "{raised}");
    assert_eq!(server.answered("/run_code", 504) - before, 2, "it tried again");

    let case = json!([["python", "print(1)", "", "1", 10]]).to_string();
    let url = format!("{}/run_code", server.url(""));
    let scores = python::run(interpreter, include_str!("verl.py"), &[&url, &case]);
    assert_eq!(scores, json!([[-1, 3]]), "it tried three times, and knows that it knows nothing");

    let submissions = json!([{"type": "python", "solution": "print(1)", "input": ""}]).to_string();
    let found = python::run(interpreter, RSTAR2, &[&server.url(""), &submissions]);
    assert_eq!(found, json!({"results": [null], "calls": 4}), "it tried four times, and has no result");

    drop(sleepers);
    while server.get("/health").body["running"] != 0 {
        std::thread::yield_now();
    }
    let found = python::run(interpreter, RSTAR2, &[&server.url(""), &submissions]);
    assert_eq!((&found["calls"], &found["results"][0]["stdout"]), (&json!(1), &json!("1\n")));
}

#[test]
fn clients_that_know_no_tokens_have_one_in_their_address() {
    let Some(interpreter) = python::interpreter() else { return };
    if !can_run(&["python3"]) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let server = Server::start(&["--token-file", file.to_str().unwrap()]);
    assert_eq!(server.post("/run_code", &json!({"code": "", "language": "python"})).status, 401);
    assert_eq!(server.post("/run", &json!({})).status, 401);
    let case = json!([["python", "print(1)", "", "1", 10]]).to_string();
    let score = |user: &str| -> Value {
        let url = format!("{}/run_code", server.url(user));
        python::run(interpreter, include_str!("verl.py"), &[&url, &case])
    };
    assert_eq!(score("any:secret@"), json!([[true, 1]]));
    assert_eq!(score("any:wrong@"), json!([[-1, 1]]));
    let submissions = json!([{"type": "python", "solution": "print(1)", "input": ""}]).to_string();
    let found = python::run(interpreter, RSTAR2, &[&server.url("any:secret@"), &submissions]);
    assert_eq!(found["results"][0]["stdout"], "1\n");
}

#[test]
fn a_missing_toolchain_is_the_requests_mistake() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let ghost =
        "prompt: p\nfilename: a.x\nexecute: no-such-interpreter a.x\ntoolchain: [no-such-interpreter]\n";
    std::fs::write(place.path().join("ghost.yaml"), ghost).unwrap();
    let server = Server::start(&["--languages", place.path().to_str().unwrap()]);
    let [ghost, python] = ["ghost", "python"].map(|kind| json!({"type": kind, "solution": "print(1)"}));
    for (path, body, loc) in [
        ("/run_code", json!({"code": "", "language": "ghost"}), json!(["body", "language"])),
        ("/run", ghost.clone(), json!(["body", "type"])),
        (
            "/judge/long-batch",
            json!({"submissions": [python, ghost]}),
            json!(["body", "submissions", 1, "type"]),
        ),
    ] {
        let answer = server.post(path, &body);
        let mistake = &answer.body["detail"][0];
        assert_eq!((answer.status, &mistake["loc"]), (422, &loc), "{answer:?}");
        assert!(mistake["msg"].as_str().unwrap().contains("no-such-interpreter"), "{answer:?}");
    }
    assert_eq!(server.post("/run", &python).body["stdout"], "1\n");
}
