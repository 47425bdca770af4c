//! Recordings: the same turns for the same question, and errors that name the line.

use std::fs;

use rollcage_engine::policy::{
    Policy, PolicyErrorKind, PolicyRequest, RecordedPolicy, Sampling, TranscriptError,
};
use rollcage_rollout::{FinishReason, Message, Role, TokenUsage};
use rollcage_types::TaskId;

const RECORDING: &str = r#"{"task_id": "a", "turns": [{"content": "any 0"}, {"content": "any 1"}]}

{"task_id": "a", "sample": 1, "turns": [{"content": "one", "reasoning": "hm", "usage": {"prompt_tokens": 2, "completion_tokens": 3}}]}
{"task_id": "b", "sample": 0, "turns": [{"content": "", "tool_calls": [{"id": "c", "name": "run", "arguments": "{}"}]}, {"content": "cut", "finish_reason": "length"}]}
"#;

fn load(text: &str) -> Result<RecordedPolicy, TranscriptError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("turns.jsonl");
    fs::write(&path, text).expect("it is writable");
    RecordedPolicy::load(&path)
}

#[tokio::test]
async fn turns_are_found_by_task_sample_and_index() {
    let policy = Policy::Recorded(load(RECORDING).unwrap());
    let messages = [Message::new(Role::User, "hi")];
    let sampling = Sampling::default();
    let ask = async |task: &str, sample: u32, turn: u32| {
        let task_id = TaskId::new(task);
        let request = PolicyRequest {
            task_id: &task_id,
            sample,
            turn,
            messages: &messages,
            sampling: &sampling,
            seed: None,
            tools: &[],
        };
        policy.complete(request).await
    };

    // Asked in any order, and again, the answers are the same.
    for _ in 0..2 {
        for (task, sample, turn, expected) in
            [("a", 0, 1, "any 1"), ("a", 7, 0, "any 0"), ("a", 1, 0, "one"), ("b", 0, 1, "cut")]
        {
            assert_eq!(ask(task, sample, turn).await.unwrap().completion.text, expected);
        }
    }
    let one = ask("a", 1, 0).await.unwrap().completion;
    assert_eq!(one.reasoning.as_deref(), Some("hm"));
    assert_eq!(one.usage, Some(TokenUsage { prompt: 2, completion: 3 }));
    assert_eq!(ask("b", 0, 0).await.unwrap().completion.finish, FinishReason::ToolCalls);
    assert_eq!(ask("b", 0, 1).await.unwrap().completion.finish, FinishReason::Length);

    let stopped = ask("a", 1, 1).await.unwrap_err();
    assert_eq!((stopped.kind(), stopped.is_retryable()), (PolicyErrorKind::PolicyStopped, false));
    let message = stopped.to_string();
    assert!(
        message.contains("turns.jsonl`, line 3, has 1 turns for task `a`, turn 1 was asked for"),
        "{message}"
    );
    let missing = ask("b", 1, 0).await.unwrap_err();
    assert_eq!(missing.kind(), PolicyErrorKind::NotRecorded);
    assert!(missing.to_string().ends_with("has nothing for sample 1 of task `b`"), "{missing}");
}

#[test]
fn a_broken_recording_is_refused_by_line() {
    let check = |text: &str, line: &str| {
        let message = load(text).unwrap_err().to_string();
        assert!(message.starts_with(&format!("line {line} of recording `")), "{message}");
    };
    let good = r#"{"task_id": "a", "turns": []}"#;
    check("{", "1");
    check(&format!("{good}\n[]"), "2");
    check(&format!("{good}\n\n{}", r#"{"task_id": "b", "turns": [], "seed": 1}"#), "3");
    check(&format!("{good}\n{good}\n"), "2");
    check(r#"{"task_id": "a", "turns": [{"text": "x"}]}"#, "1");
    let path = std::path::Path::new("/nonexistent/turns.jsonl");
    assert!(matches!(RecordedPolicy::load(path), Err(TranscriptError::Read { .. })));
}
