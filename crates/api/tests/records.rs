//! Stored records: what was written once stays readable, and nothing is stored that would come back different.
//!
//! The struct literals below name every field. When one stops compiling you have changed a stored format: raise
//! `VERSION`, keep reading the old version, and add a sample beside the old one. Never edit a sample.

#![expect(clippy::disallowed_methods, reason = "the ban is for the crate; its tests read files")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rollcage_api::{
    ActionRecord, BytesRecord, CaseRecord, CompletionRecord, FingerprintRecord, JudgementRecord,
    JudgementResult, LimitsRecord, MechanismRecord, MessageRecord, OutcomeRecord, Record, RecordError,
    RunKind, RunRecord, RunStatus, StreamRecord, TerminationRecord, TimingsRecord, TokensRecord,
    ToolCallRecord, ToolchainRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord, UsageRecord,
    decode_record, encode_record,
};
use rollcage_types::{
    ByteSize, Captured, Enforcement, IsolationLevel, LimitKind, Limits, Mechanism, MechanismState,
    Termination, Usage,
};
use serde_json::json;

fn run() -> RunRecord {
    RunRecord {
        id: "01939f3c-2f9a-7b61-8b1e-4c5c8a0d9e11".to_owned(),
        kind: RunKind::Rollout,
        created_at: "2026-11-20T10:16:26.123Z".to_owned(),
        config: json!({"tasks": {"path": "train.parquet"}, "group": {"size": 16}}),
        fingerprint_id: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262".to_owned(),
        status: RunStatus::Interrupted,
    }
}

fn fingerprint() -> FingerprintRecord {
    let mut enforcement = Enforcement::nothing(IsolationLevel::Full);
    enforcement.set(Mechanism::Seccomp, MechanismState::Full);
    enforcement.set(Mechanism::DiskLimit, MechanismState::Partial("tmpfs only".to_owned()));
    let limits = Limits {
        cpu_time: Duration::from_secs(10),
        wall_time: Duration::from_secs(20),
        idle_time: None,
        memory: ByteSize::mib(512),
        processes: 64,
        output: ByteSize::mib(16),
        file_size: ByteSize::mib(64),
        disk: ByteSize::mib(128),
        open_files: 256,
        stack: ByteSize::mib(64),
    };
    let all = MechanismRecord::list(&enforcement);
    assert_eq!(all.len(), Mechanism::ALL.len());
    FingerprintRecord {
        toolchains: vec![ToolchainRecord {
            language: "python".to_owned(),
            recipe_blake3: "ab".repeat(32),
            compiler_version: "Python 3.11.2".to_owned(),
        }],
        limits: LimitsRecord::from(&limits),
        kernel_release: "6.1.0".to_owned(),
        machine: "x86_64".to_owned(),
        isolation: IsolationLevel::Full.as_str().to_owned(),
        enforcement: all
            .into_iter()
            .filter(|record| ["seccomp", "disk_limit", "landlock"].contains(&record.mechanism.as_str()))
            .collect(),
    }
}

fn trajectory() -> TrajectoryRecord {
    TrajectoryRecord {
        id: "t-1".to_owned(),
        run_id: run().id,
        task_id: "HumanEval/0".to_owned(),
        group: Some("HumanEval/0".to_owned()),
        sample_index: 3,
        seed: u64::MAX,
        language: Some("python".to_owned()),
        status: TrajectoryStatus::Finished,
        stop_reason: Some("answered".to_owned()),
        failure: None,
        // Needs all 17 digits: read with less care it comes back as its neighbour.
        reward: Some(0.100_000_000_000_000_02),
        reward_parts: BTreeMap::new(),
        judgement: Some(json!({"verdict": "accepted", "score": 1.0})),
    }
}

fn usage() -> UsageRecord {
    let Usage { cpu_time: _, wall_time: _, memory: _, processes: _, output: _, disk: _ } = Usage::default();
    UsageRecord {
        cpu_time_us: 7_900,
        wall_time_us: 9_120,
        memory_bytes: 9 << 20,
        processes: 1,
        output_bytes: 9,
        disk_bytes: 0,
    }
}

