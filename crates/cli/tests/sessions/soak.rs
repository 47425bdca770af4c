//! An hour of mixed sessions: opened, used, misused, forked, put aside, taken back and closed; and nothing of them is left.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rollcage_sandbox::SessionBank;
use rollcage_session::live::{Farm, LiveCell, LiveError, LiveSession, LiveSpec, LiveState};
use rollcage_types::{ByteSize, Limits};

use crate::{farm, open, run, text};

/// Asks for long runs.
const LONG: &str = "ROLLCAGE_LONG";
/// Minutes of this one.
const MINUTES: &str = "ROLLCAGE_SOAK_MINUTES";
/// Sessions at once.
const CROWD: usize = 40;

const LANGUAGES: [&str; 3] = ["python", "bash", "sqlite"];
/// Control groups that a slot has one in each of, at the most: memory, processes, processors.
const HIERARCHIES: usize = 3;

/// Cells that leave their sessions as they are, or end them.
const MISCHIEF: [&str; 8] = [
    "import os; os._exit(1)",
    "while True: pass",
    "import os; os.closerange(0, 256)",
    "kept = []\nwhile True: kept.append(bytearray(b'x') * (1 << 24))",
    "import subprocess; subprocess.Popen(['sleep', '600'])",
    "import os\nfor _ in range(8):\n    if os.fork() == 0:\n        import time; time.sleep(600)",
    "for _ in range(10 ** 6): print('x' * 100)",
    "1 / 0",
];

#[derive(Clone, Copy, Debug)]
struct Seen {
    processes: usize,
    groups: usize,
    descriptors: usize,
    own_kb: u64,
}

#[test]
fn mixed_sessions_leave_nothing_behind() {
    if std::env::var_os(LONG).is_none() {
        println!("skipped: an hour of mixed sessions: set {LONG}=1");
        return;
    }
    let Some(farm) = farm() else { return };
    let minutes = std::env::var(MINUTES).ok().and_then(|text| text.parse().ok()).unwrap_or(60.0);
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    // Until every interpreter there will be is there.
    let (mut cells, mut wrong) = mix(farm, &mut dice, Duration::from_secs(20));
    let before = look(farm);
    let (more, others) = mix(farm, &mut dice, Duration::from_secs_f64(minutes * 60.0));
    cells += more;
    wrong.extend(others);
    let after = look(farm);
    println!("{cells} cells in {minutes} minutes; before {before:?}, after {after:?}");
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(farm.counts().live + farm.counts().evicted, 0);
    assert!(after.processes <= before.processes + 2, "{before:?} {after:?}");
    // A slot keeps its groups for whoever has it next.
    let of_slots = LANGUAGES.len() * SessionBank::SLOTS_MAX * HIERARCHIES;
    assert!(after.groups <= before.groups.max(of_slots) + 300, "{before:?} {after:?}");
    assert!(after.descriptors <= before.descriptors + 16, "{before:?} {after:?}");
    assert!(after.own_kb <= before.own_kb + 32 * 1024, "{before:?} {after:?}");
}

/// xorshift64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap_or(0)
    }
}

/// A session and what it should know.
struct Known {
    session: LiveSession,
    number: u64,
}

fn spec() -> LiveSpec {
    let limits = Limits {
        cpu_time: Duration::from_millis(300),
        wall_time: Duration::from_secs(2),
        memory: ByteSize::mib(96),
        output: ByteSize::mib(1),
        ..Limits::default()
    };
    LiveSpec { limits, forks: true, ..LiveSpec::default() }
}

