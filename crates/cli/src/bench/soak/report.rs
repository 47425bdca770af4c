//! What a soak found, and whether that is good.

use serde::Serialize;

use crate::bench::soak::inventory::{Inventory, Leak};
use crate::bench::soak::statistics::{Minute, Throughput};
use crate::bench::soak::tally::{Count, Inconsistency};

/// One soak.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SoakReport {
    pub(crate) bench: &'static str,
    pub(crate) machine: String,
    pub(crate) command: String,
    pub(crate) level: &'static str,
    /// Whether the kernel counted what trees used.
    pub(crate) accounting: &'static str,
    pub(crate) seed: u64,
    pub(crate) slots: usize,
    pub(crate) asked_s: u64,
    pub(crate) ran_s: u64,
    pub(crate) stopped_early: bool,
    /// Kinds of work that this machine lacks a program for.
    pub(crate) left_out: Vec<String>,
    pub(crate) hosts_started: u64,
    pub(crate) launchers_killed: u64,
    pub(crate) supervisors_killed: u64,
    pub(crate) runs: Vec<Count>,
    /// All of them, of which the first are told in full.
    pub(crate) inconsistencies_total: u64,
    pub(crate) inconsistencies: Vec<Inconsistency>,
    pub(crate) leaks: Vec<Leak>,
    /// The first and the last are without a host.
    pub(crate) inventories: Vec<Inventory>,
    pub(crate) canary_runs: u64,
    pub(crate) canary_wrong: u64,
    pub(crate) canary_minutes: Vec<Minute>,
    pub(crate) drift_percent: Option<f64>,
    pub(crate) benign: Vec<Throughput>,
}

impl SoakReport {
    /// Whether nothing leaked and everything was as it should be.
    pub(crate) const fn is_clean(&self) -> bool {
        self.leaks.is_empty() && self.inconsistencies_total == 0
    }

    /// How many runs there were.
    pub(crate) fn runs_total(&self) -> u64 {
        self.runs.iter().map(|count| count.runs).sum()
    }

    /// The findings, one a line.
    pub(crate) fn verdict(&self) -> Vec<String> {
        let leaks = match self.leaks.len() {
            0 => "none".to_owned(),
            _ => {
                let whats: std::collections::BTreeSet<_> = self.leaks.iter().map(|leak| leak.what).collect();
                whats.into_iter().collect::<Vec<_>>().join(", ")
            }
        };
        let inconsistencies = match self.inconsistencies_total {
            0 => "none".to_owned(),
            total => total.to_string(),
        };
        let canaries = match self.canary_wrong {
            0 => "all right".to_owned(),
            wrong => format!("{wrong} wrong"),
        };
        let drift =
            self.drift_percent.map_or_else(|| "too few canaries".to_owned(), |drift| format!("{drift} %"));
        vec![
            format!("leaks: {leaks}"),
            format!("inconsistencies: {inconsistencies}"),
            format!("canaries: {} runs, {canaries}", self.canary_runs),
            format!("drift: {drift}"),
        ]
    }
}
