//! What a replay costs, and how a turn's limits make room for it.

use std::time::Duration;

use rollcage_types::Limits;

use crate::error::SessionError;

/// The measured cost of replaying a session's cells, the interpreter's start included.
///
/// It is what the last kept turn used altogether, because the next replay does just that again. The cage
/// measures it; nothing the cells say enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayCost {
    /// Processor time.
    pub cpu_time: Duration,
    /// Time on the clock.
    pub wall_time: Duration,
}

/// A replay gets this many times its measured cost, because a busy host doubles times easily. What is left over
/// falls to the new cell: a limit that is too wide costs a little time, one that is too tight is a false verdict.
const MARGIN_FACTOR: u32 = 2;

/// Room for cost that is too small to have been measured well.
const MARGIN: Duration = Duration::from_millis(500);

/// A replay that takes longer than so many limits is refused. Beyond it a session costs more than it is worth,
/// and its new cell could hide in the margin.
const LIMITS_MAX: u32 = 10;

impl ReplayCost {
    /// `limits` with room for the replay and for processes that wait while it goes on.
    pub(crate) fn added_to(self, limits: &Limits, processes_waiting: u32) -> Result<Limits, SessionError> {
        let room = |cost: Duration, limit: Duration| {
            if cost > limit * LIMITS_MAX {
                return Err(SessionError::ReplayTooLong { factor: LIMITS_MAX });
            }
            Ok((cost * MARGIN_FACTOR + MARGIN).min(limit * LIMITS_MAX))
        };
        let wall_room = room(self.wall_time, limits.wall_time)?;
        Ok(Limits {
            cpu_time: limits.cpu_time + room(self.cpu_time, limits.cpu_time)?,
            wall_time: limits.wall_time + wall_room,
            // A replay is silent, so that all of it looks idle.
            idle_time: limits.idle_time.map(|limit| limit + wall_room),
            processes: limits.processes.saturating_add(processes_waiting),
            ..limits.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cost_ms: u64, limit_ms: u64, expected_ms: Option<u64>) {
        let limit = Duration::from_millis(limit_ms);
        let limits =
            Limits { cpu_time: limit, wall_time: limit, idle_time: Some(limit), ..Limits::default() };
        let cost = Duration::from_millis(cost_ms);
        let widened = ReplayCost { cpu_time: cost, wall_time: cost }.added_to(&limits, 3).ok();
        let expected = expected_ms.map(Duration::from_millis);
        assert_eq!(widened.as_ref().map(|limits| limits.cpu_time), expected, "{cost_ms} {limit_ms}");
        assert_eq!(widened.as_ref().map(|limits| limits.wall_time), expected);
        assert_eq!(widened.as_ref().and_then(|limits| limits.idle_time), expected);
        assert!(widened.is_none_or(|widened| widened.processes == limits.processes + 3));
    }

    #[test]
    fn the_replay_is_not_charged_to_the_cell() {
        check(0, 10_000, Some(10_500));
        check(3_000, 10_000, Some(16_500));
        check(90_000, 10_000, Some(110_000));
        check(100_000, 10_000, Some(110_000));
        check(100_001, 10_000, None);
    }
}
