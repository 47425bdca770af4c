//! Why a run ended, from everything that was seen of it.

use std::time::Duration;

use rollcage_guest::protocol::Ended;
use rollcage_types::{LimitKind, Limits, Termination};

use crate::cgroup::Account;

/// Why the supervisor ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    Limit(LimitKind),
    Cancelled,
}

/// What is known when the tree is dead.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) killed: Option<Killed>,
    /// `None` if the stub was killed before it could say.
    pub(crate) ended: Option<Ended>,
    pub(crate) account: &'a Account,
    pub(crate) output: u64,
    pub(crate) limits: &'a Limits,
}

/// Names the one cause. Where several are true the most specific wins: a fork bomb that ran into the wall limit
/// exceeded its processes, and a tree that lost a member to the out-of-memory killer exceeded its memory.
pub(crate) fn termination(evidence: &Evidence<'_>) -> Termination {
    let Evidence { killed, ended, account, output, limits } = evidence;
    if *killed == Some(Killed::Cancelled) {
        return Termination::Cancelled;
    }
    let exceeded = Termination::LimitExceeded;
    // Only the kernel's own count: a high peak proves nothing, because reclaimable cache is part of it.
    if account.oom_kills > 0 {
        return exceeded(LimitKind::Memory);
    }
    let own = ended.map(|ended| own_end(ended.status));
    let succeeded = killed.is_none() && own.is_some_and(Termination::is_success);
    if account.forks_refused > 0 && !succeeded {
        return exceeded(LimitKind::Processes);
    }
    if let Some(Killed::Limit(limit)) = killed {
        return exceeded(*limit);
    }
    if *output > limits.output.as_u64() {
        return exceeded(LimitKind::Output);
    }
    // A program may send itself SIGXCPU; only the count of the tree's time says that it used it.
    if over_cpu(account.cpu, limits) {
        return exceeded(LimitKind::CpuTime);
    }
    if own == Some(Termination::Signaled { signal: libc::SIGXFSZ }) {
        return exceeded(LimitKind::FileSize);
    }
    if ended.is_some_and(|ended| ended.disk_full) && !succeeded {
        return exceeded(LimitKind::DiskSpace);
    }
    // A stub that ends without a word and without our doing was killed from outside.
    own.unwrap_or(Termination::Signaled { signal: libc::SIGKILL })
}

/// Whether the tree used more processor time than it may.
pub(crate) fn over_cpu(cpu: Duration, limits: &Limits) -> bool {
    cpu > limits.cpu_time
}

/// Decodes a wait(2) status.
fn own_end(status: i32) -> Termination {
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
        status: Option<i32>,
        oom_kills: u64,
        forks_refused: u64,
        disk_full: bool,
        cpu: Duration,
        output: u64,
    }

    const CALM: Case = Case {
        killed: None,
        status: Some(0),
        oom_kills: 0,
        forks_refused: 0,
        disk_full: false,
        cpu: Duration::ZERO,
        output: 0,
    };

    fn check(case: &Case, expected: Termination) {
        let account = Account {
            cpu: case.cpu,
            oom_kills: case.oom_kills,
            forks_refused: case.forks_refused,
            memory: ByteSize::bytes(0),
            processes: 1,
        };
        let ended = case.status.map(|status| Ended { status, disk_full: case.disk_full, ..Ended::default() });
        let limits = Limits::default();
        let evidence =
            Evidence { killed: case.killed, ended, account: &account, output: case.output, limits: &limits };
        assert_eq!(termination(&evidence), expected);
    }

    #[test]
    fn the_most_specific_cause_is_named() {
        let exited = |code| Termination::Exited { code };
        let exceeded = Termination::LimitExceeded;
        let wall = Some(Killed::Limit(LimitKind::WallTime));
        check(&CALM, exited(0));
        check(&Case { status: Some(3 << 8), ..CALM }, exited(3));
        check(&Case { status: Some(11), ..CALM }, Termination::Signaled { signal: 11 });
        check(&Case { killed: wall, status: None, ..CALM }, exceeded(LimitKind::WallTime));
        check(&Case { killed: wall, status: None, forks_refused: 9, ..CALM }, exceeded(LimitKind::Processes));
        check(&Case { killed: wall, oom_kills: 1, forks_refused: 9, ..CALM }, exceeded(LimitKind::Memory));
        check(&Case { killed: Some(Killed::Cancelled), oom_kills: 1, ..CALM }, Termination::Cancelled);
        check(&Case { cpu: Duration::from_secs(11), ..CALM }, exceeded(LimitKind::CpuTime));
        check(&Case { status: Some(libc::SIGXFSZ), ..CALM }, exceeded(LimitKind::FileSize));
        check(&Case { status: Some(libc::SIGXCPU), ..CALM }, Termination::Signaled { signal: libc::SIGXCPU });
        check(&Case { status: Some(1 << 8), disk_full: true, ..CALM }, exceeded(LimitKind::DiskSpace));
        check(&Case { output: u64::MAX, ..CALM }, exceeded(LimitKind::Output));
        check(&Case { status: None, ..CALM }, Termination::Signaled { signal: 9 });
    }

    #[test]
    fn a_program_that_coped_is_not_blamed() {
        check(&Case { forks_refused: 3, ..CALM }, Termination::Exited { code: 0 });
        check(&Case { disk_full: true, ..CALM }, Termination::Exited { code: 0 });
    }
}