fn turn() -> TurnRecord {
    TurnRecord {
        trajectory_id: "t-1".to_owned(),
        index: 2,
        stage: "ordinary".to_owned(),
        completion: CompletionRecord {
            text: "```python\nprint('é')\n```".to_owned(),
            reasoning: Some("easy".to_owned()),
            tool_calls: vec![ToolCallRecord {
                id: "call_0".to_owned(),
                name: "run".to_owned(),
                arguments: "{\"code\": \"1\"".to_owned(),
            }],
            finish_reason: "tool_calls".to_owned(),
            prompt_tokens: Some(120),
            completion_tokens: Some(2),
            tokens: Some(TokensRecord {
                prompt: vec![151_644, 872],
                completion: vec![40, 151_645],
                log_probabilities: vec![-0.1, -1.192_092_9e-7],
            }),
        },
        action: ActionRecord {
            kind: "code".to_owned(),
            content: "print('é')\n".to_owned(),
            stdin: Some("4\n".to_owned()),
        },
        outcome: OutcomeRecord {
            kind: "ran".to_owned(),
            why: None,
            judged: None,
            session: Some("kept".to_owned()),
            termination: Some(TerminationRecord::Exited { code: 0 }),
            stdout: StreamRecord {
                head: BytesRecord(b"ok \xff\xfe\0".to_vec()),
                tail: BytesRecord(b"end\n".to_vec()),
                bytes_total: 4096,
            },
            stderr: StreamRecord::default(),
        },
        usage: Some(usage()),
        observation: vec![MessageRecord {
            role: "tool".to_owned(),
            content: "ok".to_owned(),
            tool_call_id: Some("call_0".to_owned()),
        }],
        timings: TimingsRecord { policy_ms: 812, queue_ms: 1, compile_ms: 0, run_ms: 9, elapsed_ms: 1_644 },
    }
}

fn judgement() -> JudgementRecord {
    JudgementRecord {
        run_id: run().id,
        problem_id: "mbpp/11".to_owned(),
        sample_index: 0,
        language: "cpp".to_owned(),
        result: JudgementResult::Scored { verdict: "wrong_answer".to_owned(), score: 0.5 },
        cases: vec![CaseRecord {
            index: 0,
            verdict: "time_limit_exceeded".to_owned(),
            score: 0.0,
            termination: Some(TerminationRecord::LimitExceeded { limit: "cpu_time".to_owned() }),
            usage: Some(usage()),
            stdout: Some(StreamRecord::excerpt(&Captured::whole(*b"41\n"))),
            stderr: None,
            detail: Some("line 1: expected `42`, found `41`".to_owned()),
        }],
        fingerprint_id: run().fingerprint_id,
        solution_blake3: "cd".repeat(32),
        solution: "int main() {}\n".to_owned(),
    }
}

fn unscorable() -> JudgementRecord {
    JudgementRecord {
        result: JudgementResult::Unscorable {
            blame: "infrastructure".to_owned(),
            reason: "no space left on device".to_owned(),
            retryable: true,
        },
        cases: Vec::new(),
        ..judgement()
    }
}

/// A trajectory whose reward came from a hook.
fn with_reward_parts(style: f64) -> TrajectoryRecord {
    TrajectoryRecord { reward_parts: BTreeMap::from([("style".to_owned(), style)]), ..trajectory() }
}

fn check_sample<R: Record + Debug>(file: &str, expected: &R) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/records").join(file);
    let text = fs::read_to_string(&path).expect("the sample is kept");
    let text = text.trim_end();
    assert_eq!(&decode_record::<R>(text).expect("the sample decodes"), expected, "{file}");
    assert_eq!(encode_record(expected).expect("it encodes"), text, "{file}: the encoding changed");
}

#[test]
fn old_samples_keep_decoding_and_the_encoding_is_stable() {
    check_sample("run.v1.json", &run());
    check_sample("fingerprint.v1.json", &fingerprint());
    check_sample("trajectory.v1.json", &trajectory());
    check_sample("trajectory_reward_parts.v1.json", &with_reward_parts(-0.5));
    check_sample("turn.v1.json", &turn());
    check_sample("judgement.v1.json", &judgement());
    check_sample("judgement_unscorable.v1.json", &unscorable());
}

