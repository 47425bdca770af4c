//! Why a run ended, from everything that was seen of it.

use std::time::Duration;

use rollcage_guest::protocol::Ended;
use rollcage_types::{LimitKind, Limits, Termination};

use crate::cgroup::{Account, Refusals};
use crate::error::SandboxError;

/// Why the supervisor ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    Limit(LimitKind),
    Cancelled,
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// The program's process ended by itself.
    Own(Ended),
    /// We ended it.
    Killed(Killed),
}

/// What is known when the tree is dead.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) ending: Ending,
    pub(crate) account: &'a Account,
    pub(crate) output: u64,
    pub(crate) limits: &'a Limits,
}

/// Names the one cause. Where several are true the most specific wins: a fork bomb that ran into the wall limit
/// exceeded its processes, and a tree that lost a member to the out-of-memory killer exceeded its memory. What the host
/// could not give is an error.
pub(crate) fn termination(evidence: &Evidence<'_>) -> Result<Termination, SandboxError> {
    let Evidence { ending, account, output, limits } = evidence;
    let exceeded = |limit| Ok(Termination::LimitExceeded(limit));
    // What it was unless something more specific is known.
    let plainly = match ending {
        Ending::Killed(Killed::Cancelled) => return Ok(Termination::Cancelled),
        Ending::Killed(Killed::Limit(limit)) => Termination::LimitExceeded(*limit),
        Ending::Own(ended) => decode(ended.status),
    };
    let succeeded = plainly.is_success();
    // Only the kernel's own count: a high peak proves nothing, because reclaimable cache is part of it.
    match account.oom_kills {
        Refusals::None => {}
        Refusals::ByOwnLimit => return exceeded(LimitKind::Memory),
        Refusals::FromAbove => return Err(SandboxError::HostExhausted { resource: "memory" }),
    }
    match account.forks_refused {
        Refusals::ByOwnLimit if !succeeded => return exceeded(LimitKind::Processes),
        Refusals::FromAbove if !succeeded => {
            return Err(SandboxError::HostExhausted { resource: "processes" });
        }
        Refusals::None | Refusals::ByOwnLimit | Refusals::FromAbove => {}
    }
    let Ending::Own(ended) = ending else { return Ok(plainly) };
    if *output > limits.output.as_u64() {
        return exceeded(LimitKind::Output);
    }
    // A program may send itself SIGXCPU; only the count of the tree's time says that it used it.
    if over_cpu(account.cpu, limits) {
        return exceeded(LimitKind::CpuTime);
    }
    // It ended before we came to end it. By its own clock, so that it does not matter how busy we were.
    if wall_time(ended) > limits.wall_time {
        return exceeded(LimitKind::WallTime);
    }
    if plainly == (Termination::Signaled { signal: libc::SIGXFSZ }) {
        return exceeded(LimitKind::FileSize);
    }
    if ended.disk_full && !succeeded {
        return exceeded(LimitKind::DiskSpace);
    }
    Ok(plainly)
}

/// From the program's exec to its end.
pub(crate) const fn wall_time(ended: &Ended) -> Duration {
    Duration::from_nanos(ended.at_ns.saturating_sub(ended.started_ns))
}

/// Whether the tree used more processor time than it may.
pub(crate) fn over_cpu(cpu: Duration, limits: &Limits) -> bool {
    cpu > limits.cpu_time
}

