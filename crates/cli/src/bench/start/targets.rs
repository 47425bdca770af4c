//! What was promised of starts, as the specification has it.

use rollcage_api::{BenchRow, BenchTarget};

use super::WARM;
use super::cases::StartCase;
use super::compiling::REPEATED;
use crate::bench::exec::{BARE, PROCESSORS_PROMISED};

/// How often a warm start in a cage fits into a bare one, at the median: at least.
const FACTORS: [(StartCase, f64); 12] = [
    (StartCase::Python, 5.0),
    (StartCase::PythonPandas, 50.0),
    (StartCase::R, 8.0),
    (StartCase::Ruby, 8.0),
    (StartCase::Ocaml, 8.0),
    (StartCase::Php, 1.0),
    (StartCase::Perl, 1.0),
    (StartCase::Lua, 1.0),
    (StartCase::Bash, 1.0),
    (StartCase::Node, 2.0),
    (StartCase::Java, 2.0),
    (StartCase::CppBits, 2.0),
];
/// Milliseconds at the median: at most.
const MEDIANS: [(StartCase, &str, f64); 3] = [
    (StartCase::Python, WARM, 1.5),
    (StartCase::PythonPandas, WARM, 6.5),
    (StartCase::CppBits, REPEATED, 5.0),
];
const PYTHON_PER_SECOND_MIN: f64 = 1000.0;
/// The slowest in a hundred over the median: at most.
const PYTHON_TAIL_MAX: f64 = 3.0;

/// Those that `rows` say something about.
pub(super) fn targets(rows: &[BenchRow]) -> Vec<BenchTarget> {
    let row =
        |case: StartCase, mode: &str| rows.iter().find(|row| row.case == case.name() && row.mode == mode);
    let mut targets = Vec::new();
    for (case, factor) in FACTORS {
        if let (Some(bare), Some(warm)) = (row(case, BARE), row(case, WARM)) {
            let name = format!("{} bare over warm and caged at p50, at least", case.name());
            targets.push(at_least(name, bare.p50_ms / warm.p50_ms, factor));
        }
    }
    for (case, mode, most) in MEDIANS {
        if let Some(row) = row(case, mode) {
            targets.push(at_most(format!("{} {mode} at p50, in ms, at most", case.name()), row.p50_ms, most));
        }
    }
    if let Some(warm) = row(StartCase::Python, WARM) {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let processors = u32::try_from(processors).map_or(1.0, f64::from);
        let per_second = warm.per_second * PROCESSORS_PROMISED / processors;
        let name = "warm python per second on two processors, at least".to_owned();
        targets.push(at_least(name, per_second.round(), PYTHON_PER_SECOND_MIN));
        let name = "p99 of warm python over its p50, at most".to_owned();
        targets.push(at_most(name, warm.p99_ms / warm.p50_ms, PYTHON_TAIL_MAX));
    }
    targets
}

fn at_least(name: String, value: f64, target: f64) -> BenchTarget {
    let value = rounded(value);
    BenchTarget { name, value, target, holds: value >= target }
}

fn at_most(name: String, value: f64, target: f64) -> BenchTarget {
    let value = rounded(value);
    BenchTarget { name, value, target, holds: value <= target }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
