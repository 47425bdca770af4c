//! The course of a soak: legs of work, what happens in and between them, and a look at everything after each.

use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rollcage_sandbox::{Cancel, Host, HostConfig};
use rollcage_types::{ExecRequest, Mechanism, MechanismState};

use crate::bench::machine;
use crate::bench::soak::accident::{Accident, strike_launcher, strike_supervisor, wait_until};
use crate::bench::soak::benign::compile;
use crate::bench::soak::blocks::Blocks;
use crate::bench::soak::inventory::{Inventory, Leak};
use crate::bench::soak::leg::{Choice, Journal, Leg};
use crate::bench::soak::report::SoakReport;
use crate::bench::soak::statistics::{Throughput, drift_percent, minutes};
use crate::bench::soak::work::{Class, Setting, describe};
use crate::failure::Failure;
use crate::host;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct SoakPlan {
    pub(crate) host: HostConfig,
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
    /// As it was typed, for the report.
    pub(crate) command: String,
}

/// A look at everything after each: what leaks is found to the minute.
const LEG_MAX: Duration = Duration::from_secs(60);
/// Enough for every accident to have its turn in a short soak.
const LEGS_MIN: u32 = 4;
const _: () = assert!(LEGS_MIN as usize == ACCIDENTS.len(), "each has its turn");
/// What is being taken down is gone in milliseconds; what is there after this long has leaked.
const SETTLE_WAIT: Duration = Duration::from_secs(10);

/// What happens in a leg, in turns.
const ACCIDENTS: [Accident; 4] = [Accident::None, Accident::Supervisor, Accident::None, Accident::Launcher];

/// Runs a soak. Ended early, by `cancel`, it reports what it has seen.
pub(crate) fn soak(plan: &SoakPlan, cancel: &Cancel) -> Result<SoakReport, Failure> {
    // Before our own runs make it busy.
    let machine = machine::describe();
    let mut course = Course {
        plan,
        journal: Journal::new(plan.seed),
        blocks: Blocks::new(),
        inventories: Vec::new(),
        leaks: Vec::new(),
        throughput: Vec::new(),
        hosts: 0,
        launchers: 0,
        supervisors: 0,
    };
    course.look_back();
    let bare = course.look();
    let first = course.start_host()?;
    let setting = setting(&first, cancel);
    let choice = Choice::of(|program| is_here(program) && (program != "gcc" || setting.compiled.is_some()));
    let slots = first.slots();
    let ran = course.run(first, &setting, &choice, cancel);
    // Whatever a supervisor that was killed left is removed by the next start of a host, which has been.
    course.settle(&bare);
    let Course { journal, inventories, leaks, throughput, hosts, launchers, supervisors, .. } = course;
    let beats = journal.beats.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (canary_runs, canary_wrong) =
        (journal.tally.runs_of(Class::Canary), journal.tally.wrong_of(Class::Canary));
    let inconsistencies_total = journal.tally.wrong();
    let (runs, inconsistencies) = journal.tally.into_parts();
    Ok(SoakReport {
        bench: "soak",
        machine,
        command: plan.command.clone(),
        level: plan.host.isolation.as_str(),
        accounting: if setting.is_counted { "kernel" } else { "sampled" },
        seed: plan.seed,
        slots,
        asked_s: plan.duration.as_secs(),
        ran_s: ran.as_secs(),
        stopped_early: cancel.is_cancelled(),
        left_out: choice.left_out(),
        hosts_started: hosts,
        launchers_killed: launchers,
        supervisors_killed: supervisors,
        runs,
        inconsistencies_total,
        inconsistencies,
        leaks,
        inventories,
        canary_runs,
        canary_wrong,
        canary_minutes: minutes(&beats),
        drift_percent: drift_percent(&beats),
        benign: throughput,
    })
}

struct Course<'a> {
    plan: &'a SoakPlan,
    journal: Journal,
    blocks: Blocks,
    inventories: Vec<Inventory>,
    leaks: Vec<Leak>,
    throughput: Vec<Throughput>,
    hosts: u64,
    launchers: u64,
    supervisors: u64,
}

