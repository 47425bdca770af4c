//! What is said to trainers and users about a judgement.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::sync::Arc;
use std::time::Duration;

use rollcage_api::{
    AgnosticsDetail, AgnosticsReply, AgnosticsRequest, DatasetItem, DatasetKind, EvalReport, EvalTally,
    ExecReport, ResultRow, SampleSolution, join_samples, read_samples,
};
use rollcage_judge::{
    Bootstrap, CompileStep, Completion, Disclosure, JudgeOptions, Judgement, Judging, RunOutput, Step,
    StopRule, Tests, Unscorable,
};
use rollcage_types::{
    Captured, Enforcement, ExecOutcome, IsolationLevel, LimitKind, ProblemId, TaskId, Termination, Usage,
};
use serde_json::{Value, json};

fn ended(termination: Termination, stdout: &str) -> RunOutput {
    RunOutput {
        termination,
        stdout: Captured::whole(stdout),
        stderr: Captured::whole("note"),
        usage: Usage { cpu_time: Duration::from_micros(1500), ..Usage::default() },
        completion: Completion::NotRequired,
    }
}

fn exited(code: u8, stdout: &str) -> RunOutput {
    ended(Termination::Exited { code }, stdout)
}

fn request(cases: usize) -> AgnosticsRequest {
    let cases = vec![json!({"input": "", "output": "right\n"}); cases];
    let line = json!({"code": "c", "timeout_s": 5, "test_cases": cases, "extra": 1}).to_string();
    AgnosticsRequest::parse(&line).unwrap()
}

/// Judges a solution whose compilation and cases end as given.
fn judged(
    request: &AgnosticsRequest,
    stop: StopRule,
    compile: Option<&RunOutput>,
    runs: &[Result<RunOutput, Unscorable>],
) -> Judgement {
    let step = if compile.is_some() { CompileStep::Needed } else { CompileStep::NotNeeded };
    let options = JudgeOptions { stop, ..JudgeOptions::default() };
    let mut judging = Judging::new(Arc::new(request.problem(ProblemId::new("p"))), step, options);
    loop {
        let steps = judging.next_steps();
        if steps.is_empty() {
            return judging.into_judgement().unwrap();
        }
        for step in steps {
            match step {
                Step::Compile => judging.compiled(Ok(compile.unwrap().clone())),
                Step::RunCase(index) => judging.case_finished(index, runs[index].clone()),
                Step::RunProgram | Step::Check(_) => panic!("the problem has cases that are compared"),
            }
        }
    }
}

#[test]
fn agnostics_gets_the_replies_it_knows() {
    let ours = Unscorable::infrastructure("no space left", true);
    let limited = |kind| ended(Termination::LimitExceeded(kind), "");
    for (run, reply) in [
        (Ok(exited(0, "right")), json!({"result": "success", "stderr": "note"})),
        (
            Ok(exited(0, "wrong")),
            json!({"result": "fail:wrong-output", "expected": "right\n", "got": "wrong", "stderr": "note"}),
        ),
        (
            Ok(exited(3, "out")),
            json!({"result": "fail:error", "exit_code": 3, "stdout": "out", "stderr": "note"}),
        ),
        (
            Ok(ended(Termination::Signaled { signal: 11 }, "")),
            json!({"result": "fail:error", "exit_code": -11, "stdout": "", "stderr": "note"}),
        ),
        (Ok(limited(LimitKind::WallTime)), json!({"result": "fail:timeout", "stdout": "", "stderr": "note"})),
        (Ok(limited(LimitKind::CpuTime)), json!({"result": "fail:timeout", "stdout": "", "stderr": "note"})),
        (
            Ok(limited(LimitKind::Memory)),
            json!({"result": "fail:other", "stdout": "", "stderr": "note", "details": "it exceeded its memory limit"}),
        ),
        (Err(ours), json!({"result": "fail:run-failed", "details": "no space left"})),
    ] {
        let request = request(1);
        let judgement = judged(&request, StopRule::FirstFailure, None, &[run]);
        let answer = AgnosticsReply::new(&judgement, &request, AgnosticsDetail::FirstFailure);
        assert_eq!(serde_json::to_value(answer).unwrap(), reply);
    }
}

#[test]
fn agnostics_is_answered_even_without_tests_or_a_program() {
    let empty = request(0);
    let reply = AgnosticsReply::new(
        &judged(&empty, StopRule::FirstFailure, None, &[]),
        &empty,
        AgnosticsDetail::FirstFailure,
    );
    let expected = json!({"result": "fail:other", "stdout": "", "stderr": "", "details": "the problem has no test cases"});
    assert_eq!(serde_json::to_value(reply).unwrap(), expected);
    for (compile, expected) in [
        (exited(1, ""), json!({"result": "fail:error", "exit_code": 1, "stdout": "", "stderr": "note"})),
        (
            ended(Termination::LimitExceeded(LimitKind::WallTime), ""),
            json!({"result": "fail:other", "stdout": "", "stderr": "note",
                   "details": "compiling: it exceeded its wall_time limit"}),
        ),
    ] {
        let request = request(1);
        let judgement = judged(&request, StopRule::FirstFailure, Some(&compile), &[]);
        let reply = AgnosticsReply::new(&judgement, &request, AgnosticsDetail::EveryTest);
        assert_eq!(serde_json::to_value(reply).unwrap(), expected);
    }
}

