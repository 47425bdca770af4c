//! A run, and the fingerprint of the environment it ran in.

use std::time::Duration;

use rollcage_types::{Enforcement, Limits, MechanismState};
use serde::{Deserialize, Serialize};

use super::codec::Record;

/// What was invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Trajectories sampled from a policy.
    Rollout,
    /// Solutions judged against a data set.
    Eval,
    /// A rollout of recorded turns, for showing.
    Demo,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Its process has the store open.
    Running,
    /// Everything it was asked for is stored.
    Finished,
    /// It ended early, by request or by a crash, and can be resumed.
    Interrupted,
}

/// One invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// A version 7 UUID, so that ids sort by time.
    pub id: String,
    /// What was invoked.
    pub kind: RunKind,
    /// When, in RFC 3339 with milliseconds and `Z`.
    pub created_at: String,
    /// The whole configuration, with defaults filled in.
    pub config: serde_json::Value,
    /// The environment; the id a store gave to a [`FingerprintRecord`].
    pub fingerprint_id: String,
    /// How far it has come.
    pub status: RunStatus,
}

impl Record for RunRecord {
    const KIND: &'static str = "run";
    const VERSION: u32 = 1;
    // A configuration is written by hand; inlined prompts are the largest part of it.
    const BYTES_MAX: usize = 4 * 1024 * 1024;
}

/// One toolchain of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolchainRecord {
    /// The language's name.
    pub language: String,
    /// BLAKE3 of the language as it was parsed, in hexadecimal.
    pub recipe_blake3: String,
    /// What the compiler or interpreter says of itself.
    pub compiler_version: String,
}

/// The limits runs had, in plain units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of rollcage_types::Limits it is named after")]
pub struct LimitsRecord {
    pub cpu_time_ms: u64,
    pub wall_time_ms: u64,
    pub idle_time_ms: Option<u64>,
    pub memory_bytes: u64,
    pub processes: u32,
    pub output_bytes: u64,
    pub file_size_bytes: u64,
    pub disk_bytes: u64,
    pub open_files: u32,
    pub stack_bytes: u64,
}

impl From<&Limits> for LimitsRecord {
    fn from(limits: &Limits) -> Self {
        let Limits {
            cpu_time,
            wall_time,
            idle_time,
            memory,
            processes,
            output,
            file_size,
            disk,
            open_files,
            stack,
        } = limits;
        Self {
            cpu_time_ms: milliseconds(*cpu_time),
            wall_time_ms: milliseconds(*wall_time),
            idle_time_ms: idle_time.map(milliseconds),
            memory_bytes: memory.as_u64(),
            processes: *processes,
            output_bytes: output.as_u64(),
            file_size_bytes: file_size.as_u64(),
            disk_bytes: disk.as_u64(),
            open_files: *open_files,
            stack_bytes: stack.as_u64(),
        }
    }
}

/// Whether one mechanism was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MechanismRecord {
    /// The mechanism, as `rollcage_types::Mechanism::as_str` names it.
    pub mechanism: String,
    /// `full`, `partial` or `absent`.
    pub state: String,
    /// Why it was not `full`.
    pub why: Option<String>,
}

impl MechanismRecord {
    /// Every mechanism of `enforcement`, in its fixed order.
    pub fn list(enforcement: &Enforcement) -> Vec<Self> {
        let record = |(mechanism, state): (rollcage_types::Mechanism, &MechanismState)| {
            let (state, why) = match state {
                MechanismState::Full => ("full", None),
                MechanismState::Partial(why) => ("partial", Some(why.clone())),
                MechanismState::Absent(why) => ("absent", Some(why.clone())),
            };
            Self { mechanism: mechanism.as_str().to_owned(), state: state.to_owned(), why }
        };
        enforcement.iter().map(record).collect()
    }
}

/// Everything about a machine that can change a result: two runs with the same fingerprint are comparable.
///
/// It has no id of its own; a store names it by the hash of its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FingerprintRecord {
    /// The toolchains, sorted by language so that the same set has the same hash.
    pub toolchains: Vec<ToolchainRecord>,
    /// The limits.
    pub limits: LimitsRecord,
    /// What `uname -r` says.
    pub kernel_release: String,
    /// What `uname -m` says.
    pub machine: String,
    /// How the cage was built: `full`.
    pub isolation: String,
    /// The mechanisms in force.
    pub enforcement: Vec<MechanismRecord>,
}

impl Record for FingerprintRecord {
    const KIND: &'static str = "fingerprint";
    const VERSION: u32 = 1;
    // A hundred languages take about 20 KiB.
    const BYTES_MAX: usize = 1024 * 1024;
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
