//! Programs that take all they can get or leave behind what they can, and the ends that are right for them.

use std::time::Duration;

use rollcage_types::{ByteSize, Collect, ExecRequest, LimitKind, Limits};

use crate::bench::soak::attacks;
use crate::bench::soak::work::{Class, End, Expected, Kind, Order, Recipe, Setting};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attack {
    pub(super) program: Program,
    /// What differs from [`small`].
    pub(super) limits: fn(&mut Limits),
    /// How it ends where the kernel counts what a tree uses.
    pub(super) counted: &'static [End],
    /// How else it may end where a tree is looked at from time to time: what the kernel refused is not counted there.
    pub(super) sampled: &'static [End],
    /// What it prints, if it comes to that.
    pub(super) stdout: Option<&'static str>,
    /// Everything that may be read back, where that is asked for.
    pub(super) collected: Option<&'static [(&'static str, &'static str)]>,
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Program {
    Shell(&'static str),
    Python(&'static str),
}

/// Every kind of them.
pub(super) const HOSTILE: &[Kind] = &[
    hostile("fork_bomb", PYTHON, &attacks::FORK_BOMB),
    hostile("thread_bomb", PYTHON, &attacks::THREAD_BOMB),
    hostile("memory_hog", PYTHON, &attacks::MEMORY_HOG),
    hostile("memory_hogs", PYTHON, &attacks::MEMORY_HOGS),
    hostile("shared_memory", PYTHON, &attacks::SHARED_MEMORY),
    hostile("disk_fill", PYTHON, &attacks::DISK_FILL),
    hostile("inode_fill", PYTHON, &attacks::INODE_FILL),
    hostile("large_file", &[], &attacks::LARGE_FILE),
    hostile("output_flood", &[], &attacks::OUTPUT_FLOOD),
    hostile("spin", &[], &attacks::SPIN),
    hostile("relay", PYTHON, &attacks::RELAY),
    hostile("exec_loop", &[], &attacks::EXEC_LOOP),
    hostile("sleeper", &[], &attacks::SLEEPER),
    hostile("silent", &[], &attacks::SILENT),
    hostile("stopped", &[], &attacks::STOPPED),
    hostile("zombies", PYTHON, &attacks::ZOMBIES),
    hostile("daemons", &[], &attacks::DAEMONS),
    hostile("socket_buffers", PYTHON, &attacks::SOCKET_BUFFERS),
    hostile("pipe_buffers", PYTHON, &attacks::PIPE_BUFFERS),
    hostile("signals_to_everybody", PYTHON, &attacks::SIGNALS_TO_EVERYBODY),
    hostile("closed_descriptors", PYTHON, &attacks::CLOSED_DESCRIPTORS),
    hostile("artefacts", PYTHON, &attacks::ARTEFACTS),
    hostile("artefact_crowd", PYTHON, &attacks::ARTEFACT_CROWD),
];

const PYTHON: &[&str] = &["python3"];

const fn hostile(name: &'static str, needs: &'static [&'static str], attack: &'static Attack) -> Kind {
    Kind { class: Class::Hostile, name, needs, recipe: Recipe::Attack(attack) }
}

/// Little enough that an attack is over soon and many fit the machine at once. Time is short where it is what ends a
/// program, and long elsewhere, so that on a busy machine no other limit is overtaken by it.
pub(super) fn small() -> Limits {
    Limits {
        cpu_time: Duration::from_secs(10),
        wall_time: Duration::from_secs(30),
        memory: ByteSize::mib(64),
        processes: 24,
        output: ByteSize::kib(256),
        disk: ByteSize::mib(8),
        ..Limits::default()
    }
}

impl Attack {
    /// Fills in what most attacks have in common.
    pub(super) const fn new(program: Program, counted: &'static [End]) -> Self {
        Self { program, limits: |_| {}, counted, sampled: &[], stdout: None, collected: None }
    }

    /// The attack as work for a host.
    pub(super) fn order(&self, setting: &Setting) -> Order {
        let mut request = match self.program {
            Program::Shell(script) => ExecRequest::new(["sh", "-c", script]),
            Program::Python(program) => ExecRequest::new(["python3", "-c", program]),
        };
        request.limits = small();
        (self.limits)(&mut request.limits);
        if self.collected.is_some() {
            request.collect = Collect::Everything;
        }
        let sampled = if setting.is_counted { &[] } else { self.sampled };
        let ends = self.counted.iter().chain(sampled).copied().collect();
        let files = self.collected.map(|files| {
            files.iter().map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec())).collect()
        });
        let stdout = self.stdout.map(|text| text.as_bytes().to_vec());
        Order { request, expected: Expected { ends, stdout, stderr: None, files }, cancel_after: None }
    }
}

/// Ended by a limit.
pub(super) const fn limit(kind: LimitKind) -> End {
    End::Exceeded(kind)
}

#[cfg(test)]
mod tests {
    use rollcage_types::IsolationLevel;

    use super::*;
    use crate::bench::soak::draw::Draw;

    #[test]
    fn no_attack_may_end_in_a_failure_of_ours() {
        for (kind, is_counted) in HOSTILE.iter().flat_map(|kind| [(kind, true), (kind, false)]) {
            let setting = Setting { level: IsolationLevel::Full, is_counted, compiled: None };
            let order = kind.order(&mut Draw::of(0, 0), &setting);
            let is_wrong = |end: &End| matches!(end, End::Failed | End::Refused(_) | End::Cancelled);
            assert!(!order.expected.ends.is_empty(), "{}", kind.name);
            assert!(!order.expected.ends.iter().any(is_wrong), "{}", kind.name);
            assert_eq!(order.request.argv[0] == "python3", kind.needs.contains(&"python3"), "{}", kind.name);
        }
    }

    #[test]
    fn what_is_not_counted_may_end_in_more_ways() {
        let ends = |is_counted| {
            let setting = Setting { level: IsolationLevel::Full, is_counted, compiled: None };
            attacks::MEMORY_HOG.order(&setting).expected.ends.len()
        };
        assert!(ends(true) < ends(false));
    }
}
