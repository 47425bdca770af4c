//! Native problem rows and samples: what is read comes back the same when it is written, and what is refused names a
//! row that is there.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use rollcage_api::{DatasetItem, DatasetKind, ProblemRow, RowError, join_samples, read_samples};

fuzz_target!(|bytes: &[u8]| {
    let items = match DatasetKind::Problems.read(bytes) {
        Ok(items) => items,
        Err(error) => return check_error(&error, bytes),
    };
    let ids: BTreeSet<_> = items.iter().map(|item| item.task.id.as_str()).collect();
    assert_eq!(ids.len(), items.len(), "two tasks have one id");
    let rows: Vec<ProblemRow> = items.iter().map(ProblemRow::from).collect();
    let written: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    let again: Vec<DatasetItem> = DatasetKind::Problems.read(written.join("\n").as_bytes()).unwrap();
    assert_eq!(again.iter().map(ProblemRow::from).collect::<Vec<_>>(), rows);
    for (item, again) in items.iter().zip(&again) {
        assert_eq!((&item.task.messages, &item.task.problem), (&again.task.messages, &again.task.problem));
    }
    check_samples(bytes, &items);
});

fn check_samples(bytes: &[u8], items: &[DatasetItem]) {
    match read_samples(bytes) {
        Ok(samples) => {
            let count = samples.len();
            if let Ok(joined) = join_samples(samples, items, Some("python")) {
                assert_eq!(joined.len(), count);
            }
        }
        Err(error) => check_error(&error, bytes),
    }
}

/// A row has a byte at least, and the file one line more than line feeds.
fn check_error(error: &RowError, bytes: &[u8]) {
    assert!((1..=bytes.len() + 1).contains(&error.row), "{error}");
    assert!(!error.problem.is_empty());
}
