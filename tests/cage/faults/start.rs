//! Every step of starting a host fails in turn, and whoever started it is told which.
//!
//! One call after another fails, of those that steps consist of, until a start meets none: so that no step is forgotten.

use std::process::Command;

use rollcage_sandbox::{Host, HostConfig, HostError, LauncherProgram};
use rollcage_types::IsolationLevel;
use rustix::io::Errno;

use super::calls::{Argument, Step, Steps, step};
use super::saboteur::Saboteur;
use crate::harness::{configuration, host, own_host};
use crate::traces::{descendants, mounts, wait_until};

/// EPERM is not among them: what takes a privilege may be done without.
const ERRNOS: [Errno; 4] = [Errno::NOMEM, Errno::MFILE, Errno::NOSPC, Errno::IO];

const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
/// Of a stub's or child's stack with its guard page.
const STACK_BYTES: u64 = 68 * 1024;
const FROM_BOUNDING_SET: u64 = 24;
/// PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS and PR_CAP_AMBIENT.
const OTHER_SEALS: [u64; 3] = [28, 38, 47];
/// A start that meets this many faults would meet more than it makes calls.
const CALLS_MAX: u32 = 400;
/// Slots of the hosts that are started here: more than one, so that the second's introduction can fail.
const SLOTS: usize = 2;

/// The launcher's calls, from its namespaces to its answer.
fn launcher_call(skip: u32) -> Step {
    use Argument::{Has, Is, Lacks};
    step!(UNSHARE | CLONE | RECVMSG | SETGROUPS | PRLIMIT64[Is(3, 0)] | SETHOSTNAME
        | MOUNT | MOUNT_SETATTR | MKNODAT | CHDIR | PIVOT_ROOT | UMOUNT2
        | PRCTL[Is(0, FROM_BOUNDING_SET), Is(1, 0)]
        | PRCTL[Is(0, OTHER_SEALS[0])] | PRCTL[Is(0, OTHER_SEALS[1])] | PRCTL[Is(0, OTHER_SEALS[2])]
        | CAPGET | CAPSET | LANDLOCK_CREATE_RULESET | LANDLOCK_ADD_RULE | LANDLOCK_RESTRICT_SELF
        | MMAP[Has(3, MAP_SHARED), Lacks(3, MAP_PRIVATE)] | MMAP[Is(1, STACK_BYTES)]
        | EPOLL_CREATE1 | EPOLL_CTL | SECCOMP | SENDTO; skip)
}

/// The supervisor's calls that its launcher makes none of.
fn supervisor_call(skip: u32) -> Step {
    step!(FSOPEN | FSMOUNT | MEMFD_CREATE | EVENTFD2 | SOCKETPAIR | SENDMSG; skip)
}

const LEVELS: [IsolationLevel; 3] = IsolationLevel::ALL;
/// The environment variable by which a test says what the test it starts is to do.
const WHICH: &str = "ROLLCAGE_TEST_SETTING";

/// Starts a test of this file, in a process of its own.
fn alone(program: &std::path::Path, test: &str, which: usize) -> (bool, String) {
    let output = Command::new(program)
        .args(["--exact", &format!("faults::start::{test}"), "--ignored", "--nocapture"])
        .env(WHICH, which.to_string())
        .output()
        .expect("it starts");
    let printed =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), printed)
}

#[test]
fn every_step_of_a_launchers_start_fails_under_its_own_name() {
    if host().is_none() {
        return;
    }
    for (which, level) in LEVELS.iter().enumerate() {
        let own = std::env::current_exe().expect("a test has a path");
        let (passed, printed) = alone(&own, "the_start_of_a_launcher", which);
        assert!(passed, "{printed}");
        let said: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("said: ")).collect();
        println!("{level}:\n  {}", said.join("\n  "));
        for step in steps_of(*level) {
            assert!(said.iter().any(|said| said.contains(step)), "{level}: nothing failed to {step}");
        }
    }
}

/// What the launcher must have said that it cannot do.
fn steps_of(level: IsolationLevel) -> Vec<&'static str> {
    let everywhere = [
        "reset a resource limit",
        "receive the start clock",
        "map the start clock",
        "receive a set-up message",
        "no landlock",
        "set no_new_privs",
        "make the landlock rules",
        "create an epoll",
        "watch the control socket",
        "map stacks",
        "install the system call filter",
        "answer the supervisor",
    ];
    let with_namespaces = [
        "unshare namespaces",
        "fork the outer init",
        "hide the network namespace's tables",
        "set the cages' host name",
        "make private `/`",
        "mount a tmpfs on",
        "confine the bind of",
        "make read-only",
        "pivot to",
        "detach the host below",
        "drop the capability bounding set",
        "clear the secure bits",
        "drop ambient capabilities",
        "drop inheritable capabilities",
    ];
    let own: &[_] = match level {
        IsolationLevel::Full => &["drop supplementary groups", "create the device"],
        IsolationLevel::Rootless => &["make a user namespace", "mount a proc on", "bind `/dev/null`"],
        IsolationLevel::Process => return [&everywhere[..], &["scope the launcher's signals"]].concat(),
    };
    [&everywhere[..], &with_namespaces, own].concat()
}

