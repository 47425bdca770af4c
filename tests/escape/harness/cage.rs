//! Runs an attack in the cage, with whom it needs beside it, and judges whether the cage held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rollcage_judge::CHECKER_FILES;
use rollcage_sandbox::{Cancel, Host, SandboxError};
use rollcage_types::{ExecOutcome, ExecRequest, Termination};

use super::canary;
use super::conversation;
use super::copy;
use super::machine::Watch;
use super::modes::{Mode, Place};
use super::probe::{Companion, Exception, Expectation, Held, Probe, Risk};
use super::request::{PROGRAM, Target, attack, companion, run_of};
use super::scene::{HostCompanion, Scene};
use super::station::CageResult;

/// How the report of a cage begins that held only in part.
pub(super) const PARTIAL: &str = "in part: ";

/// The hosts of a supervisor.
#[derive(Debug)]
pub(super) struct Cages {
    /// Room for an attack, a neighbour and a bystander.
    pub(super) many: Arc<Host>,
    /// With one slot, the next run is in the same slot.
    pub(super) reused: Arc<Host>,
    pub(super) target: Target,
}

impl Cages {
    pub(super) fn run(&self, probe: &Probe, mode: &Mode) -> CageResult {
        let (outcome, bystander) = match probe.risk {
            // Whoever uses more than its share takes it from somebody.
            Risk::Exhaustion => self.beside_canary(probe, mode),
            Risk::Reading
            | Risk::Writing
            | Risk::Network
            | Risk::Privilege
            | Risk::Kernel
            | Risk::Interference
            | Risk::Supervisor => (self.attack(probe, mode), Ok(String::new())),
        };
        let (mut outcome, bystander) = (outcome?, bystander?);
        if mode.place == Place::Checker {
            // What we put there ourselves is not what the attack left; nothing is read back from a checker's cage.
            outcome.files.retain(|file| !CHECKER_FILES.contains(&file.path.as_str()));
        }
        let held = match (judge(probe, mode, &outcome), probe.exception(mode.name)) {
            (Err(passed), Some(Exception { expectation: Expectation::Partial, .. })) => {
                format!("{PARTIAL}{passed}")
            }
            (judged, _) => judged?,
        };
        if mode.place == Place::Compile {
            self.carry_over(outcome)?;
        }
        Ok(format!("{held}{bystander}"))
    }

    fn attack(&self, probe: &Probe, mode: &Mode) -> Result<ExecOutcome, String> {
        let request = |arguments: &[String]| attack(probe, mode.place, arguments, &self.target);
        match probe.companion {
            Companion::None => run_as(mode.place, &self.many, &request(&[])),
            Companion::Host(source) => {
                let mut companion = HostCompanion::start(&self.target.secret_path, source);
                let outcome = run_as(mode.place, &self.many, &request(&companion.arguments()))?;
                if !companion.is_alive() {
                    return Err("the process on the host ended".to_owned());
                }
                Ok(outcome)
            }
            Companion::Earlier(source) => {
                let earlier = run_as(mode.place, &self.reused, &companion(source, &self.target))?;
                if !earlier.termination.is_success() {
                    return Err(format!("the earlier run failed: {}", describe(&earlier)));
                }
                let printed = String::from_utf8_lossy(&earlier.stdout.head).into_owned();
                let words = printed.split_whitespace().skip(1).map(str::to_owned);
                let arguments: Vec<_> = std::iter::once("0".to_owned()).chain(words).collect();
                run_as(mode.place, &self.reused, &request(&arguments))
            }
            Companion::Neighbour(source) => {
                self.beside(mode.place, &companion(source, &self.target), &request)
            }
        }
    }

    fn beside(
        &self,
        place: Place,
        neighbour: &ExecRequest,
        request: &dyn Fn(&[String]) -> ExecRequest,
    ) -> Result<ExecOutcome, String> {
        let cancel = Cancel::new();
        let (outcome, neighbour) = thread::scope(|scope| {
            let running = scope.spawn(|| self.many.run(neighbour, &cancel));
            let outcome = match Watch::own().await_ready() {
                Some(process) => run_as(place, &self.many, &request(&[process.pid.to_string()])),
                None => Err("the neighbour never became ready".to_owned()),
            };
            cancel.cancel();
            (outcome, running.join().expect("a run does not panic"))
        });
        let neighbour = neighbour.map_err(|error| format!("the neighbour has no outcome: {error:?}"))?;
        let harmed = String::from_utf8_lossy(&neighbour.stdout.head).contains("HARMED");
        if harmed || neighbour.termination != Termination::Cancelled {
            return Err(format!("the neighbour was harmed: {}", describe(&neighbour)));
        }
        outcome
    }

