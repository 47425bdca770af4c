//! A stretch of a soak: as many threads as the host has slots, all of them busy.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rollcage_sandbox::{Cancel, Host, SandboxError};

use crate::bench::soak::benign::{BENIGN, CANARY};
use crate::bench::soak::draw::Draw;
use crate::bench::soak::faulty::FAULTY;
use crate::bench::soak::hostile::HOSTILE;
use crate::bench::soak::statistics::Beat;
use crate::bench::soak::tally::Tally;
use crate::bench::soak::work::{Class, Kind, Order, Ran, Setting};

/// Of a hundred pieces of work, how many are hostile, and how many faulty. Hostile ones take far longer than others, so
/// that even these few are always about.
const HOSTILE_PERCENT: u64 = 5;
const FAULTY_PERCENT: u64 = 5;
/// How often those who wait look whether they still should.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// The work there is to choose from on this machine.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    benign: Vec<Kind>,
    hostile: Vec<Kind>,
    faulty: Vec<Kind>,
}

impl Choice {
    /// All that needs only programs that `is_here`.
    pub(super) fn of(is_here: impl Fn(&str) -> bool) -> Self {
        let those = |kinds: &[Kind]| {
            let can_run = |kind: &&Kind| kind.needs.iter().all(|program| is_here(program));
            kinds.iter().filter(can_run).copied().collect()
        };
        Self { benign: those(BENIGN), hostile: those(HOSTILE), faulty: those(FAULTY) }
    }

    /// What this machine lacks a program for.
    pub(super) fn left_out(&self) -> Vec<String> {
        let all = BENIGN.iter().chain(HOSTILE).chain(FAULTY);
        let is_missing = |kind: &&Kind| !self.all().any(|present| present.name == kind.name);
        all.filter(is_missing).map(|kind| format!("{} needs {}", kind.name, kind.needs.join(", "))).collect()
    }

    /// How many kinds there are. The first tickets are one of each.
    pub(super) fn len(&self) -> u64 {
        self.all().count() as u64
    }

    fn all(&self) -> impl Iterator<Item = &Kind> {
        self.hostile.iter().chain(&self.benign).chain(&self.faulty)
    }

    fn kind(&self, ticket: u64, draw: &mut Draw) -> Kind {
        let index = usize::try_from(ticket).unwrap_or(usize::MAX);
        if let Some(kind) = self.all().nth(index) {
            return *kind;
        }
        let kinds = match draw.below(100) {
            ..HOSTILE_PERCENT if !self.hostile.is_empty() => &self.hostile,
            HOSTILE_PERCENT..10 => &self.faulty,
            _ => &self.benign,
        };
        draw.pick(kinds)
    }
}

const _: () = assert!(HOSTILE_PERCENT + FAULTY_PERCENT == 10, "`Choice::kind` says so in a pattern");

/// What the legs of a soak share.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) seed: u64,
    pub(super) began: Instant,
    pub(super) tally: Tally,
    pub(super) beats: Mutex<Vec<Beat>>,
    tickets: AtomicU64,
}

impl Journal {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            began: Instant::now(),
            tally: Tally::default(),
            beats: Mutex::default(),
            tickets: AtomicU64::new(0),
        }
    }

    /// Takes note of an accident that did not go as it should.
    pub(super) fn take_note(&self, accident: &str, came: Result<(), String>) {
        if let Err(got) = came {
            self.tally.note(
                accident,
                "nothing untrue said of what was in flight, and nothing left of it",
                got,
            );
        }
    }
}

/// One stretch, on one host.
#[derive(Debug)]
pub(super) struct Leg<'a> {
    pub(super) host: &'a Host,
    pub(super) setting: &'a Setting,
    pub(super) choice: &'a Choice,
    pub(super) journal: &'a Journal,
    /// The caller's, which ends everything.
    pub(super) cancel: &'a Cancel,
    /// No work is begun with this ticket or a later one.
    tickets_end: u64,
    is_over: AtomicBool,
    /// The launcher has been or is about to be killed.
    is_stricken: AtomicBool,
    attacks: AtomicUsize,
}

