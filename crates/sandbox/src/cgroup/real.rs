//! Tests of slots' groups on the control groups this machine has.

use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rollcage_types::{ByteSize, Limits};

use super::{Account, Hierarchy, Refusals, SlotCgroup, remove_tree};

const MIB: u64 = 1024 * 1024;

/// A slot's group and the groups above it that are the test's own; all are removed when dropped.
struct Bench {
    slot: SlotCgroup,
    groups: Vec<PathBuf>,
}

impl Bench {
    /// `None` where this process has no groups; the reason has then been printed.
    fn make() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let hierarchy = match Hierarchy::detect() {
            Ok(hierarchy) => hierarchy,
            Err(reason) => {
                eprintln!("skipped: tests of control groups: {reason}");
                return None;
            }
        };
        let name = format!("rollcage-test-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let groups = hierarchy.roots().into_iter().map(|root| root.join(&name)).collect();
        let slot = SlotCgroup::create(&hierarchy, &Path::new(&name).join("0")).unwrap();
        Some(Self { slot, groups })
    }

    /// Starts a script in the group; its shell is the only process besides what it forks.
    fn start(&self, script: &str) -> Child {
        let entry = |fd: &BorrowedFd<'_>| {
            let held = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
            if Path::new(&held).is_dir() { format!("{held}/cgroup.procs") } else { held }
        };
        let enter = "for file; do echo 0 > \"$file\" || exit 99; done; set --; ";
        Command::new("sh")
            .args(["-c", &format!("{enter}{script}"), "sh"])
            .args(self.slot.entry(true).1.iter().map(entry))
            // Not what a user has put in front of the system's python3, which may be a script.
            .env("PATH", "/usr/bin:/bin")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// One whole run.
    fn run(&mut self, script: &str, limits: &Limits) -> Account {
        self.slot.begin(limits).unwrap();
        let status = self.start(script).wait().unwrap();
        assert_ne!(status.code(), Some(99), "the program did not get into its group");
        self.slot.account(limits).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for group in &self.groups {
            if let Err(error) = remove_tree(group) {
                eprintln!("cannot remove {}: {error}", group.display());
            }
        }
    }
}

fn limits(memory: u64, processes: u32) -> Limits {
    Limits { memory: ByteSize::bytes(memory), processes, ..Limits::default() }
}

#[test]
fn each_run_has_its_own_figures() {
    let Some(mut bench) = Bench::make() else { return };
    let generous = limits(256 * MIB, 64);
    let large = "sleep 0 & sleep 0 & sleep 0 & wait; exec python3 -c 'x = b\"x\" * (90 << 20)'";
    for _ in 0..2 {
        let used = bench.run(large, &generous);
        assert_eq!((used.oom_kills, used.forks_refused), (Refusals::None, Refusals::None));
        assert!((90 * MIB..200 * MIB).contains(&used.memory.as_u64()), "{used:?}");
        assert!((2..10).contains(&used.processes), "{used:?}");
        assert!(!used.cpu.is_zero(), "{used:?}");
        for _ in 0..2 {
            let small = bench.run("exec true", &generous);
            assert!(small.memory.as_u64() < 20 * MIB, "{small:?} after {used:?}");
            assert!(small.cpu < used.cpu && small.processes == 1, "{small:?} after {used:?}");
        }
    }
}

#[test]
fn limits_are_met_in_their_own_name_and_change_from_run_to_run() {
    let Some(mut bench) = Bench::make() else { return };
    let hog = "exec python3 -c 'x = b\"x\" * (90 << 20)'";
    // Children end with their parent, whom the refusal ends.
    let forks = "exec python3 -c 'import os\nr, w = os.pipe()\nfor _ in range(4):\n  \
                 if os.fork() == 0: os.close(w); os.read(r, 1); os._exit(0)'";
    for _ in 0..2 {
        let used = bench.run(hog, &limits(48 * MIB, 64));
        assert_eq!((used.oom_kills, used.forks_refused), (Refusals::ByOwnLimit, Refusals::None), "{used:?}");
        let used = bench.run(hog, &limits(200 * MIB, 64));
        assert_eq!((used.oom_kills, used.forks_refused), (Refusals::None, Refusals::None), "{used:?}");
        let used = bench.run(forks, &limits(200 * MIB, 3));
        assert_eq!((used.oom_kills, used.forks_refused), (Refusals::None, Refusals::ByOwnLimit), "{used:?}");
    }
}

#[test]
fn a_slot_heals_when_its_group_is_taken_away() {
    let Some(mut bench) = Bench::make() else { return };
    let generous = limits(200 * MIB, 64);
    bench.run("exec true", &generous);
    // Of three version 1 groups that of processes, which is replaced in any case; the only one of version 2.
    let group = bench.groups.get(1).unwrap_or(&bench.groups[0]);
    remove_tree(&group.join("0")).unwrap();
    // The first run after it may fail, as one whose group was not there; those after it must not.
    let _lost = bench.slot.begin(&generous);
    let used = bench.run("true | true", &generous);
    assert!(used.processes >= 2, "{used:?}");
}

#[test]
fn whoever_is_in_a_removed_group_is_killed() {
    let Some(mut bench) = Bench::make() else { return };
    bench.slot.begin(&limits(200 * MIB, 64)).unwrap();
    let mut forker = bench.start("echo inside; while :; do sleep 100 & done");
    let mut line = String::new();
    BufReader::new(forker.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "inside\n");
    for group in &bench.groups {
        remove_tree(group).unwrap();
        assert!(!group.exists());
    }
    assert!(!forker.wait().unwrap().success());
}
