//! What each dialect reads in a completion.

use rollcage_rollout::{
    ActionForm, AnswerRule, Completion, Dialect, FinishReason, Intent, ToolCall, ToolForm, VoidReason,
};

fn run(code: &str) -> Intent {
    Intent::Run { code: code.to_owned(), stdin: None }
}

fn answer(text: &str) -> Intent {
    Intent::Answer(text.to_owned())
}

fn check(dialect: &Dialect, text: &str, expected: Intent) {
    assert_eq!((text, dialect.read(&Completion::text(text))), (text, expected));
}

fn check_cut_off(dialect: &Dialect, text: &str, expected: Intent) {
    let completion = Completion { finish: FinishReason::Length, ..Completion::text(text) };
    assert_eq!((text, dialect.read(&completion)), (text, expected));
}

#[test]
fn fenced_code_with_the_last_code_as_answer() {
    let dialect = Dialect::fenced(["python", "py"]);
    check(&dialect, "```py\nx\n```", run("x\n"));
    check(&dialect, "```py\nx\n```\n```py\ny\n```", run("y\n"));
    check(&dialect, "<think>```py\nx\n```</think>done", Intent::AnswerLast);
    check(&dialect, "<think>\n</think>\n```py\nx\n```", run("x\n"));
    check(&dialect, "done", Intent::AnswerLast);
    check(&dialect, "```rust\nx\n```", Intent::Void(VoidReason::OtherLanguage { tag: "rust".to_owned() }));
    check_cut_off(&dialect, "```py\nx", Intent::Void(VoidReason::Truncated));
    check_cut_off(&dialect, "let me think", Intent::Void(VoidReason::Truncated));
    check_cut_off(&dialect, "```py\nx\n```\nand so", run("x\n"));
}

#[test]
fn reasoning_is_never_parsed() {
    let completion = Completion { reasoning: Some("```python\nx\n```".to_owned()), ..Completion::text("hm") };
    let dialect = Dialect { answer: AnswerRule::Tag("answer".to_owned()), ..Dialect::fenced(["python"]) };
    assert_eq!(dialect.read(&completion), Intent::Void(VoidReason::NoAction));
}

#[test]
fn fenced_code_with_a_marked_answer() {
    let dialect = Dialect { answer: AnswerRule::Marked("answer".to_owned()), ..Dialect::fenced(["python"]) };
    check(&dialect, "```python\nx\n```", run("x\n"));
    check(&dialect, "```python answer\nx\n```", answer("x\n"));
    check(&dialect, "done", Intent::Void(VoidReason::NoAction));
    check(&dialect, "```python answer\n```", Intent::Void(VoidReason::EmptyCode));
    check_cut_off(&dialect, "```python answer\nx", Intent::Void(VoidReason::Truncated));
}

#[test]
fn tags_for_code_and_answer() {
    let dialect = Dialect::execute_and_solution(["python"]);
    check(&dialect, "<execute>x</execute>", run("x"));
    check(&dialect, "<execute>\n```python\nx\n```\n</execute>", run("x\n"));
    check(&dialect, "<execute>x", run("x"));
    check(&dialect, "<solution>42</solution>", answer("42"));
    check(&dialect, "<execute>x</execute>\nOutput: 1\n<solution>1</solution>", run("x"));
    check(&dialect, "<solution>```python\nx\n```</solution>", answer("x\n"));
    check(&dialect, "<solution>\n```python\nx\n```\n</solution>", answer("x\n"));
    check(&dialect, "<execute> </execute>", Intent::Void(VoidReason::EmptyCode));
    check(&dialect, "nothing", Intent::Void(VoidReason::NoAction));
    check_cut_off(&dialect, "<execute>x", Intent::Void(VoidReason::Truncated));
    assert_eq!(dialect.stop_sequences(), ["</execute>", "</solution>"]);
}

#[test]
fn an_answer_tag_beside_fenced_code() {
    let dialect = Dialect { answer: AnswerRule::Tag("answer".to_owned()), ..Dialect::fenced(["python"]) };
    check(&dialect, "```python\nprint('<answer>1</answer>')\n```", run("print('<answer>1</answer>')\n"));
    check(&dialect, "so <answer>7</answer>", answer("7"));
}

