//! The outcome of `rollcage run --json`.

use rollcage_types::{Captured, ExecOutcome, NetworkLog, Termination, Usage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network_report::NetworkReport;
use crate::records::MechanismRecord;
use crate::result_row::milliseconds;

/// What became of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecReport {
    /// How it ended.
    pub termination: TerminationReport,
    /// How it began, as [`rollcage_types::Start::as_str`] names it: `cold`, or `fork` of an interpreter that waited.
    pub start: String,
    /// Standard output.
    pub stdout: StreamReport,
    /// Standard error.
    pub stderr: StreamReport,
    /// What it used.
    pub usage: UsageReport,
    /// What confined it.
    pub enforcement: EnforcementReport,
    /// What it did on the network, if it did anything there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkReport>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TerminationReport {
    /// It exited.
    Exited {
        /// 0 to 255.
        code: u8,
    },
    /// A signal that no limit explains ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// A limit ended it.
    LimitExceeded {
        /// The limit, as [`rollcage_types::LimitKind::as_str`] names it.
        limit: String,
    },
    /// It was cancelled.
    Cancelled {},
}

/// A stream as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamReport {
    /// What was kept, invalid UTF-8 replaced and a cut stated in place.
    pub text: String,
    /// All bytes written.
    pub bytes_total: u64,
    /// Whether `text` lacks some of them.
    pub truncated: bool,
}

/// What a program used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageReport {
    /// Processor time in milliseconds.
    pub cpu_ms: f64,
    /// Time on the clock in milliseconds.
    pub wall_ms: f64,
    /// Peak memory.
    pub memory_bytes: u64,
    /// Most processes alive at once; 0 where the host cannot tell.
    pub processes: u32,
}

/// What confined a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnforcementReport {
    /// The isolation level.
    pub level: String,
    /// Each mechanism and whether it was in force.
    pub mechanisms: Vec<MechanismRecord>,
}

impl From<&ExecOutcome> for ExecReport {
    fn from(outcome: &ExecOutcome) -> Self {
        let ExecOutcome { termination, start, stdout, stderr, usage, network, enforcement, .. } = outcome;
        Self {
            termination: (*termination).into(),
            start: start.as_str().to_owned(),
            stdout: stdout.into(),
            stderr: stderr.into(),
            usage: usage.into(),
            enforcement: EnforcementReport {
                level: enforcement.level.as_str().to_owned(),
                mechanisms: MechanismRecord::list(enforcement),
            },
            network: (*network != NetworkLog::default()).then(|| network.into()),
        }
    }
}

impl From<Termination> for TerminationReport {
    fn from(termination: Termination) -> Self {
        match termination {
            Termination::Exited { code } => Self::Exited { code },
            Termination::Signaled { signal } => Self::Signaled { signal },
            Termination::LimitExceeded(kind) => Self::LimitExceeded { limit: kind.as_str().to_owned() },
            Termination::Cancelled => Self::Cancelled {},
        }
    }
}

impl From<&Captured> for StreamReport {
    fn from(stream: &Captured) -> Self {
        Self { text: stream.to_text(), bytes_total: stream.bytes_total, truncated: stream.is_truncated() }
    }
}

impl From<&Usage> for UsageReport {
    fn from(usage: &Usage) -> Self {
        Self {
            cpu_ms: milliseconds(usage.cpu_time),
            wall_ms: milliseconds(usage.wall_time),
            memory_bytes: usage.memory.as_u64(),
            processes: usage.processes,
        }
    }
}