#[test]
fn bytes_come_back_exactly_whatever_they_are() {
    let every_byte: Vec<u8> = (0..=255).collect();
    for bytes in [&b""[..], b"plain", "é\u{fffd}".as_bytes(), b"\xc3", b"a\xf0\x9f\x98", &every_byte] {
        let record = BytesRecord(bytes.to_vec());
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<BytesRecord>(&text).unwrap(), record, "{text}");
        assert_eq!(text.contains("base64"), std::str::from_utf8(bytes).is_err(), "{text}");
    }
}

#[test]
fn bytes_that_contradict_themselves_are_refused() {
    for text in [r#"{"text":"a","base64":"Yg=="}"#, r#"{"text":"a","base64":"!"}"#, r#"{"text":"a","x":1}"#] {
        assert!(serde_json::from_str::<BytesRecord>(text).is_err(), "{text}");
    }
}

#[test]
fn long_streams_are_cut_and_say_so() {
    let captured = Captured::whole(vec![b'x'; 1 << 20]);
    for (record, kept) in [(StreamRecord::new(&captured), 65_536), (StreamRecord::excerpt(&captured), 2_048)]
    {
        assert_eq!((record.head.0.len(), record.tail.0.len(), record.bytes_total), (kept, kept, 1 << 20));
        assert!(record.to_captured().is_truncated());
    }
}

#[test]
fn terminations_have_a_stored_form() {
    let check = |termination: Termination, expected: &str| {
        let record = TerminationRecord::from(termination);
        assert_eq!(serde_json::to_string(&record).unwrap(), expected);
    };
    check(Termination::Exited { code: 3 }, r#"{"exited":{"code":3}}"#);
    check(Termination::Signaled { signal: 11 }, r#"{"signaled":{"signal":11}}"#);
    check(Termination::LimitExceeded(LimitKind::Memory), r#"{"limit_exceeded":{"limit":"memory"}}"#);
    check(Termination::Cancelled, r#""cancelled""#);
}

#[test]
fn what_would_not_come_back_is_not_written() {
    let refused = |error: Result<String, RecordError>, part: &str| {
        let message = error.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(
        encode_record(&TrajectoryRecord { reward: Some(f64::NAN), ..trajectory() }),
        "not a finite number",
    );
    refused(encode_record(&with_reward_parts(f64::INFINITY)), "a part of its reward is not a finite number");
    refused(encode_record(&TrajectoryRecord { stop_reason: None, ..trajectory() }), "without a reason");
    let running = TrajectoryRecord { status: TrajectoryStatus::Running, ..trajectory() };
    refused(encode_record(&running), "running with a stop reason");
    let scored = |score| JudgementResult::Scored { verdict: "accepted".to_owned(), score };
    for score in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        refused(
            encode_record(&JudgementRecord { result: scored(score), ..judgement() }),
            "not between 0 and 1",
        );
    }
    let tokens =
        |log_probabilities| Some(TokensRecord { prompt: vec![], completion: vec![1], log_probabilities });
    let with = |tokens| TurnRecord { completion: CompletionRecord { tokens, ..turn().completion }, ..turn() };
    refused(encode_record(&with(tokens(vec![f32::NEG_INFINITY]))), "log-probability is not a finite");
    refused(encode_record(&with(tokens(vec![]))), "differ in number");
    let long = "x".repeat(FingerprintRecord::BYTES_MAX);
    refused(encode_record(&FingerprintRecord { machine: long, ..fingerprint() }), "exceeds the limit");
}

#[test]
fn foreign_records_are_refused_by_name() {
    let check = |text: &str, expected: &str| {
        assert_eq!(decode_record::<RunRecord>(text).unwrap_err().to_string(), expected);
    };
    check(
        r#"{"kind":"turn","version":1,"record":{}}"#,
        "found a record of kind `turn` where a run record was expected",
    );
    check(
        r#"{"kind":"run","version":9,"record":{"new":1}}"#,
        "run record has version 9, this release reads version 1",
    );
    check(r#"{"kind":"run","version":1,"record":{}}"#, "run record is malformed");
    check("", "run record is malformed");
    let long = " ".repeat(RunRecord::BYTES_MAX + 1);
    assert!(matches!(decode_record::<RunRecord>(&long), Err(RecordError::TooLarge { .. })));
}
