//! What a store keeps: runs, fingerprints, trajectories, turns and judgements.
//!
//! Owns the stored form of each record, its version and the bound on its size. Leaves where records lie and how
//! they become durable to `rollcage-engine`. A record that was written once stays readable: the samples in
//! `tests/goldens/records` are decoded by the tests for ever, and the struct literals beside them stop compiling
//! when a field is added, so that nobody changes a stored format without raising its version.
//!
//! Names of things that belong to other crates (verdicts, stop reasons, kinds of outcome) are stored as text, so
//! that a store outlives a renamed variant; each field lists the values it takes.

mod codec;
mod judgement;
mod run;
mod stream;
mod trajectory;
mod turn_convert;

pub use codec::{Record, RecordError, decode_record, encode_record};
pub use judgement::{CaseRecord, JudgementRecord, JudgementResult};
pub use run::{
    FingerprintRecord, LimitsRecord, MechanismRecord, RunKind, RunRecord, RunStatus, ToolchainRecord,
};
pub use stream::{BytesRecord, StreamRecord};
pub use trajectory::{
    ActionRecord, CompletionRecord, MessageRecord, OutcomeRecord, TerminationRecord, TimingsRecord,
    TokensRecord, ToolCallRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord, UsageRecord,
};
pub use turn_convert::{JudgedRecord, TurnRecordError};