/// Says how many cells there were, and which answers were wrong.
fn mix(farm: &Farm, dice: &mut Dice, time: Duration) -> (u64, Vec<String>) {
    let began = Instant::now();
    let mut crowd: Vec<Known> = Vec::new();
    let (mut cells, mut wrong) = (0, Vec::new());
    while began.elapsed() < time {
        if crowd.len() < CROWD / 2 || dice.roll(20) == 0 && crowd.len() < CROWD {
            let language = LANGUAGES[dice.roll(LANGUAGES.len() + 1) % LANGUAGES.len()];
            let session = open(farm, language, spec());
            begin(&session);
            crowd.push(Known { session, number: 0 });
        }
        let at = dice.roll(crowd.len());
        let has_room = crowd.len() < CROWD;
        let known = &mut crowd[at];
        cells += 1;
        match dice.roll(24) {
            0 => {
                let _ended = crowd.swap_remove(at);
            }
            1 if has_room => {
                let number = known.number;
                match known.session.fork(1) {
                    Ok(forked) => {
                        let fork = |session| Known { session, number };
                        crowd.extend(forked.sessions.into_iter().map(fork));
                    }
                    // A cell that cannot be replayed, say.
                    Err(_) => drop(crowd.swap_remove(at)),
                }
            }
            2 => match known.session.evict() {
                Ok(()) | Err(LiveError::NotReplayable { .. }) => {}
                Err(error) => wrong.push(format!("evict: {error}")),
            },
            3 if known.session.language().name == "python" => {
                run(&known.session, MISCHIEF[dice.roll(MISCHIEF.len())]);
                if matches!(known.session.state(), LiveState::Poisoned(_))
                    && let Err(error) = known.session.restore()
                {
                    wrong.push(format!("restore: {error}"));
                    drop(crowd.swap_remove(at));
                }
            }
            _ => {
                if let Err(what) = count_on(known) {
                    wrong.push(what);
                    drop(crowd.swap_remove(at));
                }
            }
        }
    }
    (cells, wrong)
}

fn begin(session: &LiveSession) {
    match session.language().name.as_str() {
        "python" => run(session, "n = 0"),
        "bash" => run(session, "n=0"),
        _ => run(session, "create table t (n); insert into t values (0)"),
    };
}

/// Counts on by one, and compares.
fn count_on(known: &mut Known) -> Result<(), String> {
    let cell = match known.session.language().name.as_str() {
        "python" => "n += 1; print(n)",
        "bash" => "n=$((n + 1)); echo $n",
        _ => "update t set n = n + 1; select n from t",
    };
    let outcome = known
        .session
        .execute(&LiveCell::new(cell), &mut |_prompt| None)
        .map_err(|error| format!("{cell}: {error}"))?;
    known.number += 1;
    let said = text(&outcome.stdout);
    let is_right = said.lines().last() == Some(known.number.to_string().as_str());
    is_right.then_some(()).ok_or_else(|| format!("{cell}: {said:?} and not {}: {outcome:?}", known.number))
}

fn look(farm: &Farm) -> Seen {
    // What is ending takes a moment, and what is left of branches goes with the next one.
    std::thread::sleep(Duration::from_secs(2));
    drop(open(farm, "python", spec()).fork(1));
    std::thread::sleep(Duration::from_secs(2));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let own_kb = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    Seen {
        processes: descendants().len(),
        groups: groups(),
        descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        own_kb: own_kb.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0),
    }
}

/// Processes below this one.
fn descendants() -> Vec<u32> {
    let mut all = std::collections::BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        all.insert(process, parent.unwrap_or(0));
    }
    let own = std::process::id();
    let is_below = |process: &u32| {
        let mut at = *process;
        for _ in 0..64 {
            match all.get(&at) {
                Some(parent) if *parent == own => return true,
                Some(parent) => at = *parent,
                None => return false,
            }
        }
        false
    };
    all.keys().copied().filter(is_below).collect()
}

/// Control groups of sessions and branches of this process's host.
fn groups() -> usize {
    let own = descendants().into_iter().find_map(host_of);
    let own = own.expect("an interpreter that waits is in a group of the host's");
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    hierarchies.map(|hierarchy| sessions_below(&hierarchy.path(), &own, 8)).sum()
}

/// The group of the host that a process is in: `rollcage/NUMBER`.
fn host_of(process: u32) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let number = groups.lines().find_map(|line| line.split_once("/rollcage/")?.1.split('/').next())?;
    Some(format!("rollcage/{number}"))
}

fn sessions_below(directory: &Path, host: &str, depth: u32) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below
        .map(|entry| {
            let is_one =
                entry.file_name().to_string_lossy().starts_with("session-") && directory.ends_with(host);
            let further = depth.checked_sub(1).map_or(0, |depth| sessions_below(&entry.path(), host, depth));
            usize::from(is_one) + further
        })
        .sum()
}
