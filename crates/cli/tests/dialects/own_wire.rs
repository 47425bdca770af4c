//! What our own wire and the dialects have in common: bounds that no request may leave, and bodies that say what they
//! are; and a problem that brings its own checker.

use serde_json::{Value, json};

use crate::server::{Server, can_run};

#[test]
fn a_limit_that_no_cage_can_have_is_the_requests_mistake() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(&[]);
    for (limits, expected) in [
        (json!({"processes": u32::MAX}), "limits.processes`: this server gives no more than 1024"),
        (json!({"open_files": u32::MAX}), "limits.open_files`: this server gives no more than 4096"),
        (json!({"memory": 1}), "limits.memory`: a cage needs at least 1MiB of memory, and not 1B"),
    ] {
        let case = json!({"stdin": "", "expected": "1"});
        let run = json!({"language": "python", "code": "print(1)", "limits": limits});
        let problem = json!({"cases": [case], "limits": limits});
        let judge = json!({"language": "python", "solution": "print(1)", "problem": problem});
        let batch = json!({"language": "python", "items": [{"solution": "print(1)", "problem": problem}]});
        for (path, body, place) in [
            ("/v1/execute", run, ""),
            ("/v1/judge", judge, "problem."),
            ("/v1/judge/batch", batch, "items[0].problem."),
        ] {
            let answer = server.post(path, &body);
            let error = &answer.body["error"];
            assert_eq!((answer.status, &error["retryable"]), (400, &json!(false)), "{answer:?}");
            assert_eq!(error["message"], format!("`{place}{expected}"), "{answer:?}");
        }
    }
    // The highest limits can be had.
    let most = json!({"processes": 1024, "open_files": 4096, "memory": "4GiB"});
    let ran = server.post("/v1/execute", &json!({"language": "python", "code": "print(1)", "limits": most}));
    assert_eq!(ran.body["run"]["stdout"]["text"], "1\n", "{ran:?}");
}

#[test]
fn no_route_reads_what_a_page_in_a_browser_may_send() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(&[]);
    let body = json!({"language": "python", "type": "python", "code": "print(1)", "solution": "print(1)"});
    for path in ["/v1/execute", "/run_code", "/run", "/judge", "/run/batch", "/judge/long-batch"] {
        for content_type in ["", "Content-Type: text/plain\r\n"] {
            let body = body.to_string();
            let length = body.len();
            let head = format!("POST {path} HTTP/1.1\r\n{content_type}Content-Length: {length}\r\n");
            assert_eq!(server.ask(&head, body.as_bytes()).status, 415, "{path} {content_type}");
        }
    }
}

#[test]
fn a_problem_may_bring_its_checker_and_no_hook() {
    if !can_run(&["python3", "bash"]) {
        return;
    }
    let server = Server::start(&[]);
    let problem = |checker: Value| json!({"cases": [{"stdin": "", "expected": "1 2"}], "checker": checker});
    let sorted = "read = lambda name: sorted(open(name).read().split())\n\
                  print(int(read('output') == read('expected')))\n";
    let program = |source: &str| problem(json!({"program": {"language": "python", "source": source}}));
    let judge = |solution: &str, problem: &Value| {
        server.post("/v1/judge", &json!({"language": "bash", "solution": solution, "problem": problem}))
    };
    for (solution, verdict) in [
        ("echo 2 1", "accepted"),
        ("echo 3", "wrong_answer"),
        // The solution's cage does not hold what is expected.
        ("cat expected || echo 3", "wrong_answer"),
    ] {
        let answer = judge(solution, &program(sorted));
        assert_eq!((answer.status, &answer.body["verdict"]), (200, &json!(verdict)), "{answer:?}");
    }
    for source in ["1 / 0", "pass", "print('nan')", "print(2)", "while True: pass"] {
        let answer = judge("echo 2 1", &program(source));
        assert_eq!(answer.body["error"]["blame"], "problem", "{source}: {answer:?}");
        assert_eq!((&answer.body["verdict"], &answer.body["score"]), (&Value::Null, &Value::Null));
    }
    for checker in [json!("hook"), json!({"hook": ["python3", "check.py"]})] {
        let answer = judge("echo 2 1", &problem(checker));
        assert_eq!(answer.status, 400, "{answer:?}");
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("`problem.checker`: unknown variant `hook`"), "{message}");
    }
}

#[test]
fn one_item_that_makes_no_sense_is_named_and_none_is_judged() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(&[]);
    let problem = json!({"cases": [{"stdin": "", "expected": "1"}]});
    let good = json!({"solution": "print(1)", "problem": problem});
    for (bad, status, message) in [
        (
            json!({"solution": "", "problem": {"cases": []}}),
            400,
            "`items[1].problem`: the problem has no test cases",
        ),
        (
            json!({"solution": "", "problem": problem, "language": "pyton"}),
            422,
            "`items[1].language`: no language is called `pyton`",
        ),
    ] {
        let answer = server.post("/v1/judge/batch", &json!({"language": "python", "items": [good, bad]}));
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.body["error"]["message"], message, "{answer:?}");
    }
}
