//! Wire types, stored records, exit codes, schemas and data set readers.
//!
//! Owns every form in which our values leave or enter a process, one copy of each, with versions and schemas.
//! Domain types do not serialise; this crate converts them, exhaustively and once. Bytes come in and go out:
//! files, sockets and databases belong to the edges and to `rollcage-engine`.
#![forbid(unsafe_code)]

mod agnostics_protocol;
mod bench_report;
mod datasets;
pub mod dialects;
mod eval_report;
mod exec_report;
mod exit_codes;
mod hooks;
pub mod http;
mod intercode_report;
mod network_report;
mod problem_convert;
mod problem_row;
mod quantity;
mod records;
mod result_row;
mod rows;
mod run_config;
mod run_report;
mod samples;
mod suggest;

pub use agnostics_protocol::{
    AgnosticsCase, AgnosticsDetail, AgnosticsReply, AgnosticsRequest, AgnosticsRequestError,
};
pub use bench_report::{BenchReport, BenchRow, BenchTarget};
pub use datasets::{
    ColumnMapping, ColumnsError, Dataset, DatasetFormat, DatasetItem, DatasetKind, DatasetReader, GzipError,
    InterCodeEpisode, InterCodeTask, InterCodeTurn, RefusedRow, UnknownDataset, gunzip,
    read_intercode_episodes, read_intercode_tasks,
};
pub use eval_report::{EvalReport, EvalRow, EvalTally, IntervalReport, PassAtKReport};
pub use exec_report::{EnforcementReport, ExecReport, StreamReport, TerminationReport, UsageReport};
pub use exit_codes::{ExitCode, run_exit_code};
pub use hooks::{
    CheckerConfig, CheckerReply, CheckerRequest, DescribeReply, DescribeRequest, HOOK_VERSION, HookConfig,
    HookKind, HookReplyError, HookReward, HookTool, RewardJudgement, RewardReply, RewardRequest,
    RewardTrajectory, ToolReply, ToolRequest, ToolsConfig, hook_line, hook_schema, read_hook_reply,
};
pub use intercode_report::{InterCodeDifference, InterCodeEpisodeRow, InterCodeReport};
pub use network_report::{NetworkEventReport, NetworkReport};
pub use problem_row::{
    CheckerProgramRow, CheckerRow, LimitsRow, MessageRow, ProblemRow, RoleRow, TestCaseRow, TokensRow,
    ToolCallRow, problem_row_schema,
};
pub use quantity::{BytesRow, DurationRow, FileRow, SizeRow};
pub use result_row::{CaseSummary, ResultError, ResultRow};
pub use rows::RowError;
pub use run_config::{
    ActionsConfig, AnswerConfig, BudgetConfig, CodeConfig, EnvironmentConfigRow, FeedbackConfig, GroupConfig,
    IsolationConfig, OutputConfig, PolicyConfig, RewardConfig, RewardPartsConfig, RunConfig, RunConfigError,
    SamplingConfig, SessionConfig, TasksConfig, TimeoutsConfig, run_config_schema,
};
pub use run_report::{RunReport, SecondsReport};
pub use samples::{JoinedSample, Sample, SampleSolution, join_samples, read_samples};
pub use suggest::{hint, nearest};

pub use records::{
    ActionRecord, BytesRecord, CaseRecord, CompletionRecord, FingerprintRecord, JudgedRecord,
    JudgementRecord, JudgementResult, LimitsRecord, MechanismRecord, MessageRecord, OutcomeRecord, Record,
    RecordError, RunKind, RunRecord, RunStatus, StreamRecord, TerminationRecord, TimingsRecord, TokensRecord,
    ToolCallRecord, ToolchainRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord, TurnRecordError,
    UsageRecord, decode_record, encode_record,
};