impl Course<'_> {
    /// Everything between the start of the first host and the end of the last. Returns how long the legs took.
    fn run(&mut self, first: Host, setting: &Setting, choice: &Choice, cancel: &Cancel) -> Duration {
        let mut host = first;
        Leg::new(&host, setting, choice, &self.journal, cancel).one_of_each().run(|_| {});
        freshen(&host, cancel);
        let standing = self.look_steadily();
        let began = Instant::now();
        let bar = bar(self.plan.duration);
        let leg_length = LEG_MAX.min(self.plan.duration / LEGS_MIN);
        for (turn, accident) in ACCIDENTS.into_iter().cycle().enumerate() {
            let left = self.plan.duration.saturating_sub(began.elapsed());
            // Every accident has its turn, even if that takes a little longer.
            if cancel.is_cancelled() || (left.is_zero() && turn >= ACCIDENTS.len()) {
                break;
            }
            let broken = self.leg(&host, accident, leg_length.min(left), (setting, choice, cancel), &|| {
                bar.set_position(began.elapsed().as_secs());
            });
            bar.set_message(self.so_far());
            if broken || accident != Accident::None {
                drop(host);
                host = match self.start_host() {
                    Ok(host) => host,
                    Err(failure) => {
                        self.journal.tally.note("host_restart", "a host", format!("{:#}", failure.error));
                        bar.finish_and_clear();
                        return began.elapsed();
                    }
                };
            }
            freshen(&host, cancel);
            self.settle(&standing);
        }
        bar.finish_and_clear();
        began.elapsed()
    }

    /// One leg. Returns whether its host is of no use any more.
    fn leg(
        &mut self,
        host: &Host,
        accident: Accident,
        length: Duration,
        (setting, choice, cancel): (&Setting, &Choice, &Cancel),
        tick: &dyn Fn(),
    ) -> bool {
        let began = Instant::now();
        let benign_before = self.journal.tally.runs_of(Class::Benign);
        let (journal, blocks, config) = (&self.journal, &mut self.blocks, &self.plan.host);
        let leg = Leg::new(host, setting, choice, journal, cancel);
        let mut broken = false;
        leg.run(|leg| {
            if accident == Accident::Supervisor {
                leg.await_time(began + length / 2, tick);
                journal.take_note("supervisor_killed", strike_supervisor(config, blocks));
            }
            leg.await_time(began + length, tick);
            broken = leg.is_over();
            if accident == Accident::Launcher && !broken {
                journal.take_note("launcher_killed", strike_launcher(leg));
            }
        });
        self.supervisors += u64::from(accident == Accident::Supervisor);
        self.launchers += u64::from(accident == Accident::Launcher && !broken);
        let benign = self.journal.tally.runs_of(Class::Benign) - benign_before;
        let at = began.duration_since(self.journal.began);
        self.throughput.push(Throughput::new(at, benign, began.elapsed()));
        broken
    }

    fn start_host(&mut self) -> Result<Host, Failure> {
        self.hosts += 1;
        host::start(&self.plan.host)
    }

    /// Before anything of ours exists, what is there is taken note of once, so that reading it costs nothing later.
    fn look_back(&mut self) {
        let _first = Inventory::take(&mut self.blocks, 0);
    }

    fn look(&mut self) -> Inventory {
        let inventory = self.take();
        self.inventories.push(inventory.clone());
        inventory
    }

    fn take(&mut self) -> Inventory {
        let at_s = self.journal.began.elapsed().as_secs();
        Inventory::take(&mut self.blocks, at_s)
    }

    /// What there is once nothing is on its way out: twice the same in a row.
    fn look_steadily(&mut self) -> Inventory {
        let mut last = self.take();
        let _steady = wait_until_mut(SETTLE_WAIT, || {
            let now = self.take();
            let is_same = now.leaks_since(&last).is_empty() && last.leaks_since(&now).is_empty();
            last = now;
            is_same
        });
        self.inventories.push(last.clone());
        last
    }

    /// Waits until there is no more of anything than at `before`. What there is more of after that has leaked.
    fn settle(&mut self, before: &Inventory) {
        let mut last = self.take();
        let _settled = wait_until_mut(SETTLE_WAIT, || {
            last = self.take();
            last.leaks_since(before).is_empty()
        });
        self.leaks.extend(last.leaks_since(before));
        self.inventories.push(last);
    }

    fn so_far(&self) -> String {
        let runs: u64 = [Class::Benign, Class::Hostile, Class::Faulty, Class::Canary]
            .map(|class| self.journal.tally.runs_of(class))
            .iter()
            .sum();
        format!("{runs} runs, {} inconsistencies, {} leaks", self.journal.tally.wrong(), self.leaks.len())
    }
}

/// [`wait_until`] for something that changes what it looks at.
fn wait_until_mut(longest: Duration, holds: impl FnMut() -> bool) -> bool {
    let holds = std::cell::RefCell::new(holds);
    wait_until(longest, || (holds.borrow_mut())())
}

/// Has every slot see its last cage off and have its next one made. Slots take turns.
fn freshen(host: &Host, cancel: &Cancel) {
    for _ in 0..host.slots() {
        // A host that cannot run this is found out by the next leg.
        let _ran = host.run(&ExecRequest::new(["true"]), cancel);
    }
}

fn setting(host: &Host, cancel: &Cancel) -> Setting {
    let enforcement = host.enforcement();
    let is_counted = *enforcement.state(Mechanism::MemoryLimit) == MechanismState::Full;
    let compiled = if is_here("gcc") {
        let ran = host.run(&compile(), cancel);
        match &ran {
            Ok(outcome) if outcome.termination.is_success() => outcome.files.first().cloned(),
            Ok(_) | Err(_) => {
                tracing::warn!(outcome = describe(&ran), "the compiler does not work in a cage");
                None
            }
        }
    } else {
        None
    };
    Setting { level: enforcement.level, is_counted, compiled }
}

/// Where a cage looks for programs.
fn is_here(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|directory| Path::new(directory).join(program).exists())
}

/// A bar of seconds, for people only: nothing is drawn where standard error is no terminal.
fn bar(duration: Duration) -> ProgressBar {
    let bar = ProgressBar::new(duration.as_secs());
    let template = "{bar:30} {pos}/{len} s {msg}";
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_error| ProgressStyle::default_bar()),
    );
    bar
}
