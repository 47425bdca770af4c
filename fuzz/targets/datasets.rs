//! Published data sets, recorded episodes and the requests of trainers.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use rollcage_api::{
    AgnosticsRequest, DatasetKind, gunzip, read_intercode_episodes, read_intercode_tasks, read_samples,
};
use rollcage_types::ProblemId;

fuzz_target!(|bytes: &[u8]| {
    let Ok(bytes) = gunzip(bytes) else { return };
    for kind in DatasetKind::ALL {
        let Ok(items) = kind.read(&bytes) else { continue };
        let ids: BTreeSet<_> = items.iter().map(|item| item.task.id.as_str()).collect();
        assert_eq!(ids.len(), items.len(), "two tasks have one id");
        for item in &items {
            assert!(!item.task.messages.is_empty());
            assert!(item.task.problem.validate().is_ok(), "a reader let an unusable problem through");
        }
    }
    // Whatever is recognised is told by its first row alone.
    let first_line = bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    if !bytes.trim_ascii_start().starts_with(b"[") {
        assert_eq!(DatasetKind::detect(&bytes), first_line.and_then(DatasetKind::detect));
    }
    if let Ok(episodes) = read_intercode_episodes(&bytes) {
        assert!(episodes.iter().all(|episode| !episode.turns.is_empty()));
        assert!(episodes.is_sorted_by_key(|episode| episode.task_index));
    }
    if let Ok(tasks) = read_intercode_tasks(&bytes) {
        assert!(tasks.iter().all(|task| !task.tests.is_empty()));
    }
    if let Ok(samples) = read_samples(&bytes) {
        assert!(samples.is_sorted_by_key(|sample| sample.row));
    }
    if let Ok(line) = str::from_utf8(&bytes)
        && let Ok(request) = AgnosticsRequest::parse(line)
    {
        let problem = request.problem(ProblemId::new("fuzzed"));
        assert!(problem.limits.wall_time.is_some_and(|limit| !limit.is_zero()), "a limit of nothing");
    }
});