#[test]
fn commands_submit_and_skip() {
    let dialect = Dialect {
        answer: AnswerRule::Command("submit".to_owned()),
        give_up: Some("skip".to_owned()),
        ..Dialect::fenced(["bash"])
    };
    check(&dialect, "```bash\nsubmit f\n```", answer("f"));
    check(&dialect, "```bash\nsubmit\n```", Intent::AnswerLast);
    check(&dialect, "```bash\nsubmitted=1\n```", run("submitted=1\n"));
    check(&dialect, "```bash\nskip\n```", Intent::GiveUp);
    check(&dialect, " skip\n", Intent::GiveUp);
}

#[test]
fn tool_calls() {
    let dialect = Dialect {
        form: ActionForm::ToolCall(ToolForm::default()),
        answer: AnswerRule::Marked("submit".to_owned()),
        ..Dialect::fenced(["python"])
    };
    let check = |name: &str, arguments: &str, expected: Intent| {
        let call = ToolCall { id: "1".to_owned(), name: name.to_owned(), arguments: arguments.to_owned() };
        let completion = Completion { tool_calls: vec![call], ..Completion::text("") };
        assert_eq!(dialect.read(&completion), expected, "{name} {arguments}");
    };
    let malformed = |why: &str| Intent::Void(VoidReason::MalformedToolCall { why: why.to_owned() });
    check("run_code", r#"{"code": "x"}"#, run("x"));
    let with_input = Intent::Run { code: "x".to_owned(), stdin: Some("5".to_owned()) };
    check("run_code", r#"{"code": "x", "input": "5"}"#, with_input);
    check("run_code", r#"{"code": 5}"#, malformed("`code` is not a string"));
    check("run_code", "", malformed("`code` is missing"));
    check("submit", r#"{"answer": "x"}"#, answer("x"));
    check("submit", r#"{"solution": "x"}"#, answer("x"));
    check("submit", "", Intent::AnswerLast);
    check("submit", r#"{"a": "x", "b": "y"}"#, malformed("`answer` is missing"));
    check("browse", "{}", Intent::Void(VoidReason::UnknownTool { name: "browse".to_owned() }));
    let broken = Completion {
        tool_calls: vec![ToolCall {
            id: "1".to_owned(),
            name: "run_code".to_owned(),
            arguments: "{\"code\": ".to_owned(),
        }],
        ..Completion::text("")
    };
    let Intent::Void(reason) = dialect.read(&broken) else { panic!("broken JSON is void") };
    assert!(reason.to_string().contains("not a JSON object"), "{reason}");
}

#[test]
fn tool_calls_written_as_text() {
    let form = ToolForm { text_tag: Some("tool_call".to_owned()), ..ToolForm::default() };
    let dialect = Dialect { form: ActionForm::ToolCall(form), ..Dialect::fenced(["python"]) };
    let call = r#"<tool_call>{"name": "run_code", "arguments": {"code": "```\nx"}}</tool_call>"#;
    check(&dialect, call, run("```\nx"));
    let no_name = VoidReason::MalformedToolCall { why: "`name` is missing or not a string".to_owned() };
    check(&dialect, "<tool_call>{}</tool_call>", Intent::Void(no_name));
    check_cut_off(&dialect, "<tool_call>{\"name\"", Intent::Void(VoidReason::Truncated));
    assert_eq!(dialect.stop_sequences(), ["</tool_call>"]);
}

#[test]
fn hints_name_the_form() {
    let check = |dialect: &Dialect, expected: &str| assert_eq!(dialect.usage_hint(), expected);
    check(
        &Dialect::fenced(["python"]),
        "Write code in a ```python block; the last code you write is your answer.",
    );
    check(
        &Dialect::execute_and_solution(["python"]),
        "Write code between <execute> and </execute>, and the final answer between <solution> and </solution>.",
    );
}
