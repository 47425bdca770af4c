//! Processes, as /proc shows them; see proc_pid_stat(5).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// One of them as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pub(super) number: u32,
    pub(super) parent: u32,
    pub(super) state: char,
    /// Numbers are used again, but not at the same time.
    pub(super) started: u64,
    pub(super) uid: u32,
}

/// All that could be seen at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(BTreeMap<u32, Process>);

impl Table {
    /// Looks at all of them.
    pub(super) fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(numbers.filter_map(|number| Some((number, read(number)?))).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.0.values()
    }

    /// Those below `root`, which is not among them.
    pub(super) fn below(&self, root: u32) -> Vec<Process> {
        self.iter().filter(|process| self.is_below(process.number, root)).copied().collect()
    }

    fn is_below(&self, number: u32, root: u32) -> bool {
        let parent = |number: &u32| self.0.get(number).map(|process| process.parent);
        // Parents change while they are read; a chain longer than there are processes would be a circle.
        std::iter::successors(parent(&number), parent).take(self.0.len()).any(|above| above == root)
    }

    /// Whether this very process, and no later one of its number, is still there and not dead.
    pub(super) fn is_alive(&self, process: &Process) -> bool {
        self.0.get(&process.number).is_some_and(|now| now.started == process.started && now.state != 'Z')
    }
}

impl Process {
    /// Its command line. Empty for one that is dead.
    pub(super) fn command(&self) -> Vec<String> {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.number)).unwrap_or_default();
        let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let mut words: Vec<_> = words.collect();
        // Each word ends with a zero.
        words.pop();
        words
    }

    /// Where it is, as far as we may know.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/cwd", self.number)).ok()
    }

    /// Resident memory.
    pub(super) fn resident_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.number)).unwrap_or_default();
        kilobytes(&status, "VmRSS").unwrap_or(0)
    }
}

/// How many network namespaces these are in, as far as we may know.
pub(super) fn network_namespaces(processes: &[Process]) -> usize {
    let namespace = |process: &Process| fs::read_link(format!("/proc/{}/ns/net", process.number)).ok();
    processes.iter().filter_map(namespace).collect::<BTreeSet<_>>().len()
}

/// The figure of `key` in lines like `key:  12 kB`.
pub(super) fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read(number: u32) -> Option<Process> {
    let directory = format!("/proc/{number}");
    let uid = fs::metadata(&directory).ok()?.uid();
    parse(number, uid, &fs::read_to_string(format!("{directory}/stat")).ok()?)
}

fn parse(number: u32, uid: u32, stat: &str) -> Option<Process> {
    // The name, in parentheses, may hold anything; the state, field 3, follows its last one.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Process {
        number,
        parent: field(4)?.parse().ok()?,
        state: field(3)?.chars().next()?,
        started: field(22)?.parse().ok()?,
        uid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(number: u32, parent: u32, state: char) -> (u32, Process) {
        (number, Process { number, parent, state, started: u64::from(number), uid: 0 })
    }

    #[test]
    fn a_hostile_name_shifts_no_field() {
        let stat = "7 (a) R 1 2) S 3 7 7 0 -1 4194560 1 0 0 0 11 22 33 44 20 0 5 0 99 8192 3";
        let expected = Process { number: 7, parent: 3, state: 'S', started: 99, uid: 5 };
        assert_eq!(parse(7, 5, stat), Some(expected));
        assert_eq!(parse(7, 5, "7 (cut"), None);
    }

    #[test]
    fn descendants_are_found_at_any_depth_and_circles_end() {
        let table = Table(
            [
                process(1, 0, 'S'),
                process(2, 1, 'S'),
                process(3, 2, 'Z'),
                process(8, 9, 'S'),
                process(9, 8, 'S'),
            ]
            .into(),
        );
        let below = |root| table.below(root).iter().map(|process| process.number).collect::<Vec<_>>();
        assert_eq!(below(1), [2, 3]);
        assert_eq!(below(2), [3]);
        assert_eq!(below(3), [0; 0]);
        let alive = |number, started| table.is_alive(&Process { started, ..process(number, 0, 'S').1 });
        assert!(alive(2, 2));
        assert!(!alive(2, 1) && !alive(3, 3) && !alive(4, 4));
    }

    #[test]
    fn figures_are_found_by_key() {
        assert_eq!(kilobytes("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n", "VmRSS"), Some(12));
        assert_eq!(kilobytes("VmRSSx: 1 kB\n", "VmRSS"), None);
    }
}
