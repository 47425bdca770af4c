//! What a host and its waiting cages take.

use std::collections::BTreeMap;
use std::fs;

/// Kilobytes of this process and everything below it, shared pages divided among those who share them. `None`
/// where the kernel does not tell.
pub(crate) fn tree_kb() -> Option<u64> {
    let parents: BTreeMap<u32, u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, parent(process)?)))
        .collect();
    let own = std::process::id();
    let is_ours = |process: u32| {
        // Parents change while we look; a chain longer than there are processes would be a circle.
        let mut chain = std::iter::successors(Some(process), |process| parents.get(process).copied());
        chain.by_ref().take(parents.len()).any(|process| process == own)
    };
    let ours = parents.keys().copied().filter(|process| is_ours(*process));
    // A process that ended meanwhile takes nothing.
    ours.map(proportional_kb).try_fold(0, |sum, kb| Some(sum + kb?))
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the state and the parent follow its last one.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn proportional_kb(process: u32) -> Option<u64> {
    let Ok(rollup) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else { return Some(0) };
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}