impl<'a> Leg<'a> {
    pub(super) fn new(
        host: &'a Host,
        setting: &'a Setting,
        choice: &'a Choice,
        journal: &'a Journal,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            host,
            setting,
            choice,
            journal,
            cancel,
            tickets_end: u64::MAX,
            is_over: AtomicBool::new(false),
            is_stricken: AtomicBool::new(false),
            attacks: AtomicUsize::new(0),
        }
    }

    /// The same with one piece of work of each kind and no more.
    pub(super) fn one_of_each(self) -> Self {
        Self { tickets_end: self.choice.len(), ..self }
    }

    /// Works until `coordinate`, on the calling thread, returns.
    pub(super) fn run(&self, coordinate: impl FnOnce(&Self)) {
        thread::scope(|scope| {
            // One slot is the canary's.
            let workers: Vec<_> =
                (1..self.host.slots().max(2)).map(|_| scope.spawn(|| self.work())).collect();
            scope.spawn(|| self.sing());
            if self.tickets_end == u64::MAX {
                coordinate(self);
            } else {
                for worker in workers {
                    worker.join().expect("a worker does not panic");
                }
            }
            self.is_over.store(true, Ordering::SeqCst);
        });
    }

    /// Waits until `until`, or until there is no use in waiting.
    pub(super) fn await_time(&self, until: Instant, tick: &dyn Fn()) {
        while Instant::now() < until && !self.is_over() {
            thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
            tick();
        }
    }

    /// Says that from now on runs may fail: their launcher is about to be killed.
    pub(super) fn strike(&self) {
        self.is_stricken.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst) || self.cancel.is_cancelled()
    }

    fn work(&self) {
        while !self.is_over() {
            let ticket = self.journal.tickets.fetch_add(1, Ordering::Relaxed);
            if ticket >= self.tickets_end {
                self.journal.tickets.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            let mut draw = Draw::of(self.journal.seed, ticket);
            let kind = self.choice.kind(ticket, &mut draw);
            let order = kind.order(&mut draw, self.setting);
            let is_attack = kind.class == Class::Hostile;
            if is_attack {
                self.attacks.fetch_add(1, Ordering::SeqCst);
            }
            let began = Instant::now();
            let ran = self.execute(&order);
            let took = began.elapsed();
            if is_attack {
                self.attacks.fetch_sub(1, Ordering::SeqCst);
            }
            self.judge(&kind, ticket, &order, (&ran, took));
        }
    }

    /// The canary sings as long as an attack is about.
    fn sing(&self) {
        let order = CANARY.order(&mut Draw::of(0, 0), self.setting);
        while !self.is_over() {
            if self.attacks.load(Ordering::SeqCst) == 0 {
                thread::sleep(TICK / 10);
                continue;
            }
            let began = Instant::now();
            let ran = self.execute(&order);
            let took = began.elapsed();
            if order.expected.is_met(&ran) {
                let beat = Beat { at: began.duration_since(self.journal.began), took };
                self.journal.beats.lock().unwrap_or_else(PoisonError::into_inner).push(beat);
            }
            self.judge(&CANARY, 0, &order, (&ran, took));
        }
    }

    fn execute(&self, order: &Order) -> Ran {
        let Some(after) = order.cancel_after else { return self.host.run(&order.request, self.cancel) };
        let cancel = Cancel::new();
        if after.is_zero() {
            cancel.cancel();
        }
        let (running, ended) = channel::<()>();
        let late = &cancel;
        thread::scope(|scope| {
            scope.spawn(move || {
                if ended.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
                    late.cancel();
                }
            });
            let ran = self.host.run(&order.request, &cancel);
            drop(running);
            ran
        })
    }

    fn judge(&self, kind: &Kind, ticket: u64, order: &Order, (ran, took): (&Ran, Duration)) {
        let Journal { tally, .. } = self.journal;
        // A run that was done before its launcher died may say so; one that was not has no outcome.
        let is_lost = ran.as_ref().is_err_and(SandboxError::is_retryable);
        if is_lost && self.is_stricken.load(Ordering::SeqCst) {
            tally.record_stricken(kind);
            self.is_over.store(true, Ordering::SeqCst);
        } else if order.expected.is_met(ran) || !self.cancel.is_cancelled() {
            tally.record(kind, ticket, order, (ran, took));
            if matches!(ran, Err(SandboxError::LauncherGone)) {
                // Nobody struck it. No run of this host will have an outcome any more.
                self.is_over.store(true, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tickets_are_one_of_each_kind() {
        let choice = Choice::of(|_| true);
        assert_eq!(choice.left_out(), [""; 0]);
        let kind = |ticket| choice.kind(ticket, &mut Draw::of(1, ticket)).name;
        let names: std::collections::BTreeSet<_> = (0..choice.len()).map(kind).collect();
        assert_eq!(names.len() as u64, choice.len());
    }

    #[test]
    fn most_work_is_benign() {
        let choice = Choice::of(|_| true);
        let mut counts = std::collections::BTreeMap::<_, u32>::new();
        for ticket in choice.len()..choice.len() + 10_000 {
            *counts.entry(choice.kind(ticket, &mut Draw::of(1, ticket)).class).or_default() += 1;
        }
        assert!((400..600).contains(&counts[&Class::Hostile]), "{counts:?}");
        assert!((400..600).contains(&counts[&Class::Faulty]), "{counts:?}");
    }

    #[test]
    fn what_is_missing_is_said_and_left_out() {
        let choice = Choice::of(|program| program != "gcc");
        assert_eq!(choice.left_out(), ["compiled needs gcc", "compiling needs gcc"]);
        assert_eq!(choice.len() + 2, Choice::of(|_| true).len());
    }
}