#[test]
fn agnostics_may_ask_for_every_test() {
    let request = request(2);
    let answer = |runs: [Result<RunOutput, Unscorable>; 2]| {
        let judgement = judged(&request, StopRule::RunAll, None, &runs);
        serde_json::to_value(AgnosticsReply::new(&judgement, &request, AgnosticsDetail::EveryTest)).unwrap()
    };
    let reply = answer([Ok(exited(1, "")), Ok(exited(0, "right"))]);
    assert_eq!(reply["result"], "fail:finegrained");
    let results: Vec<&Value> = (0..2).map(|place| &reply["subresults"][place]["result"]).collect();
    assert_eq!(results, ["fail:error", "success"]);
    assert_eq!(answer([Ok(exited(0, "right")), Ok(exited(0, "right"))])["result"], "success");
}

#[test]
fn agnostics_requests_are_checked() {
    for (line, expected) in [
        ("nonsense", "the request cannot be read"),
        (r#"{"code":"c","test_cases":[{"input":1}]}"#, "the request cannot be read: test_cases[0].input"),
        (r#"{"code":"c","test_cases":[],"timeout_s":0}"#, "timeout_s is 0"),
        (r#"{"code":"c","test_cases":[],"timeout_s":1e9}"#, "timeout_s is 1000000000"),
    ] {
        let error = AgnosticsRequest::parse(line).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(matches!(AgnosticsReply::from(error), AgnosticsReply::Other { .. }));
    }
    let request =
        AgnosticsRequest::parse(r#"{"code":"c","test_cases":[{"input":"i","output":"o"}]}"#).unwrap();
    let problem = request.problem(ProblemId::new("p"));
    assert_eq!(problem.limits.wall_time, Some(Duration::from_secs(30)));
    assert!(problem.limits.cpu_time > problem.limits.wall_time);
}

fn items() -> Vec<DatasetItem> {
    let rows = [
        json!({"id": "t/0", "prompt": "p", "language": "python", "prefix": "def f():\n", "test_code": "f()"}),
        json!({"id": "t/1", "prompt": "p", "cases": [{"expected": "1"}]}),
    ];
    DatasetKind::Problems.read(rows.map(|row| row.to_string()).join("\n").as_bytes()).unwrap()
}

#[test]
fn samples_find_their_problems() {
    let samples = read_samples(
        br#"{"task_id":"t/0","completion":"    pass","_extra":1}
{"id":"t/0","solution":"def f(): pass"}
{"task_id":"t/1","code":"print(1)","language":"lua"}"#,
    )
    .unwrap();
    assert_eq!(samples[0].solution, SampleSolution::Completion("    pass".to_owned()));
    let joined = join_samples(samples, &items(), None).unwrap();
    let prefix = |index: usize| match &joined[index].problem.tests {
        Tests::Code { prefix, .. } => prefix.to_string(),
        Tests::Cases(_) => panic!("{index} has cases"),
    };
    assert_eq!((prefix(0).as_str(), prefix(1).as_str()), ("def f():\n", ""));
    let found: Vec<_> = joined.iter().map(|sample| (sample.sample_index, sample.language.as_ref())).collect();
    assert_eq!(found, [(0, "python"), (1, "python"), (0, "lua")]);
}

#[test]
fn samples_that_do_not_fit_are_refused() {
    for (row, expected, hint) in [
        (r#"{"taskid":"t/0","code":"x"}"#, "row 1: expected `task_id` (or `id`)", Some("`task_id`")),
        (r#"{"id":"t/0","completions":"x"}"#, "row 1: expected one of `solution`", Some("`completion`")),
        (r#"{"id":"t/0","code":"x","solution":"y"}"#, "row 1: it has both `solution` and `code`", None),
        (r#"{"id":"t/0","code":1}"#, "row 1, `code`: expected text", None),
        (r#"{"id":"t/O","code":"x"}"#, "row 1, `task_id`: no problem is called `t/O`", Some("`t/0`")),
        (r#"{"id":"t/0","code":"x","language":"lua"}"#, "row 1, `language`: it is written in `lua`", None),
        (r#"{"id":"t/1","code":"x"}"#, "row 1, `language`: neither", None),
    ] {
        let joined = read_samples(row.as_bytes()).and_then(|samples| join_samples(samples, &items(), None));
        let error = joined.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.hint.is_some(), hint.is_some(), "{error:?}");
        assert!(hint.is_none_or(|hint| error.hint.as_ref().unwrap().contains(hint)), "{error:?}");
    }
}

#[test]
fn result_rows_have_a_score_or_an_error() {
    let request = request(1);
    let id = TaskId::new("t");
    let row = |run, disclosure| {
        let judgement = judged(&request, StopRule::FirstFailure, None, &[run]);
        serde_json::to_value(ResultRow::new(&id, 0, "lua", &judgement, disclosure)).unwrap()
    };
    assert_eq!(
        row(Ok(exited(0, "wrong")), Disclosure::OwnOutput),
        json!({"task_id": "t", "sample": 0, "language": "lua", "verdict": "wrong_answer", "score": 0.0,
               "reason": "the output differs at line 1: it has \"wrong\"",
               "cases": [{"index": 0, "verdict": "wrong_answer",
                          "reason": "the output differs at line 1: it has \"wrong\"",
                          "cpu_ms": 1.5, "wall_ms": 0.0, "memory_bytes": 0}]})
    );
    let failed = row(Err(Unscorable::infrastructure("gone", true)), Disclosure::Expected);
    assert_eq!(failed["error"], json!({"blame": "infrastructure", "reason": "gone", "retryable": true}));
    assert!(failed.get("score").is_none() && failed.get("verdict").is_none());
    let back: ResultRow = serde_json::from_value(failed.clone()).unwrap();
    assert_eq!(serde_json::to_value(back).unwrap(), failed);
}

#[test]
fn an_evaluation_counts_our_failures_apart() {
    let request = request(1);
    let judge = |run| judged(&request, StopRule::FirstFailure, None, &[run]);
    let right = judge(Ok(exited(0, "right")));
    let wrong = judge(Ok(exited(0, "wrong")));
    let failed = judge(Err(Unscorable::infrastructure("gone", true)));
    let sampled = [
        (TaskId::new("b"), 1, wrong.clone()),
        (TaskId::new("b"), 0, right.clone()),
        (TaskId::new("a"), 0, failed.clone()),
        (TaskId::new("a"), 1, right.clone()),
    ];
    let report = eval_report(&sampled, &[1, 2]);
    assert_eq!((report.total, report.accepted, report.judge_errors), (4, 2, 1));
    let rows: Vec<_> = report.rows.iter().map(|row| (row.id.as_str(), row.verdict.as_deref())).collect();
    assert_eq!(rows, [("a", None), ("b", Some("wrong_answer"))]);
    assert_eq!(report.pass_at_k[0].mean, Some(0.75));
    assert!(report.pass_at_k[1].undefined.as_ref().unwrap().contains("pass@2 needs 2 samples"));
    assert_eq!(report.accepted_interval, None);

    let single = [(TaskId::new("a"), 0, right), (TaskId::new("b"), 0, wrong), (TaskId::new("c"), 0, failed)];
    let report = eval_report(&single, &[]);
    let interval = report.accepted_interval.unwrap();
    assert!((interval.low - 0.0945).abs() < 1e-3 && (interval.high - 0.9055).abs() < 1e-3, "{interval:?}");
}

fn eval_report(judged: &[(TaskId, u32, Judgement)], ks: &[u64]) -> EvalReport {
    let mut tally = EvalTally::new(Disclosure::Position);
    for (task_id, sample, judgement) in judged {
        tally.add(task_id, *sample, judgement);
    }
    tally.report("d", ks, &Bootstrap::default())
}

#[test]
fn an_outcome_is_reported_field_by_field() {
    for (termination, expected) in [
        (Termination::Exited { code: 3 }, json!({"kind": "exited", "code": 3})),
        (Termination::Signaled { signal: 9 }, json!({"kind": "signaled", "signal": 9})),
        (
            Termination::LimitExceeded(LimitKind::DiskSpace),
            json!({"kind": "limit_exceeded", "limit": "disk_space"}),
        ),
        (Termination::Cancelled, json!({"kind": "cancelled"})),
    ] {
        let outcome = outcome(termination);
        let report = serde_json::to_value(ExecReport::from(&outcome)).unwrap();
        assert_eq!(report["termination"], expected);
        assert_eq!(report["stdout"]["bytes_total"], 9);
        assert_eq!(report["stdout"]["truncated"], true);
        assert_eq!(report["usage"]["cpu_ms"], 2.5);
        assert_eq!(report["enforcement"]["level"], "full");
        let back: ExecReport = serde_json::from_value(report.clone()).unwrap();
        assert_eq!(serde_json::to_value(back).unwrap(), report);
    }
}

fn outcome(termination: Termination) -> ExecOutcome {
    ExecOutcome {
        termination,
        start: rollcage_types::Start::Cold,
        stdout: Captured { head: b"ab".to_vec(), tail: b"z".to_vec(), bytes_total: 9 },
        stderr: Captured::default(),
        usage: Usage { cpu_time: Duration::from_micros(2500), ..Usage::default() },
        network: rollcage_types::NetworkLog::default(),
        enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
        files: Vec::new(),
        files_omitted: 0,
    }
}
