//! Accounts without control groups: a tree is looked at from time to time.
//!
//! Whatever happens between two looks is missed, so the figures are lower bounds, and limits hold to what a program can
//! take in that time. Per-process limits of the kernel's stand behind them.

use std::collections::HashMap;
use std::time::Duration;

use rollcage_guest::protocol::Ended;
use rollcage_types::{ByteSize, LimitKind, Limits};

use super::process_table::{self, Process};
use crate::cgroup::{Account, Refusals};
use crate::outcome::over_cpu;

/// Of /proc, on every architecture: `USER_HZ`.
const TICK: Duration = Duration::from_millis(10);
/// Processes whose time is remembered after they are gone. A tree that has had more is a relay, and over its limit soon.
const REMEMBERED_MAX: usize = 16 * 1024;

/// One slot's accounts.
#[derive(Debug, Default)]
pub(crate) struct Sampled {
    stub: Option<u32>,
    /// The time each process was last seen to have used, so that it counts when the process is gone.
    seen: HashMap<(u32, u64), u64>,
    cpu: Duration,
    memory: ByteSize,
    processes: u32,
}

impl Sampled {
    pub(super) fn begin(&mut self, stub: Option<u32>) {
        *self = Self { stub, ..Self::default() };
    }

    /// The limit that the tree is over, if any.
    pub(super) fn look(&mut self, limits: &Limits) -> Option<LimitKind> {
        let tree = process_table::below(self.stub?);
        self.take_note(&tree);
        if self.processes > limits.processes {
            return Some(LimitKind::Processes);
        }
        if memory_of(&tree, limits.memory, &mut self.memory) > limits.memory {
            return Some(LimitKind::Memory);
        }
        over_cpu(self.cpu, limits).then_some(LimitKind::CpuTime)
    }

    fn take_note(&mut self, tree: &[Process]) {
        for process in tree {
            if self.seen.len() < REMEMBERED_MAX {
                self.seen.insert((process.pid, process.started), process.cpu_ticks);
            }
        }
        // Either may be the larger: what was waited for is counted to the tick, and what nobody waits for only here.
        let own: u64 = self.seen.values().sum();
        let waited: u64 = tree.iter().map(|process| process.cpu_ticks + process.waited_ticks).sum();
        let ticks = u32::try_from(own.max(waited)).unwrap_or(u32::MAX);
        self.cpu = self.cpu.max(TICK * ticks);
        self.processes = self.processes.max(tree.iter().map(|process| process.threads).sum());
    }

    pub(super) fn account(&self, limits: &Limits, ended: Option<&Ended>) -> Account {
        let (cpu, memory) = ended.map_or((Duration::ZERO, ByteSize::kib(0)), |ended| {
            (Duration::from_micros(ended.cpu_us), ByteSize::kib(ended.max_rss_kib))
        });
        Account {
            cpu: self.cpu.max(cpu),
            oom_kills: Refusals::None,
            // The kernel counts no refusals here; a tree seen at its limit has most likely met one.
            forks_refused: if self.processes >= limits.processes {
                Refusals::ByOwnLimit
            } else {
                Refusals::None
            },
            memory: self.memory.max(memory),
            processes: self.processes.max(u32::from(ended.is_some())),
        }
    }
}

/// The tree's memory. Resident pages are quick to add up and never less than what it has for itself, so that is looked
/// at only where they are over the limit.
fn memory_of(tree: &[Process], limit: ByteSize, peak: &mut ByteSize) -> ByteSize {
    let resident = ByteSize::bytes(tree.iter().map(|process| process.resident_bytes).sum());
    let memory = if resident <= limit {
        resident
    } else {
        // A process can keep us from looking, and then counts in full.
        let own = |process: &Process| {
            let shared_out = process_table::proportional_memory(process.pid).map(ByteSize::as_u64);
            shared_out.unwrap_or(process.resident_bytes)
        };
        ByteSize::bytes(tree.iter().map(own).sum())
    };
    *peak = (*peak).max(memory);
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, cpu_ticks: u64, waited_ticks: u64) -> Process {
        Process { pid, started: 1, threads: 2, cpu_ticks, waited_ticks, resident_bytes: 0 }
    }

    fn check(looks: &[&[Process]], cpu_ticks: u32, processes: u32) {
        let mut sampled = Sampled::default();
        for tree in looks {
            sampled.take_note(tree);
        }
        let account = sampled.account(&Limits::default(), None);
        assert_eq!((account.cpu, account.processes), (TICK * cpu_ticks, processes), "{looks:?}");
    }

    #[test]
    fn time_of_processes_that_are_gone_still_counts() {
        check(&[&[process(1, 5, 0)], &[process(2, 7, 0)], &[]], 12, 2);
        // Waited for by a process that lives: counted once.
        check(&[&[process(1, 5, 0), process(2, 7, 0)], &[process(1, 5, 7)]], 12, 4);
        // Seen too late, but waited for.
        check(&[&[process(1, 5, 90)]], 95, 2);
        check(&[&[]], 0, 0);
    }

    #[test]
    fn what_the_kernel_says_at_the_end_is_not_forgotten() {
        let ended = Ended { cpu_us: 70_000, max_rss_kib: 2048, ..Ended::default() };
        let account = Sampled::default().account(&Limits::default(), Some(&ended));
        assert_eq!(account.cpu, Duration::from_millis(70));
        assert_eq!((account.memory, account.processes), (ByteSize::mib(2), 1));
    }

    #[test]
    fn a_tree_at_its_limit_has_met_it() {
        let mut sampled = Sampled::default();
        sampled.take_note(&[process(1, 0, 0)]);
        let refused =
            |processes| sampled.account(&Limits { processes, ..Limits::default() }, None).forks_refused;
        assert_eq!((refused(2), refused(3)), (Refusals::ByOwnLimit, Refusals::None));
    }
}
