//! The outcome of `rollcage bench`.

use serde::{Deserialize, Serialize};

/// One benchmark on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchReport {
    /// The benchmark.
    pub bench: String,
    /// The machine, in words: processor, count, memory, kernel.
    pub machine: String,
    /// What was measured.
    pub rows: Vec<BenchRow>,
    /// The promises this benchmark checks.
    #[serde(default)]
    pub targets: Vec<BenchTarget>,
}

/// The spread of one measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchRow {
    /// What ran.
    pub case: String,
    /// How: cold, warm, forked, unconfined.
    pub mode: String,
    /// The median.
    pub p50_ms: f64,
    /// Nine in ten are faster.
    pub p90_ms: f64,
    /// Ninety-nine in a hundred are faster.
    pub p99_ms: f64,
    /// Runs per second over the whole measurement.
    pub per_second: f64,
    /// Memory of one, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_kb: Option<u64>,
}

/// A promised number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchTarget {
    /// The promise, as `SPECIFICATION.md` names it.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// What was promised.
    pub target: f64,
    /// Whether it holds.
    pub holds: bool,
}
