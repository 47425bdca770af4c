//! Runs an attack in the cage.

use std::thread;

use rollcage_sandbox::{Cancel, Host, HostConfig, HostError, LauncherProgram};
use rollcage_types::{Collect, ExecOutcome, ExecRequest, FileEntry, RelativePath, Termination};

use super::machine::Traces;
use super::probe::{Companion, Held, Probe, Workspace};
use super::scene::{HostCompanion, PRELUDE, Scene};

/// Whether a cage held, and what shows it.
pub(super) type CageResult = Result<String, String>;

/// A host of ours and what to look for after each of its runs.
#[derive(Debug)]
pub(super) struct Cages {
    host: Host,
    traces: Traces,
}

impl Cages {
    pub(super) fn start(slots: usize) -> Result<Self, HostError> {
        let launcher = LauncherProgram::Path(env!("CARGO_BIN_EXE_rollcage").into());
        let host = Host::start(&HostConfig { slots, launcher, ..HostConfig::default() })?;
        let outcome = host.run(&ExecRequest::new(["id", "-u"]), &Cancel::new()).expect("the cage runs `id`");
        let uid =
            String::from_utf8_lossy(&outcome.stdout.head).trim().parse().expect("`id -u` prints a number");
        Ok(Self { traces: Traces::of(uid), host })
    }

    pub(super) fn run(&self, scene: &Scene, probe: &Probe) -> CageResult {
        let attack = |arguments: &[String]| {
            let request = request(scene, probe, arguments);
            self.host.run(&request, &Cancel::new()).map_err(|error| format!("no outcome: {error:?}"))
        };
        let outcome = match probe.companion {
            Companion::None => attack(&[])?,
            Companion::Host(source) => {
                let mut companion = HostCompanion::start(scene, source);
                let outcome = attack(&companion.arguments())?;
                if !companion.is_alive() {
                    return Err("the process on the host ended".to_owned());
                }
                outcome
            }
            Companion::Earlier(source) => {
                let earlier = self.host.run(&python(source, &[], scene), &Cancel::new());
                let earlier = earlier.map_err(|error| format!("no outcome: {error:?}"))?;
                if !earlier.termination.is_success() {
                    return Err(format!("the earlier run failed: {}", describe(&earlier)));
                }
                let printed = String::from_utf8_lossy(&earlier.stdout.head).into_owned();
                let words = printed.split_whitespace().skip(1).map(str::to_owned);
                attack(&std::iter::once("0".to_owned()).chain(words).collect::<Vec<_>>())?
            }
            Companion::Neighbour(source) => self.beside(&python(source, &[], scene), &attack)?,
        };
        let held = judge(probe, &outcome)?;
        self.traces.check()?;
        if !scene.secret_is_untouched() {
            return Err("the host's secret file changed".to_owned());
        }
        Ok(held)
    }

    fn beside(
        &self,
        neighbour: &ExecRequest,
        attack: &dyn Fn(&[String]) -> Result<ExecOutcome, String>,
    ) -> Result<ExecOutcome, String> {
        let cancel = Cancel::new();
        let (outcome, neighbour) = thread::scope(|scope| {
            let running = scope.spawn(|| self.host.run(neighbour, &cancel));
            let outcome = attack(&[self.traces.await_ready().to_string()]);
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
}

fn python(source: &str, arguments: &[String], scene: &Scene) -> ExecRequest {
    let path = RelativePath::new("attack.py").expect("a plain name");
    let mut request = ExecRequest::new(["python3", "attack.py"]);
    request.argv.extend_from_slice(arguments);
    request.env_vars.push(("ESCAPE_SECRET_PATH".to_owned(), scene.secret_path()));
    request.files.push(FileEntry::new(path, format!("{PRELUDE}{source}").into_bytes()));
    request
}

fn request(scene: &Scene, probe: &Probe, arguments: &[String]) -> ExecRequest {
    let mut request = python(probe.attack, arguments, scene);
    (probe.limits)(&mut request.limits);
    request.collect = match probe.workspace {
        Workspace::Left => Collect::Nothing,
        Workspace::Collected => Collect::Everything,
    };
    request
}

fn judge(probe: &Probe, outcome: &ExecOutcome) -> CageResult {
    let printed = String::from_utf8_lossy(&outcome.stdout.head);
    if let Some(detail) = printed.lines().find_map(|line| line.strip_prefix("BREACHED ")) {
        return Err(detail.to_owned());
    }
    if outcome
        .files
        .iter()
        .any(|file| Scene::holds_secret(&file.content) && file.path.as_str() != "attack.py")
    {
        return Err("the supervisor read the secret for it".to_owned());
    }
    let unexpected = || Err(format!("unexpected outcome: {}", describe(outcome)));
    match probe.held {
        Held::Refused => match printed.lines().find_map(|line| line.strip_prefix("HELD ")) {
            Some(detail) => Ok(detail.to_owned()),
            None => unexpected(),
        },
        Held::Signal(signal) if outcome.termination == (Termination::Signaled { signal }) => {
            Ok(format!("signal {signal}"))
        }
        Held::Limit(limit) if outcome.termination == Termination::LimitExceeded(limit) => {
            Ok(format!("limit {}", limit.as_str()))
        }
        Held::Signal(_) | Held::Limit(_) => unexpected(),
        Held::Outcome(look) => look(outcome).map_err(|why| format!("{why}; {}", describe(outcome))),
    }
}

/// Enough to see what happened, in one line.
fn describe(outcome: &ExecOutcome) -> String {
    let short =
        |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(600)..]).into_owned();
    format!(
        "{:?}, stdout {:?}, stderr {:?}",
        outcome.termination,
        short(&outcome.stdout.head),
        short(&outcome.stderr.head)
    )
}
