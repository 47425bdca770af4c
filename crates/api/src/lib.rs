//! Wire types, stored records, exit codes, schemas and data set readers

mod records;

pub use records::{
    ActionRecord, BytesRecord, CaseRecord, CompletionRecord, FingerprintRecord, JudgementRecord,
    JudgementResult, LimitsRecord, MechanismRecord, OutcomeRecord, Record, RecordError, RunKind, RunRecord,
    RunStatus, StreamRecord, TerminationRecord, TimingsRecord, ToolCallRecord, ToolchainRecord,
    TrajectoryRecord, TrajectoryStatus, TurnRecord, UsageRecord, decode_record, encode_record,
};