    fn beside_canary(&self, probe: &Probe, mode: &Mode) -> (Result<ExecOutcome, String>, CageResult) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let singing = scope.spawn(|| canary::sing(&self.many, &is_over));
            let outcome = self.attack(probe, mode);
            is_over.store(true, Ordering::Relaxed);
            (outcome, singing.join().expect("the canary does not panic"))
        })
    }

    /// Takes what a compile step left to the run that follows it.
    fn carry_over(&self, compiled: ExecOutcome) -> Result<(), String> {
        match self.many.run(&run_of(compiled.files, &self.target), &Cancel::new()) {
            Ok(outcome) if outcome.termination.is_success() => Ok(()),
            // Said of the program, whose compile step made them so large.
            Err(SandboxError::FilesTooLarge { .. }) => Ok(()),
            Ok(outcome) => Err(format!("the run after compiling failed: {}", describe(&outcome))),
            Err(error) => Err(format!("the run after compiling has no outcome: {error:?}")),
        }
    }
}

/// Runs it in a cage, or at that as a copy of an interpreter.
fn run_as(place: Place, host: &Arc<Host>, request: &ExecRequest) -> Result<ExecOutcome, String> {
    match place {
        Place::Warm => copy::run(host, request),
        Place::Session | Place::Branch => conversation::run(place, host, request),
        Place::Cold | Place::Compile | Place::Checker | Place::Loopback | Place::Allowed => {
            run(host, request)
        }
    }
}

fn run(host: &Host, request: &ExecRequest) -> Result<ExecOutcome, String> {
    host.run(request, &Cancel::new()).map_err(|error| format!("no outcome: {error:?}"))
}

fn judge(probe: &Probe, mode: &Mode, outcome: &ExecOutcome) -> CageResult {
    let printed = String::from_utf8_lossy(&outcome.stdout.head);
    if let Some(detail) = printed.lines().find_map(|line| line.strip_prefix("BREACHED ")) {
        return Err(detail.to_owned());
    }
    if outcome.files.iter().any(|file| Scene::holds_secret(&file.content) && file.path.as_str() != PROGRAM) {
        return Err("the supervisor read the secret for it".to_owned());
    }
    let refusal = printed.lines().find_map(|line| line.strip_prefix("HELD "));
    let is_sampled = !mode.accounting.names_limits();
    let unexpected = || Err(format!("unexpected outcome: {}", describe(outcome)));
    match (probe.held, outcome.termination) {
        (Held::Outcome(look), _) => look(outcome).map_err(|why| format!("{why}; {}", describe(outcome))),
        (Held::Signal(expected), Termination::Signaled { signal }) if expected == signal => {
            Ok(format!("signal {signal}"))
        }
        (Held::Limit(expected), Termination::LimitExceeded(limit)) if expected == limit || is_sampled => {
            Ok(format!("limit {}", limit.as_str()))
        }
        // Where nothing counts a tree, whatever stopped it has stopped it; that it was in time the bystander shows.
        (Held::Limit(_), Termination::Signaled { signal }) if is_sampled => Ok(format!("signal {signal}")),
        (Held::Limit(_), Termination::Exited { code: 1.. }) if is_sampled => Ok("refused".to_owned()),
        // There, what the kernel refuses in other modes may be found too late to be refused.
        (Held::Refused, Termination::LimitExceeded(limit))
            if is_sampled && probe.risk == Risk::Exhaustion =>
        {
            Ok(format!("limit {}", limit.as_str()))
        }
        (Held::Refused, _) => refusal.map_or_else(unexpected, |detail| Ok(detail.to_owned())),
        (Held::Limit(_), _) if is_sampled => refusal.map_or_else(unexpected, |detail| Ok(detail.to_owned())),
        (Held::Signal(_) | Held::Limit(_), _) => unexpected(),
    }
}

/// Enough to see what happened, in one line.
pub(super) fn describe(outcome: &ExecOutcome) -> String {
    let short =
        |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(600)..]).into_owned();
    format!(
        "{:?}, stdout {:?}, stderr {:?}",
        outcome.termination,
        short(&outcome.stdout.head),
        short(&outcome.stderr.head)
    )
}
