//! The paths, and what they answer.

use serde_json::{Value, json};

use crate::harness::{Server, can_serve, post};

const SUM: &str = "print(sum(map(int, input().split())))";

#[test]
fn a_program_is_run_and_told_of() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&[]);
    let body = json!({
        "language": "py", "code": "import sys; print(open('a.txt').read() + input()); open('o', 'w').write('x'); sys.exit(3)",
        "stdin": "in", "files": {"a.txt": "file"}, "collect": ["o", "absent"],
    });
    let reply = server.post("/v1/execute", &body.to_string()).json();
    assert_eq!(reply["status"], "ran");
    assert_eq!(reply["run"]["termination"], json!({"kind": "exited", "code": 3}));
    assert_eq!(reply["run"]["stdout"], json!({"text": "filein\n", "bytes_total": 7, "truncated": false}));
    assert_eq!(reply["run"]["enforcement"]["level"], "full");
    assert_eq!(reply["files"], json!({"o": "x"}));
    assert_eq!(reply["compile"], Value::Null);

    let body = json!({"language": "bash", "code": "sleep 600", "limits": {"wall_time": "50ms"}});
    let reply = server.post("/v1/execute", &body.to_string()).json();
    assert_eq!(reply["run"]["termination"], json!({"kind": "limit_exceeded", "limit": "wall_time"}));
}

#[test]
fn a_solution_is_judged() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&[]);
    let judge = |mut body: Value| {
        body["problem"] = json!({"language": "python", "cases": [
            {"stdin": "1 2\n", "expected": "3\n"}, {"stdin": "2 2\n", "expected": "4\n"}]});
        server.post("/v1/judge", &body.to_string()).json()
    };
    for (body, verdict, score) in [
        (json!({"solution": SUM}), "accepted", 1.0),
        (json!({"answer": format!("So:\n```python\n{SUM}\n```\n")}), "accepted", 1.0),
        (json!({"solution": "print(3)", "stop": "run_all"}), "partially_correct", 0.5),
        (json!({"solution": "print(3)"}), "wrong_answer", 0.0),
        (json!({"solution": "1 / 0"}), "runtime_error", 0.0),
        (json!({"answer": "I do not know."}), "compile_error", 0.0),
    ] {
        let reply = judge(body.clone());
        assert_eq!((&reply["verdict"], &reply["score"]), (&json!(verdict), &json!(score)), "{body}: {reply}");
        assert_eq!(reply["error"], Value::Null);
    }
}

/// A number in such a reply could be taken for a score.
#[test]
fn what_cannot_be_judged_has_an_error_and_neither_verdict_nor_score() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&[]);
    let body = json!({"id": "x", "language": "python", "solution": SUM, "problem": {
        "cases": [{"stdin": "", "expected": ""}], "limits": {"disk": "64KiB"}, "files": {"big": "x".repeat(1 << 20)}}});
    let reply = server.post("/v1/judge", &body.to_string());
    assert_eq!(reply.status, 200);
    let reply = reply.json();
    assert_eq!(reply["error"]["blame"], "problem", "{reply}");
    let keys: Vec<&String> = reply.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "language", "error"]);
}

#[test]
fn a_batch_is_answered_in_its_order_or_as_it_comes() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&[]);
    let items: Vec<Value> = (0..20)
        .map(|number| json!({"id": format!("i{number}"), "problem": "p", "solution": format!("print({number} % 2)")}))
        .collect();
    let body =
        json!({"language": "python", "problems": {"p": {"cases": [{"expected": "1\n"}]}}, "items": items});
    let expected = |index: u64| if index % 2 == 1 { "accepted" } else { "wrong_answer" };
    let reply = server.post("/v1/judge/batch", &body.to_string()).json();
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), 20);
    for (index, result) in (0_u64..).zip(results) {
        assert_eq!(result["index"], index);
        assert_eq!(result["id"], format!("i{index}"));
        assert_eq!(result["verdict"], expected(index));
    }

    let headers = [("accept", "application/x-ndjson")];
    let reply = server.raw(&post("/v1/judge/batch", &headers, body.to_string().as_bytes())).unwrap();
    let mut lines: Vec<Value> = reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.pop().unwrap(), json!({"done": true, "results": 20}));
    lines.sort_by_key(|line| line["index"].as_u64());
    for (index, line) in (0_u64..).zip(&lines) {
        assert_eq!((&line["index"], &line["verdict"]), (&json!(index), &json!(expected(index))));
    }
}

#[test]
fn it_tells_of_itself() {
    if !can_serve() {
        return;
    }
    let server = Server::start(&["--slots", "3"]);
    let health = server.get("/health").json();
    assert_eq!((&health["status"], &health["slots"]), (&json!("ok"), &json!(3)));
    let languages = server.get("/v1/languages").json();
    let bash = languages["languages"].as_array().unwrap().iter().find(|one| one["name"] == "bash").unwrap();
    assert_eq!(bash["present"], true);
    assert!(bash["version"].as_str().unwrap().contains("bash"));
    assert_eq!(server.get("/openapi.json").json()["openapi"], "3.1.0");
    server.post("/v1/execute", r#"{"language":"bash","code":"exit 0"}"#);
    server.post("/v1/execute", r#"{"language":"none","code":""}"#);
    let metrics = server.get("/metrics");
    assert!(metrics.headers["content-type"].starts_with("application/openmetrics-text"));
    for line in [
        r#"rollcage_runs_total{termination="exited_0"} 1"#,
        r#"rollcage_http_requests_total{route="/v1/execute",status="422"} 1"#,
        r#"rollcage_refusals_total{code="unknown_language"} 1"#,
        "rollcage_running 0",
        "# EOF",
    ] {
        assert!(metrics.body.lines().any(|known| known == line), "{line}: {}", metrics.body);
    }
}
