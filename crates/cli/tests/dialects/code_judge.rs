//! code-judge's wire, told by what rStar2 sends.

use serde_json::{Value, json};

use crate::python;
use crate::server::{Server, can_run};

pub(crate) const RSTAR2: &str = include_str!("rstar2.py");

#[test]
fn rstar2_submits_each_program_once() {
    let Some(interpreter) = python::interpreter() else { return };
    if !can_run(&["python3", "g++"]) {
        return;
    }
    let mut submissions: Vec<Value> = (0..40)
        .map(|n| json!({"type": "python", "solution": "print(int(input()) * 2)", "input": n.to_string()}))
        .collect();
    submissions.extend([
        json!({"type": "python", "solution": "1 / 0", "input": ""}),
        json!({"type": "python", "solution": "print('x' * 5000)", "input": null}),
        json!({"type": "python", "solution": "kept = []\nwhile True: kept.append(b'x' * 2**24)", "input": ""}),
        json!({"type": "cpp", "solution": "int main() { undeclared; }", "input": ""}),
        json!({"type": "cpp", "solution": "#include <cstdio>\nint main() { puts(\"hi\"); }", "input": ""}),
        json!({"type": "python", "solution": "import time\nprint(1, flush=True)\ntime.sleep(60)", "input": ""}),
    ]);
    let server = Server::start(&[]);
    let submissions = Value::from(submissions).to_string();
    let found = python::run(interpreter, RSTAR2, &[&server.url(""), &submissions]);
    assert_eq!(found["calls"], 1, "what a program does is no reason to submit it again");
    assert_eq!(server.answered("/run/long-batch", 200), 1);
    let results = found["results"].as_array().unwrap();
    for (index, result) in results.iter().take(40).enumerate() {
        let told = (&result["success"], &result["run_success"], &result["stdout"], &result["reason"]);
        let printed = json!(format!("{}\n", index * 2));
        assert_eq!(told, (&json!(true), &json!(true), &printed, &json!("")), "{index}: {result}");
        assert!(result["cost"].as_f64().unwrap() > 0.0);
    }
    let [raised, long, filled, failed, compiled, slept] = &results[40..] else { panic!("{results:?}") };
    let says = |result: &Value, what: &str| result["stderr"].as_str().unwrap().contains(what);
    assert!(raised["run_success"] == false && says(raised, "ZeroDivisionError"), "{raised}");
    assert!(long["success"] == true && long["stdout"] == "x".repeat(1000), "{long}");
    assert!(filled["run_success"] == false && says(filled, "(memory)"), "{filled}");
    assert!(failed["run_success"] == false && says(failed, "undeclared"), "{failed}");
    assert!(compiled["success"] == true && compiled["stdout"] == "hi\n", "{compiled}");
    assert_eq!((&slept["reason"], &slept["stdout"]), (&json!("worker_timeout"), &json!("1\n")), "{slept}");
    for result in [raised, long, filled, failed, compiled] {
        assert_eq!(result["reason"], "", "{result}");
    }
}

#[test]
fn every_route_answers_in_its_form() {
    if !can_run(&["python3"]) {
        return;
    }
    let server = Server::start(&["--slots", "2"]);
    assert_eq!(server.get("/ping").body, "pong");
    assert_eq!(server.get("/status").body, json!({"queue": 0, "num_workers": 2}));
    let right = json!({"sub_id": "r", "type": "python", "solution": "print(9)", "expected_output": " 9 "});
    let wrong = json!({"type": "python", "solution": "print(8)", "expected_output": "9"});
    let unmeasured = |mut result: Value| {
        assert!(result["cost"].take().is_number(), "{result}");
        assert!(!result["sub_id"].as_str().unwrap().is_empty());
        result
    };
    let ran = server.post("/run", &right).body;
    let expected = json!({
        "sub_id": "r", "success": true, "run_success": true, "cost": null, "stdout": "9\n", "stderr": "",
        "reason": "",
    });
    assert_eq!(unmeasured(ran), expected);
    let judged = server.post("/judge", &right).body;
    let expected = json!({"sub_id": "r", "success": true, "run_success": true, "cost": null, "reason": ""});
    assert_eq!(unmeasured(judged), expected);
    let judged = unmeasured(server.post("/judge", &wrong).body);
    assert_eq!((&judged["success"], &judged["run_success"]), (&json!(false), &json!(true)));

    let batch = json!({"sub_id": "b", "submissions": [right, wrong, right]});
    for (path, has_output) in [
        ("/run/batch", true),
        ("/run/long-batch", true),
        ("/judge/batch", false),
        ("/judge/long-batch", false),
    ] {
        let reply = server.post(path, &batch).body;
        assert_eq!(reply["sub_id"], "b", "{reply}");
        let results = reply["results"].as_array().unwrap();
        let successes: Vec<&Value> = results.iter().map(|result| &result["success"]).collect();
        assert_eq!(successes, [&json!(true), &json!(false), &json!(true)], "{path}: in their order");
        assert!(results.iter().all(|result| result.get("stdout").is_some() == has_output), "{path}: {reply}");
        assert_ne!(results[1]["sub_id"], "", "{path}");
    }
    let senseless =
        server.post("/judge/batch", &json!({"submissions": [wrong, {"type": "math", "solution": ""}]}));
    let loc = json!(["body", "submissions", 1, "type"]);
    assert_eq!((senseless.status, &senseless.body["detail"][0]["loc"]), (422, &loc), "{senseless:?}");
    assert_eq!(server.post("/run", &json!({})).status, 422);
}
