//! What is looked after between cells: sessions that nobody uses, and such as take what no cell of theirs is there to take.
//!
//! A session is idle when its agent says so, which a hostile cell can say in its stead and go on. So nothing rests on it: whoever
//! takes memory while idle, when there is little left, or more processor time than all its cells may, is ended.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rollcage_types::format_duration;

use crate::live::agent::Tasks;
use crate::live::farm::FarmState;
use crate::live::inner::Stand;
use crate::live::session::Shared;

/// Between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// A session is put aside at the latest a quarter of its time late.
const LOOKS_IN_IDLE: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Sessions whose processor time is looked at in one look.
const TIMES_AT_ONCE: usize = 64;
/// Who grows is looked for as soon as less than this part of the budget is neither used nor promised.
const PRESSED: u64 = 8;
/// For putting idle sessions aside, so that others are looked at too.
const ASIDE_TIME: Duration = Duration::from_millis(100);
/// How much longer than a look the pause after it is, however many sessions there are.
const REST: u32 = 20;
/// Growth that an idle interpreter has no reason for, and an idle runtime or server has none for.
const GROWTH_MAX: u64 = 4 << 20;
const GROWTH_MAX_OF_RUNTIMES: u64 = 64 << 20;

/// Looks after the sessions of a farm until it is gone.
pub(super) fn watch(farm: &Weak<FarmState>, idle: Option<Duration>) {
    let idle_pause = idle.map(|idle| (idle / LOOKS_IN_IDLE).max(PAUSE_MIN));
    let calm = idle_pause.map_or(PAUSE_MAX, |pause| pause.min(PAUSE_MAX));
    let (mut last_idle, mut growth, mut times) = (Instant::now(), Growth::default(), Times::default());
    let mut pause = calm;
    loop {
        std::thread::sleep(pause);
        let Some(farm) = farm.upgrade() else { return };
        if let (Some(idle), Some(pause)) = (idle, idle_pause)
            && last_idle.elapsed() >= pause
            && farm.put_idle_aside(idle, ASIDE_TIME)
        {
            last_idle = Instant::now();
        }
        let began = Instant::now();
        let is_pressed = growth.look(&farm);
        times.look(&farm);
        pause = if is_pressed { (began.elapsed() * REST).max(PAUSE_MIN) } else { calm };
    }
}

/// How much memory idle sessions had, while there is little left.
#[derive(Debug, Default)]
struct Growth {
    /// By session: when it was last used, and what it had.
    seen: HashMap<u64, (u64, u64)>,
}

impl Growth {
    /// Whether there is little left.
    fn look(&mut self, farm: &FarmState) -> bool {
        if !farm.budget.is_short_of(PRESSED) {
            self.seen.clear();
            return false;
        }
        let before = std::mem::take(&mut self.seen);
        for shared in farm.order.oldest_first() {
            let Some((use_of, now)) = memory_of_idle(&shared) else { continue };
            let most = match shared.agent.tasks {
                Tasks::One => GROWTH_MAX,
                Tasks::Threads | Tasks::Server => GROWTH_MAX_OF_RUNTIMES,
            };
            match before.get(&shared.id) {
                Some((last, then)) if *last == use_of && now > then + most => {
                    end_since(&shared, use_of, "it took memory while none of its cells ran");
                }
                // From the first look on, or it would take a little each time.
                Some((last, then)) if *last == use_of => {
                    self.seen.insert(shared.id, (use_of, *then));
                }
                Some(_) | None => {
                    self.seen.insert(shared.id, (use_of, now));
                }
            }
        }
        true
    }
}

/// Its last use, and what it has: if it is idle, and no memory is kept free for what it left running.
fn memory_of_idle(shared: &Shared) -> Option<(u64, u64)> {
    let inner = shared.lock_if_idle()?;
    match &inner.stand {
        Stand::Live(live) if live.promise.is_none() => {
            Some((shared.place.load(Ordering::Relaxed), live.cage.memory().ok()?.as_u64()))
        }
        Stand::Live(_) | Stand::Evicted(_) | Stand::Poisoned(_) | Stand::Closed => None,
    }
}

/// Whose processor time is looked at next.
#[derive(Debug, Default)]
struct Times {
    next: u64,
}

impl Times {
    fn look(&mut self, farm: &FarmState) {
        let some: Vec<Arc<Shared>> = farm.order.after(self.next).take(TIMES_AT_ONCE).collect();
        self.next = match some.last() {
            Some(last) if some.len() == TIMES_AT_ONCE => last.place.load(Ordering::Relaxed) + 1,
            // From the beginning again.
            Some(_) | None => 0,
        };
        for shared in some {
            end_if_overdue(&shared);
        }
    }
}

fn end_if_overdue(shared: &Shared) {
    let (Some(mut inner), limit) = (shared.lock_if_idle(), shared.spec.total_time) else { return };
    let Stand::Live(live) = &inner.stand else { return };
    if live.cage.cpu_time_since().is_ok_and(|since| inner.used + since > limit) {
        let limit = format_duration(limit);
        let reason = format!("what its cells left running used up its {limit} of time");
        inner.leave(&shared.farm, Stand::Poisoned(reason));
    }
}

/// Ends it, unless it was used again since it was looked at.
fn end_since(shared: &Shared, use_of: u64, reason: &str) {
    if let Some(mut inner) = shared.lock_if_idle()
        && matches!(inner.stand, Stand::Live(_))
        && shared.place.load(Ordering::Relaxed) == use_of
    {
        inner.leave(&shared.farm, Stand::Poisoned(reason.to_owned()));
    }
}
