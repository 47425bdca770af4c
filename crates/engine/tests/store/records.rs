//! Records to write: enough to tell one from another.

use std::collections::BTreeMap;

use rollcage_api::{
    ActionRecord, BytesRecord, CompletionRecord, FingerprintRecord, JudgementRecord, JudgementResult,
    LimitsRecord, OutcomeRecord, RunKind, RunRecord, RunStatus, StreamRecord, TerminationRecord,
    TimingsRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord,
};
use rollcage_engine::store::{Store, StoreReader};
use rollcage_types::Limits;

/// The only environment.
pub(crate) fn fingerprint() -> FingerprintRecord {
    FingerprintRecord {
        toolchains: Vec::new(),
        limits: LimitsRecord::from(&Limits::default()),
        kernel_release: "6.1.0".to_owned(),
        machine: "x86_64".to_owned(),
        isolation: "full".to_owned(),
        enforcement: Vec::new(),
    }
}

/// A run in the environment with this id.
pub(crate) fn run(id: &str, fingerprint_id: &str) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        kind: RunKind::Rollout,
        created_at: "2026-11-20T10:16:26.123Z".to_owned(),
        config: serde_json::json!({"group": {"size": 2}}),
        fingerprint_id: fingerprint_id.to_owned(),
        status: RunStatus::Running,
    }
}

/// A trajectory of run `r` that begins; its id names its task and sample.
pub(crate) fn trajectory(task: &str, sample: u32) -> TrajectoryRecord {
    TrajectoryRecord {
        id: format!("{task}-{sample}"),
        run_id: "r".to_owned(),
        task_id: task.to_owned(),
        group: None,
        sample_index: sample,
        seed: u64::MAX,
        language: None,
        status: TrajectoryStatus::Running,
        stop_reason: None,
        failure: None,
        reward: None,
        reward_parts: BTreeMap::new(),
        judgement: None,
    }
}

/// The same, finished.
pub(crate) fn finished(task: &str, sample: u32) -> TrajectoryRecord {
    TrajectoryRecord {
        status: TrajectoryStatus::Finished,
        stop_reason: Some("answered".to_owned()),
        reward: Some(0.1 + 0.2),
        ..trajectory(task, sample)
    }
}

/// A turn that says `text`, with output that is not UTF-8.
pub(crate) fn turn(trajectory_id: &str, index: u32, text: &str) -> TurnRecord {
    TurnRecord {
        trajectory_id: trajectory_id.to_owned(),
        index,
        stage: "ordinary".to_owned(),
        completion: CompletionRecord {
            text: text.to_owned(),
            finish_reason: "stop".to_owned(),
            ..CompletionRecord::default()
        },
        action: ActionRecord { kind: "code".to_owned(), content: text.to_owned(), stdin: None },
        outcome: OutcomeRecord {
            kind: "ran".to_owned(),
            why: None,
            judged: None,
            session: Some("kept".to_owned()),
            termination: Some(TerminationRecord::Exited { code: 0 }),
            stdout: StreamRecord {
                head: BytesRecord(b"\xff\n".to_vec()),
                bytes_total: 2,
                ..StreamRecord::default()
            },
            stderr: StreamRecord::default(),
        },
        usage: None,
        observation: Vec::new(),
        timings: TimingsRecord::default(),
    }
}

/// The judgement of a sample in run `r`.
pub(crate) fn judgement(
    fingerprint_id: &str,
    problem: &str,
    sample: u32,
    result: JudgementResult,
) -> JudgementRecord {
    JudgementRecord {
        run_id: "r".to_owned(),
        problem_id: problem.to_owned(),
        sample_index: sample,
        language: "python".to_owned(),
        result,
        cases: Vec::new(),
        fingerprint_id: fingerprint_id.to_owned(),
        solution_blake3: "00".repeat(32),
        solution: "print(1)\n".to_owned(),
    }
}

/// Begins run `r` in a store and returns the id of its environment.
pub(crate) async fn begin_run(store: &Store) -> String {
    let fingerprint_id = store.put_fingerprint(&fingerprint()).await.expect("it is stored");
    store.create_run(&run("r", &fingerprint_id)).await.expect("it is stored");
    fingerprint_id
}

/// Panics unless nothing is wrong with the file.
pub(crate) fn assert_sound(reader: &StoreReader) {
    assert_eq!(reader.integrity_check().expect("it can be checked"), Vec::<String>::new());
}
