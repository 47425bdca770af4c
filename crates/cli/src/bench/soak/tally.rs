//! What came of all the work: counts by kind and end, and everything that was not as it should be.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::bench::soak::work::{Class, End, Kind, Order, Ran, describe, describe_request};

/// Told in full; one broken thing breaks every run after it, and the first of them say what it is.
const DETAILS_MAX: usize = 100;

/// Runs of one kind that ended in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    pub(crate) class: &'static str,
    pub(crate) kind: String,
    pub(crate) end: String,
    pub(crate) runs: u64,
    /// The longest of them, as its caller waited for it.
    pub(crate) longest_ms: u64,
}

/// Something that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Inconsistency {
    pub(crate) kind: String,
    /// With the seed of the soak, what was drawn.
    pub(crate) ticket: u64,
    pub(crate) request: String,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// All that is counted, shared by the threads of a soak.
#[derive(Debug, Default)]
pub(super) struct Tally {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<(Class, &'static str, String), (u64, Duration)>,
    inconsistencies: Vec<Inconsistency>,
    wrong: BTreeMap<Class, u64>,
}

impl Tally {
    /// Counts a run, and takes note if it is not what was expected.
    pub(super) fn record(&self, kind: &Kind, ticket: u64, order: &Order, (ran, took): (&Ran, Duration)) {
        let is_met = order.expected.is_met(ran);
        let mut inner = self.lock();
        inner.count(kind, End::of(ran).to_string(), took);
        if !is_met {
            inner.find(kind.class, || Inconsistency {
                kind: kind.name.to_owned(),
                ticket,
                request: describe_request(order),
                expected: order.expected.describe(),
                got: describe(ran),
            });
        }
    }

    /// Counts a run that was in flight when its launcher was killed and has no outcome for it.
    pub(super) fn record_stricken(&self, kind: &Kind) {
        self.lock().count(kind, "launcher killed".to_owned(), Duration::ZERO);
    }

    /// Takes note of something that is no run.
    pub(super) fn note(&self, what: &str, expected: &str, got: String) {
        self.lock().find(Class::Faulty, || Inconsistency {
            kind: what.to_owned(),
            ticket: 0,
            request: String::new(),
            expected: expected.to_owned(),
            got,
        });
    }

    /// How many runs of a class there were.
    pub(super) fn runs_of(&self, class: Class) -> u64 {
        self.lock().counts.iter().filter(|((of, ..), _)| *of == class).map(|(_, (runs, _))| runs).sum()
    }

    /// How many of them were not as they should be.
    pub(super) fn wrong_of(&self, class: Class) -> u64 {
        self.lock().wrong.get(&class).copied().unwrap_or(0)
    }

    /// Everything that was not as it should be.
    pub(super) fn wrong(&self) -> u64 {
        self.lock().wrong.values().sum()
    }

    pub(super) fn into_parts(self) -> (Vec<Count>, Vec<Inconsistency>) {
        let inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let count = |((class, kind, end), (runs, longest)): ((Class, &str, String), (u64, Duration))| Count {
            class: class.as_str(),
            kind: kind.to_owned(),
            end,
            runs,
            longest_ms: u64::try_from(longest.as_millis()).unwrap_or(u64::MAX),
        };
        (inner.counts.into_iter().map(count).collect(), inner.inconsistencies)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Nothing panics while the lock is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn count(&mut self, kind: &Kind, end: String, took: Duration) {
        let (runs, longest) = self.counts.entry((kind.class, kind.name, end)).or_default();
        *runs += 1;
        *longest = took.max(*longest);
    }

    fn find(&mut self, class: Class, what: impl FnOnce() -> Inconsistency) {
        *self.wrong.entry(class).or_default() += 1;
        if self.inconsistencies.len() < DETAILS_MAX {
            self.inconsistencies.push(what());
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcage_sandbox::SandboxError;

    use super::*;
    use crate::bench::soak::draw::Draw;
    use crate::bench::soak::faulty::FAULTY;
    use crate::bench::soak::work::Setting;

    #[test]
    fn only_what_was_expected_is_consistent() {
        let setting =
            Setting { level: rollcage_types::IsolationLevel::Full, is_counted: true, compiled: None };
        let kind = FAULTY.iter().find(|kind| kind.name == "no_program").unwrap();
        let order = kind.order(&mut Draw::of(0, 0), &setting);
        let tally = Tally::default();
        tally.record(kind, 1, &order, (&Err(SandboxError::NoProgram), Duration::from_millis(7)));
        tally.record(kind, 2, &order, (&Err(SandboxError::LauncherGone), Duration::ZERO));
        tally.record_stricken(kind);
        assert_eq!((tally.runs_of(Class::Faulty), tally.wrong_of(Class::Faulty), tally.wrong()), (3, 1, 1));
        let (counts, inconsistencies) = tally.into_parts();
        let ends: Vec<_> = counts.iter().map(|count| (count.end.as_str(), count.runs)).collect();
        assert_eq!(ends, [("launcher killed", 1), ("no outcome", 1), ("refused: no program", 1)]);
        assert_eq!(counts[2].longest_ms, 7);
        assert_eq!(inconsistencies.len(), 1);
        assert_eq!(inconsistencies[0].ticket, 2);
    }
}
