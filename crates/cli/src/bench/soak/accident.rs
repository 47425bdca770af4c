//! Accidents: launchers and supervisors killed while their cages are busy.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rollcage_sandbox::{HostConfig, SandboxError};
use rollcage_types::{ExecRequest, IsolationLevel, LimitKind};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::soak::blocks::Blocks;
use crate::bench::soak::leg::{Leg, TICK};
use crate::bench::soak::processes::{Process, Table};
use crate::bench::soak::work::{End, Ran, describe};

/// Who is killed while the cages of a leg are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accident {
    None,
    /// Another supervisor with a busy cage.
    Supervisor,
    /// Our own host's launcher.
    Launcher,
}

/// A program that nothing but the accident ends, told by its argument.
const MARK: &str = "86423";
/// A busy machine takes a while to get a program started; one that takes longer has no accident.
const START_WAIT: Duration = Duration::from_secs(20);
/// The kernel ends a pid namespace in milliseconds, cages without one in a few more.
const END_WAIT: Duration = Duration::from_secs(10);
/// Long enough to be seen and still be running when its launcher is killed; were that not to matter, it would tell after
/// this time.
const WITNESS_TIME: Duration = Duration::from_secs(5);
/// The first argument of a launcher begins so.
const LAUNCHER: &str = "__rollcage_launcher";

/// Kills the launcher of the leg's host. What is running then has no outcome, and neither has anything after it, where the
/// kernel ends all cages with it. Cages without a pid namespace go on, watched as before, until their slot needs the next
/// one; how they say they ended must be true.
pub(super) fn strike_launcher(leg: &Leg<'_>) -> Result<(), String> {
    let level = leg.setting.level;
    let ran = thread::scope(|scope| {
        let witness = scope.spawn(|| {
            let mut request = ExecRequest::new(["sleep", MARK]);
            request.limits.wall_time = WITNESS_TIME;
            leg.host.run(&request, leg.cancel)
        });
        let own = std::process::id();
        let is_asleep = || Table::read().below(own).iter().any(is_marked) || leg.is_over();
        let is_started = wait_until(START_WAIT, is_asleep) && !leg.is_over();
        let launcher = launcher_below(own, level);
        if let (true, Some(launcher)) = (is_started, launcher) {
            leg.strike();
            kill(launcher);
        }
        let ran = witness.join().expect("a run does not panic");
        match (is_started, launcher) {
            _ if leg.cancel.is_cancelled() => Ok(None),
            (true, Some(_)) => Ok(Some(ran)),
            (true, None) => Err("no launcher among our descendants".to_owned()),
            (false, _) => Err(format!("the witness never ran: {}", describe(&ran))),
        }
    })?;
    let Some(ran) = ran else { return Ok(()) };
    let is_lost = |ran: &Ran| ran.as_ref().is_err_and(SandboxError::is_retryable);
    let goes_on = level == IsolationLevel::Process && End::of(&ran) == End::Exceeded(LimitKind::WallTime);
    if !is_lost(&ran) && !goes_on {
        return Err(format!("the run in flight came to this: {}", describe(&ran)));
    }
    if level != IsolationLevel::Process {
        let after = leg.host.run(&ExecRequest::new(["true"]), leg.cancel);
        if !is_lost(&after) {
            return Err(format!("a run after it came to this: {}", describe(&after)));
        }
    }
    Ok(())
}

/// Starts another supervisor of the same kind as ours, kills it when its cage is busy, and looks whether anything of it
/// is left. Its cgroups are, until the next host is started.
pub(super) fn strike_supervisor(config: &HostConfig, blocks: &mut Blocks) -> Result<(), String> {
    let mut supervisor =
        start_supervisor(config).map_err(|error| format!("it could not be started: {error}"))?;
    let number = supervisor.id();
    let is_asleep = || Table::read().below(number).iter().any(is_marked);
    let is_started = wait_until(START_WAIT, is_asleep);
    let tree = Table::read().below(number);
    blocks.look_at(number);
    let killed = supervisor.kill().and_then(|()| supervisor.wait());
    if !is_started {
        return Err("its program never ran".to_owned());
    }
    killed.map_err(|error| format!("it could not be killed: {error}"))?;
    let alive = || {
        let now = Table::read();
        tree.iter().filter(|process| now.is_alive(process)).copied().collect::<Vec<_>>()
    };
    if wait_until(END_WAIT, || alive().is_empty()) {
        return Ok(());
    }
    let left: Vec<_> =
        alive().iter().map(|process| format!("{} {:?}", process.number, process.command())).collect();
    for process in alive() {
        kill(process);
    }
    Err(format!("processes outlived it: {}", left.join("; ")))
}

fn start_supervisor(config: &HostConfig) -> std::io::Result<Child> {
    let script = tempfile::Builder::new().suffix(".sh").tempfile()?;
    std::fs::write(&script, format!("sleep {MARK} & setsid sleep {MARK} & sleep {MARK}\n"))?;
    let mut supervisor = Command::new("/proc/self/exe")
        .args(["run", "--lang", "bash", "--wall", "60s"])
        .args(["--isolation", config.isolation.as_str(), "--accounting", config.accounting.as_str()])
        .arg(script.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // It reads the script before it starts anything.
    let number = supervisor.id();
    let has_read = || Table::read().below(number).iter().any(is_marked);
    if !wait_until(START_WAIT, has_read) && supervisor.try_wait()?.is_some() {
        return Err(std::io::Error::other("it ended by itself"));
    }
    Ok(supervisor)
}

fn is_marked(process: &Process) -> bool {
    process.command() == ["sleep", MARK]
}

/// The process that makes the cages: with namespaces, the init of the outer one, whose parent only waits for it.
fn launcher_below(supervisor: u32, level: IsolationLevel) -> Option<Process> {
    let table = Table::read();
    let child_of = |parent: u32| {
        let is_launcher = |process: &&Process| {
            process.parent == parent
                && process.command().get(1).is_some_and(|word| word.starts_with(LAUNCHER))
        };
        table.iter().find(is_launcher).copied()
    };
    let outer = child_of(supervisor)?;
    match level {
        IsolationLevel::Full | IsolationLevel::Rootless => child_of(outer.number),
        IsolationLevel::Process => Some(outer),
    }
}

fn kill(process: Process) {
    let number = i32::try_from(process.number).ok().and_then(Pid::from_raw);
    if let Some(number) = number {
        // One that has ended meanwhile needs no killing.
        let _ended = kill_process(number, Signal::KILL);
    }
}

/// Whether `holds` came to hold in time.
pub(super) fn wait_until(longest: Duration, holds: impl Fn() -> bool) -> bool {
    let until = Instant::now() + longest;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(TICK);
    }
}
