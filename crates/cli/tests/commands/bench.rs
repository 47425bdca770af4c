//! `rollcage bench`: the report's shape, never its numbers.

use rollcage_api::BenchReport;

use crate::harness::{can_run, rollcage};

#[test]
fn the_report_has_rows_and_targets() {
    if !can_run(&[]) {
        return;
    }
    let finished = rollcage(&["bench", "exec", "--quick", "--case", "true", "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report: BenchReport = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(report.bench, "exec");
    let modes: Vec<_> = report.rows.iter().map(|row| (row.case.as_str(), row.mode.as_str())).collect();
    assert_eq!(modes, [("true", "bare-cold"), ("true", "caged-cold")]);
    for row in &report.rows {
        assert!(0.0 < row.p50_ms && row.p50_ms <= row.p90_ms && row.p90_ms <= row.p99_ms, "{row:?}");
        assert!(row.per_second > 0.0, "{row:?}");
    }
    assert!(report.rows[1].memory_kb.is_some_and(|kb| kb > 0));
    assert_eq!(report.targets.len(), 3);
    assert_eq!(rollcage(&["bench", "exec", "--case", "nosuch"]).code, Some(2));
}
