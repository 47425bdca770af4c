//! `rollcage bench`: the report's shape, never its numbers.

use std::collections::BTreeSet;

use rollcage_api::BenchReport;

use crate::harness::{Files, can_run, rollcage};

/// The report of a quick look at one case.
fn look_at(bench: &str, case: &str) -> BenchReport {
    let finished = rollcage(&["bench", bench, "--quick", "--case", case, "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report: BenchReport = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(report.bench, bench);
    report
}

/// Its cases and their modes.
fn modes(report: &BenchReport) -> Vec<(&str, &str)> {
    report.rows.iter().map(|row| (row.case.as_str(), row.mode.as_str())).collect()
}

#[test]
fn the_report_has_rows_and_targets() {
    if !can_run(&[]) {
        return;
    }
    let report = look_at("exec", "true");
    assert_eq!(modes(&report), [("true", "bare-cold"), ("true", "caged-cold")]);
    for row in &report.rows {
        assert!(0.0 < row.p50_ms && row.p50_ms <= row.p90_ms && row.p90_ms <= row.p99_ms, "{row:?}");
        assert!(row.per_second > 0.0, "{row:?}");
    }
    assert!(report.rows[1].memory_kb.is_some_and(|kb| kb > 0));
    assert_eq!(report.targets.len(), 3);
    assert_eq!(rollcage(&["bench", "exec", "--case", "nosuch"]).code, Some(2));
}

#[test]
fn starts_are_measured_in_three_modes() {
    if !can_run(&["bash"]) {
        return;
    }
    let report = look_at("start", "bash");
    assert_eq!(modes(&report), [("bash", "bare-cold"), ("bash", "caged-cold"), ("bash", "caged-warm")]);
    assert!(report.rows.iter().all(|row| 0.0 < row.p50_ms && row.per_second > 0.0), "{report:?}");
    assert!(report.rows[2].memory_kb.is_some_and(|kb| kb > 0));
    assert_eq!(report.targets.len(), 1);
}

/// Soaks for so many minutes, and finds nothing.
fn soak(minutes: &str) {
    let report = Files::new::<&str>(&[]);
    let path = report.at("soak.md");
    let finished = rollcage(&["bench", "soak", "--minutes", minutes, "--json", "--report", &path]);
    let found = finished.json();
    let of = |key: &str| found[key].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!((of("leaks"), of("inconsistencies")), (&[][..], &[][..]), "{}", finished.stderr);
    assert_eq!((finished.code, &found["canary_wrong"]), (Some(0), &0.into()), "{}", finished.stderr);
    assert!(found["canary_runs"].as_u64() > Some(0) && found["launchers_killed"].as_u64() > Some(0));
    let classes: BTreeSet<_> = of("runs").iter().filter_map(|run| run["class"].as_str()).collect();
    assert_eq!(classes, ["benign", "canary", "faulty", "hostile"].into());
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains("- leaks: none\n") && written.contains("## Runs by kind"), "{written}");
}

#[test]
fn a_short_soak_finds_nothing() {
    if can_run(&[]) {
        soak("0.05");
    }
}

#[test]
fn a_longer_soak_finds_nothing() {
    if std::env::var_os("ROLLCAGE_LONG").is_none() {
        eprintln!("skipped: needs ROLLCAGE_LONG=1");
        return;
    }
    if can_run(&[]) {
        soak("2");
    }
}

#[test]
fn minutes_are_a_number_above_zero() {
    for minutes in ["0", "-1", "x", "nan", "1e9"] {
        let finished = rollcage(&["bench", "soak", &format!("--minutes={minutes}")]);
        assert_eq!(finished.code, Some(2), "{minutes}: {finished:?}");
    }
}
