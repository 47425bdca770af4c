//! A benchmark's report as tables.

use rollcage_api::{BenchReport, BenchRow, BenchTarget};

use crate::bench::exec::Phases;
use crate::table;

/// The report for people.
pub(crate) fn render(report: &BenchReport, phases: &[Phases]) -> String {
    let row = |row: &BenchRow| {
        let memory = row.memory_kb.map(|kb| kb.to_string()).unwrap_or_default();
        let per_second = format!("{:.0}", row.per_second);
        [
            row.case.clone(),
            row.mode.clone(),
            ms(row.p50_ms),
            ms(row.p90_ms),
            ms(row.p99_ms),
            per_second,
            memory,
        ]
    };
    let phase = |phase: &Phases| [phase.case.to_owned(), ms(phase.program_ms), ms(phase.around_ms)];
    let target = |target: &BenchTarget| {
        let mark = if target.holds { "✓ holds" } else { "✗ missed" };
        [mark.to_owned(), target.name.clone(), target.target.to_string(), target.value.to_string()]
    };
    let memory = match report.bench.as_str() {
        "start" => "KiB idle",
        "sessions" => "KiB",
        _ => "KiB per slot",
    };
    let headings = ["case", "mode", "p50 ms", "p90 ms", "p99 ms", "per second", memory];
    let mut text = format!("{}\n\n{}", report.machine, table::render(headings, report.rows.iter().map(row)));
    if !phases.is_empty() {
        text.push('\n');
        let headings = ["caged, at p50", "program ms", "around it ms"];
        text.push_str(&table::render(headings, phases.iter().map(phase)));
    }
    if !report.targets.is_empty() {
        text.push('\n');
        let headings = ["", "promise", "target", "measured"];
        text.push_str(&table::render(headings, report.targets.iter().map(target)));
    }
    text
}

fn ms(value: f64) -> String {
    format!("{value:.3}")
}