/// Decodes a wait(2) status.
pub(crate) fn decode(status: i32) -> Termination {
    if libc::WIFSIGNALED(status) {
        Termination::Signaled { signal: libc::WTERMSIG(status) }
    } else {
        let code = libc::WEXITSTATUS(status);
        Termination::Exited { code: u8::try_from(code).unwrap_or(u8::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use rollcage_types::ByteSize;

    use super::*;

    struct Case {
        killed: Option<Killed>,
        status: i32,
        wall: Duration,
        oom_kills: Refusals,
        forks_refused: Refusals,
        disk_full: bool,
        cpu: Duration,
        output: u64,
    }

    const CALM: Case = Case {
        killed: None,
        status: 0,
        wall: Duration::ZERO,
        oom_kills: Refusals::None,
        forks_refused: Refusals::None,
        disk_full: false,
        cpu: Duration::ZERO,
        output: 0,
    };

    fn terminate(case: &Case) -> Result<Termination, SandboxError> {
        let account = Account {
            cpu: case.cpu,
            oom_kills: case.oom_kills,
            forks_refused: case.forks_refused,
            memory: ByteSize::bytes(0),
            processes: 1,
        };
        let at_ns = u64::try_from(case.wall.as_nanos()).unwrap();
        let ended = Ended { status: case.status, at_ns, disk_full: case.disk_full, ..Ended::default() };
        let ending = case.killed.map_or(Ending::Own(ended), Ending::Killed);
        let limits = Limits::default();
        termination(&Evidence { ending, account: &account, output: case.output, limits: &limits })
    }

    fn check(case: &Case, expected: Termination) {
        assert_eq!(terminate(case).unwrap(), expected);
    }

    #[test]
    fn the_most_specific_cause_is_named() {
        let exited = |code| Termination::Exited { code };
        let exceeded = Termination::LimitExceeded;
        let own = Refusals::ByOwnLimit;
        let wall = Some(Killed::Limit(LimitKind::WallTime));
        check(&CALM, exited(0));
        check(&Case { status: 3 << 8, ..CALM }, exited(3));
        check(&Case { status: 11, ..CALM }, Termination::Signaled { signal: 11 });
        check(&Case { killed: wall, ..CALM }, exceeded(LimitKind::WallTime));
        check(&Case { killed: wall, forks_refused: own, ..CALM }, exceeded(LimitKind::Processes));
        check(
            &Case { killed: wall, oom_kills: own, forks_refused: own, ..CALM },
            exceeded(LimitKind::Memory),
        );
        check(&Case { killed: Some(Killed::Cancelled), oom_kills: own, ..CALM }, Termination::Cancelled);
        check(&Case { cpu: Duration::from_secs(11), ..CALM }, exceeded(LimitKind::CpuTime));
        check(&Case { wall: Duration::from_secs(21), ..CALM }, exceeded(LimitKind::WallTime));
        check(&Case { wall: Duration::from_secs(20), ..CALM }, exited(0));
        check(&Case { status: libc::SIGXFSZ, ..CALM }, exceeded(LimitKind::FileSize));
        check(&Case { status: libc::SIGXCPU, ..CALM }, Termination::Signaled { signal: libc::SIGXCPU });
        check(&Case { status: 1 << 8, disk_full: true, ..CALM }, exceeded(LimitKind::DiskSpace));
        check(&Case { output: u64::MAX, ..CALM }, exceeded(LimitKind::Output));
    }

    #[test]
    fn a_program_that_coped_is_not_blamed() {
        check(&Case { forks_refused: Refusals::ByOwnLimit, ..CALM }, Termination::Exited { code: 0 });
        check(&Case { forks_refused: Refusals::FromAbove, ..CALM }, Termination::Exited { code: 0 });
        check(&Case { disk_full: true, ..CALM }, Termination::Exited { code: 0 });
    }

    #[test]
    fn what_the_host_lacks_is_nobodys_verdict() {
        let above = Refusals::FromAbove;
        let lacks = |case: &Case| match terminate(case) {
            Err(SandboxError::HostExhausted { resource }) => resource,
            other => panic!("{other:?}"),
        };
        // Even if the program coped: a member of its tree was killed.
        assert_eq!(lacks(&Case { oom_kills: above, ..CALM }), "memory");
        assert_eq!(lacks(&Case { forks_refused: above, status: 1 << 8, ..CALM }), "processes");
        let cancelled = Case { killed: Some(Killed::Cancelled), oom_kills: above, ..CALM };
        check(&cancelled, Termination::Cancelled);
    }
}