#[test]
#[ignore = "looks for what is left, so it needs a process to itself; `every_step_of_a_launchers_start…` starts it"]
fn the_start_of_a_launcher() {
    let which: usize = std::env::var(WHICH).map_or(0, |which| which.parse().expect("a number"));
    let launcher = configuration(1).launcher;
    let config = HostConfig { slots: SLOTS, launcher, ..HostConfig::at(LEVELS[which]) };
    let hiding = step!(CHMOD[Argument::Is(1, 0)]);
    let mut calls: Vec<u32> = Steps(vec![launcher_call(0), hiding]).calls().collect();
    calls.sort_unstable();
    calls.dedup();
    let saboteur = Saboteur::of_launcher(&calls);
    let look = || (mounts(), descendants(std::process::id()).len());
    let before = look();
    // There are dozens of tables; the first stands for all.
    let once = (LEVELS[which] != IsolationLevel::Process).then_some(hiding);
    for (step, errno) in once.into_iter().chain((0..CALLS_MAX).map(launcher_call)).zip(ERRNOS.iter().cycle())
    {
        let failed = saboteur.failed();
        saboteur.arm(*errno, &Steps(vec![step]));
        let started = Host::start(&saboteur.spoil(config.clone()));
        if saboteur.failed() == failed {
            started.expect("nothing failed");
            return;
        }
        let Err(error) = started else { panic!("{step:?}: a host started that lacks something") };
        let HostError::Launcher { message } = &error else { panic!("{step:?}: {error}") };
        let cause = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
        let is_said = message.ends_with(&cause) || message == "the kernel offers no landlock";
        assert!(is_said, "{step:?}: {cause}: {message}");
        println!("said: {message}");
        wait_until("nothing is left of a host that did not start", || look() == before);
    }
    panic!("a start is no more than {CALLS_MAX} calls");
}

#[test]
fn every_step_of_a_supervisors_start_fails_under_its_own_name() {
    if host().is_none() {
        return;
    }
    let own = std::env::current_exe().expect("a test has a path");
    let locking = step!(FLOCK);
    let calls: Vec<u32> = Steps(vec![supervisor_call(0), locking]).calls().collect();
    let saboteur = Saboteur::of(&own, &calls);
    let mut said = Vec::new();
    // How many locks are taken depends on what other hosts there are.
    let steps = [locking].into_iter().chain((0..CALLS_MAX).map(supervisor_call));
    for (step, errno) in steps.zip(ERRNOS.iter().cycle()) {
        let failed = saboteur.failed();
        saboteur.arm(*errno, &Steps(vec![step]));
        let (passed, printed) = alone(&saboteur.wrapper(), "a_host_starts", 0);
        assert!(passed, "{printed}");
        let answer =
            printed.lines().find_map(|line| line.strip_prefix("said: ")).expect("it says how it went");
        if saboteur.failed() == failed {
            assert_eq!(answer, "started");
            break;
        }
        let cause = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
        assert!(answer.ends_with(&cause), "{cause}: {answer}");
        println!("{answer}");
        said.push(answer.to_owned());
    }
    for step in [
        "lock `/run/rollcage",
        "create a tmpfs",
        "create the start clock",
        "create an eventfd",
        "create a slot's socket",
        "create the control socket",
        "introduce a slot to the launcher",
    ] {
        assert!(said.iter().any(|said| said.contains(step)), "nothing failed to {step}: {said:#?}");
    }
}

#[test]
#[ignore = "`every_step_of_a_supervisors_start…` and others start it, with faults in its way"]
fn a_host_starts() {
    match Host::start(&configuration(SLOTS)) {
        Ok(_host) => println!("said: started"),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            println!("said: {error}: {source}");
        }
    }
}

#[test]
fn a_launcher_that_cannot_be_executed_is_named() {
    if own_host(1).is_none() {
        return;
    }
    let launcher = LauncherProgram::Path("/nonexistent/launcher".into());
    let error = Host::start(&HostConfig { launcher, ..configuration(1) }).expect_err("there is no launcher");
    assert_eq!(error.to_string(), "cannot start the launcher process");
}

#[test]
fn an_interrupted_wait_for_the_launcher_is_waited_again() {
    if host().is_none() {
        return;
    }
    let own = std::env::current_exe().expect("a test has a path");
    let steps = Steps(vec![step!(SENDMSG; 2), step!(POLL | PPOLL)]);
    let saboteur = Saboteur::of(&own, &steps.calls().collect::<Vec<_>>());
    saboteur.arm(Errno::INTR, &steps);
    let (passed, printed) = alone(&saboteur.wrapper(), "a_host_starts", 0);
    assert!(passed && saboteur.failed() == 1, "{printed}");
    assert!(printed.contains("said: started"), "{printed}");
}
