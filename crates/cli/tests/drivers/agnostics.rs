//! `rollcage judge --protocol agnostics`: one reply for every line, in order.

use serde_json::{Value, json};

use crate::harness::{Place, can_run};

const SUM: &str = "local a, b = io.read('n', 'n') print(a + b)";

fn serve(language: &str, extra: &[&str], lines: &[String]) -> Vec<Value> {
    let arguments = [&["judge", "--protocol", "agnostics", "-l", language], extra].concat();
    let finished = Place::new(&[]).run_reading(&arguments, &lines.join("\n"));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.lines()
}

fn request(code: &str, timeout_s: f64, cases: &[(&str, &str)]) -> String {
    let cases: Vec<_> =
        cases.iter().map(|(input, output)| json!({"input": input, "output": output})).collect();
    json!({"code": code, "timeout_s": timeout_s, "test_cases": cases}).to_string()
}

#[test]
fn every_line_gets_its_reply_in_order() {
    if !can_run(&["lua5.4"]) {
        return;
    }
    let (three, two) = (("1 2", "3\n"), ("1 1", "2"));
    let requests = [
        (request(SUM, 10.0, &[three, two]), "success"),
        (request("print(3)", 10.0, &[three, two]), "fail:wrong-output"),
        (request("error('no')", 10.0, &[three]), "fail:error"),
        (request("local = 1", 10.0, &[three]), "fail:error"),
        (request("while true do end", 0.5, &[three]), "fail:timeout"),
        (request(SUM, 10.0, &[]), "fail:other"),
        ("not json".to_owned(), "fail:other"),
        (json!({"code": SUM}).to_string(), "fail:other"),
        (request(SUM, -1.0, &[three]), "fail:other"),
        (request(SUM, 10.0, &[two]), "success"),
    ];
    let lines: Vec<_> = requests.iter().map(|(line, _)| line.clone()).collect();
    let replies = serve("lua", &[], &lines);
    let results: Vec<_> = replies.iter().map(|reply| reply["result"].clone()).collect();
    assert_eq!(results, requests.map(|(_, result)| result), "{replies:?}");
    assert_eq!(
        replies[1],
        json!({"result": "fail:wrong-output", "expected": "2", "got": "3\n", "stderr": ""})
    );
    assert_eq!(replies[2]["exit_code"], 1);
    assert!(replies[5]["details"].as_str().unwrap().contains("no test cases"), "{}", replies[5]);
}

#[test]
fn a_compile_error_is_an_error_with_what_the_compiler_said() {
    if !can_run(&["g++"]) {
        return;
    }
    let right = "#include <iostream>\nint main() { std::cout << 1; }";
    let lines = [
        request("int main() { return undeclared; }", 10.0, &[("", "1")]),
        request(right, 10.0, &[("", "1"), ("", "1")]),
    ];
    let replies = serve("c++", &[], &lines);
    assert_eq!(replies[0]["result"], "fail:error");
    assert!(replies[0]["stderr"].as_str().unwrap().contains("undeclared"), "{}", replies[0]);
    assert_eq!(replies[1]["result"], "success", "{}", replies[1]);
}

#[test]
fn every_test_is_answered_where_asked_for() {
    if !can_run(&["lua5.4"]) {
        return;
    }
    let cases = [("1 2", "3"), ("1 2", "4"), ("2 2", "4")];
    let replies = serve("lua", &["--finegrained"], &[request(SUM, 10.0, &cases)]);
    assert_eq!(replies[0]["result"], "fail:finegrained");
    let results: Vec<_> =
        replies[0]["subresults"].as_array().unwrap().iter().map(|reply| reply["result"].clone()).collect();
    assert_eq!(results, ["success", "fail:wrong-output", "success"]);
}

#[test]
fn what_a_timed_out_program_started_is_gone_too() {
    if !can_run(&["bash"]) {
        return;
    }
    // The children hold the output open; a harness that kills only the shell waits for them.
    let code = "for i in 1 2 3; do (while :; do :; done) & done\nwait\n";
    let replies =
        serve("bash", &[], &[request(code, 0.5, &[("", "1")]), request("echo 1", 10.0, &[("", "1")])]);
    assert_eq!((&replies[0]["result"], &replies[1]["result"]), (&json!("fail:timeout"), &json!("success")));
}
