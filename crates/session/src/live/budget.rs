//! What sessions may take together: memory, descriptors, and how many may be live. Farms on several hosts may share one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rollcage_sandbox::Host;
use rollcage_types::ByteSize;

use crate::live::farm::FarmState;
use crate::live::room::Room;

/// Descriptors left for all else.
const DESCRIPTORS_BESIDE: u64 = 1500;
/// Descriptors that no live session takes more of; how many one really takes is known when it is there.
const DESCRIPTORS_EACH: u64 = 7;

/// What all sessions together may have, and what of it is taken.
#[derive(Debug)]
pub(super) struct Budget {
    memory: u64,
    live_max: u64,
    descriptors_max: u64,
    farms: Mutex<Vec<Weak<FarmState>>>,
    taken: Mutex<Taken>,
    pub(super) room: Room,
}

#[derive(Debug, Default)]
struct Taken {
    promised: u64,
    live: u64,
    descriptors: u64,
}

impl Taken {
    /// Promises `bytes` if they are left beside those that are promised and those `used` already.
    const fn promise(&mut self, bytes: u64, used: u64, total: u64) -> bool {
        let fits = used.saturating_add(self.promised).saturating_add(bytes) <= total;
        if fits {
            self.promised += bytes;
        }
        fits
    }
}

impl Budget {
    /// `None` of memory is three quarters of what `host` has; `None` of sessions is as many as there are descriptors for.
    pub(super) fn new(memory: Option<ByteSize>, live_max: Option<usize>, host: &Host) -> Arc<Self> {
        let nofile = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let descriptors_max = nofile.current.unwrap_or(u64::MAX).saturating_sub(DESCRIPTORS_BESIDE);
        Arc::new(Self {
            memory: memory.unwrap_or_else(|| usual_memory(host)).as_u64(),
            live_max: live_max.map_or(u64::MAX, |most| most as u64),
            descriptors_max: descriptors_max.max(DESCRIPTORS_EACH),
            farms: Mutex::default(),
            taken: Mutex::default(),
            room: Room::default(),
        })
    }

    /// What runs on the farm's host counts from now on.
    pub(super) fn join(&self, farm: &Arc<FarmState>) {
        let mut farms = self.farms.lock().unwrap_or_else(PoisonError::into_inner);
        farms.retain(|known| known.strong_count() > 0);
        farms.push(Arc::downgrade(farm));
    }

    /// Those that share it.
    pub(super) fn farms(&self) -> Vec<Arc<FarmState>> {
        let farms = self.farms.lock().unwrap_or_else(PoisonError::into_inner);
        farms.iter().filter_map(Weak::upgrade).collect()
    }

    /// Memory of everything that runs on their hosts, if groups count it.
    pub(super) fn memory_used(&self) -> ByteSize {
        ByteSize::bytes(memory_of(&self.farms()))
    }

    /// Whether less than this part of it is neither used nor promised.
    pub(super) fn is_short_of(&self, parts: u64) -> bool {
        let promised = self.taken().promised;
        self.memory_used().as_u64().saturating_add(promised) > self.memory - self.memory / parts
    }

    /// Sessions that are live.
    pub(super) fn live(&self) -> usize {
        usize::try_from(self.taken().live).unwrap_or(usize::MAX)
    }

    pub(super) const fn memory(&self) -> ByteSize {
        ByteSize::bytes(self.memory)
    }

    /// Keeps `bytes` free for as long as the promise is held, if they are.
    pub(super) fn promise(self: &Arc<Self>, bytes: u64) -> Option<Promise> {
        // Held longer than the lock: with the last of them a farm ends.
        let farms = self.farms();
        let mut taken = self.taken();
        // Read while nobody gives a promise back, or what has just been used would be neither used nor promised.
        let used = memory_of(&farms);
        taken.promise(bytes, used, self.memory).then(|| Promise { budget: Arc::clone(self), bytes })
    }

    /// A place for one more that is live, if there is one.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken();
        if taken.live >= self.live_max || taken.descriptors + DESCRIPTORS_EACH > self.descriptors_max {
            return None;
        }
        taken.live += 1;
        taken.descriptors += DESCRIPTORS_EACH;
        Some(Place { budget: Arc::clone(self), descriptors: DESCRIPTORS_EACH })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory kept free, until this is dropped.
#[derive(Debug)]
pub(super) struct Promise {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Promise {
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back what is beyond so much.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let beyond = self.bytes.saturating_sub(bytes);
        self.budget.taken().promised -= beyond;
        self.bytes -= beyond;
    }

    /// Both, as one.
    pub(super) fn and(mut self, mut other: Self) -> Self {
        self.bytes += std::mem::take(&mut other.bytes);
        self
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.budget.taken().promised -= self.bytes;
    }
}

/// The place of one that is live, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    budget: Arc<Budget>,
    descriptors: u64,
}

impl Place {
    /// Takes note of how many descriptors it really takes.
    pub(super) fn settle(&mut self, descriptors: u64) {
        let mut taken = self.budget.taken();
        taken.descriptors = taken.descriptors - self.descriptors + descriptors;
        self.descriptors = descriptors;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.budget.taken();
        taken.live -= 1;
        taken.descriptors -= self.descriptors;
    }
}

fn memory_of(farms: &[Arc<FarmState>]) -> u64 {
    let mut hosts: Vec<&Arc<Host>> = Vec::with_capacity(farms.len());
    for farm in farms {
        if !hosts.iter().any(|known| Arc::ptr_eq(known, &farm.host)) {
            hosts.push(&farm.host);
        }
    }
    let used = hosts.iter().filter_map(|host| host.memory()).map(ByteSize::as_u64);
    used.fold(0, u64::saturating_add)
}

fn usual_memory(host: &Host) -> ByteSize {
    let info = rustix::system::sysinfo();
    let total = info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)));
    let most = host.memory_limit().map_or(total, |limit| limit.as_u64().min(total));
    ByteSize::bytes(most / 4 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(memory: u64, live_max: u64, descriptors_max: u64) -> Arc<Budget> {
        let (farms, taken, room) = (Mutex::default(), Mutex::default(), Room::default());
        Arc::new(Budget { memory, live_max, descriptors_max, farms, taken, room })
    }

    #[test]
    fn what_is_promised_twice_is_there_twice() {
        let mut taken = Taken::default();
        assert!(taken.promise(40, 30, 100));
        assert!(!taken.promise(40, 30, 100));
        assert!(taken.promise(30, 30, 100));
        assert!(!taken.promise(1, 30, 100));
    }

    #[test]
    fn a_promise_is_given_back_once() {
        let budget = budget(100, 9, 99);
        let (first, second) = (budget.promise(40).unwrap(), budget.promise(30).unwrap());
        assert!(budget.promise(31).is_none());
        let both = first.and(second);
        assert_eq!(both.bytes(), 70);
        assert!(budget.promise(31).is_none());
        let mut both = both;
        both.shrink_to(69);
        both.shrink_to(80);
        assert!(budget.promise(31).is_some() && budget.promise(32).is_none());
        drop(both);
        assert!(budget.promise(100).is_some());
    }

    #[test]
    fn places_are_bounded_by_number_and_by_descriptors() {
        let few = budget(0, 1, 99);
        let one = few.place().unwrap();
        assert!(few.place().is_none());
        drop(one);
        assert!(few.place().is_some());

        let narrow = budget(0, 9, 2 * DESCRIPTORS_EACH - 1);
        let mut one = narrow.place().unwrap();
        assert!(narrow.place().is_none());
        one.settle(DESCRIPTORS_EACH - 1);
        assert!(narrow.place().is_some());
    }
}
