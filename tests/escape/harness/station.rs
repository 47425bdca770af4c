//! A supervisor of one mode as its own process, seen from the test that starts it.
//!
//! The test executes itself as the user of the mode, and both speak in lines of JSON: a probe and a place one way,
//! what came of it the other. What a supervisor cannot judge of itself, the state of the host, is judged here.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::{Traces, Watch};
use super::modes::{Mode, Supervisor};
use super::probe::Probe;
use super::request::SLOWNESS;
use super::scene::{SECRET, Scene};

/// What a supervisor is told by its environment.
pub(super) const STATION: &str = "ROLLCAGE_ESCAPE_STATION";
/// Lines of the protocol start so; those of the test harness do not.
pub(super) const MARK: char = '@';

/// The test that becomes a supervisor.
const ENTRY: &str = "a_supervisor_under_attack";
/// Longer than any probe takes on a busy machine; a supervisor that says nothing is as good as dead.
const PATIENCE: Duration = Duration::from_secs(240);

/// How a supervisor is set up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Any mode of the station.
    pub(super) mode: String,
    pub(super) secret_path: String,
    pub(super) launcher: PathBuf,
    /// Where it keeps what it writes, if not where root does.
    pub(super) state_dir: Option<PathBuf>,
}

/// What it is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) probe: String,
    pub(super) mode: String,
}

/// What it answers: once when it has started, then to each order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Its cages run under these uids, as the host sees them.
    Ready { uids: Vec<u32> },
    /// It cannot be had on this machine.
    Refused(String),
    /// The cage held, and what shows it.
    Held(String),
    /// The cage did not.
    Breached(String),
}

/// Whether a cage held, and what shows it.
pub(super) type CageResult = Result<String, String>;

/// A running supervisor and the host as it was when it started. Ends with its standard input.
#[derive(Debug)]
pub(super) struct Station {
    process: Child,
    /// Closed, it is the sign to end.
    orders: Option<ChildStdin>,
    answers: Receiver<Answer>,
    traces: Traces,
    scene: Scene,
    is_answering: bool,
}

/// Why a mode has no supervisor.
#[derive(Debug)]
pub(super) enum StartError {
    /// This machine lacks something.
    Refused(String),
    /// It should have started.
    Failed(String),
}

impl Station {
    /// Starts the supervisor that `mode` shares with others. `number` tells apart those of this run.
    pub(super) fn start(mode: &Mode, number: u32) -> Result<Self, StartError> {
        let uid = mode.supervisor.uid(number);
        let scene = Scene::make(&format!("station-{number}"), uid);
        // A copy, because the way to a build directory need not be open to everybody, and what lies there may be built
        // anew meanwhile.
        let launcher = scene
            .program(Path::new(env!("CARGO_BIN_EXE_rollcage")), "launcher")
            .map_err(|error| StartError::Failed(format!("cannot copy the launcher: {error}")))?;
        let mut process = command(mode, &scene, &launcher)
            .and_then(|mut command| command.spawn())
            .map_err(|error| StartError::Failed(format!("cannot start a supervisor: {error}")))?;
        let orders = process.stdin.take();
        let stdout = process.stdout.take().expect("piped");
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Some(line) = line.strip_prefix(MARK) else { continue };
                let answer = serde_json::from_str(line).unwrap_or_else(|error| {
                    Answer::Breached(format!("the supervisor speaks nonsense: {error}"))
                });
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        match answers.recv_timeout(PATIENCE) {
            Ok(Answer::Ready { uids }) => {
                let traces = Traces::of(Watch::of(process.id(), uid, &uids), launcher);
                Ok(Self { process, orders, answers, traces, scene, is_answering: true })
            }
            Ok(Answer::Refused(why)) => {
                let _ended = process.wait();
                Err(StartError::Refused(why))
            }
            other => {
                let _killed = process.kill();
                let _ended = process.wait();
                Err(StartError::Failed(format!("the supervisor of {} did not start: {other:?}", mode.name)))
            }
        }
    }

    /// Runs a probe in a cage of `mode`, then looks at the host.
    pub(super) fn run(&mut self, probe: &Probe, mode: &Mode) -> CageResult {
        let order = Order { probe: probe.name.to_owned(), mode: mode.name.to_owned() };
        let order = serde_json::to_string(&order).expect("names are text");
        // One that is gone does not answer either, which is found next.
        let _sent = self.orders.as_mut().map(|orders| writeln!(orders, "{order}"));
        let held = match self.answers.recv_timeout(PATIENCE) {
            Ok(Answer::Held(detail)) => Ok(detail),
            Ok(Answer::Breached(why)) => Err(why),
            Ok(other @ (Answer::Ready { .. } | Answer::Refused(_))) => {
                Err(format!("the supervisor answered {other:?}"))
            }
            Err(error) => {
                self.is_answering = false;
                Err(format!("the supervisor gave no answer: {error}"))
            }
        }?;
        self.traces.check()?;
        if !self.scene.secret_is_untouched() {
            return Err("the host's secret file changed".to_owned());
        }
        Ok(held)
    }

    /// Whether it can be asked again.
    pub(super) fn is_alive(&mut self) -> bool {
        self.is_answering && self.process.try_wait().is_ok_and(|status| status.is_none())
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.orders = None;
        if self.is_answering {
            // The end of its output, after which it has removed what it made.
            let _end = self.answers.recv_timeout(PATIENCE);
        }
        // Killed, it takes its cages along, which is what the host promises.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// The command that starts this very program as the supervisor of `mode`.
fn command(mode: &Mode, scene: &Scene, launcher: &Path) -> io::Result<Command> {
    let own = std::env::current_exe()?;
    let own = match mode.supervisor {
        Supervisor::Root => own,
        Supervisor::User | Supervisor::ContainerUser => scene.program(&own, "supervisor")?,
    };
    let state_dir = match mode.supervisor {
        Supervisor::Root => None,
        Supervisor::User | Supervisor::ContainerUser => Some(scene.state_directory()),
    };
    let setup = Setup {
        mode: mode.name.to_owned(),
        secret_path: scene.secret_path(),
        launcher: launcher.to_owned(),
        state_dir,
    };
    let mut words: Vec<String> = match mode.supervisor {
        Supervisor::Root => Vec::new(),
        Supervisor::User => without_privilege(scene.owner()),
        Supervisor::ContainerUser => {
            let filter = ["/usr/bin/python3", "-c", include_str!("container.py")].map(str::to_owned);
            without_privilege(scene.owner()).into_iter().chain(filter).collect()
        }
    };
    words.push(own.to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned());
    words.extend(["--exact", ENTRY, "--ignored", "--nocapture", "--test-threads=1"].map(str::to_owned));
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        // For attacks that look into other processes.
        .env("ESCAPE_HOST_SECRET", SECRET)
        .envs(std::env::var_os(SLOWNESS).map(|factor| (SLOWNESS, factor)))
        .env(STATION, serde_json::to_string(&setup).map_err(io::Error::other)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(command)
}

/// setpriv(1), so that the supervisor has no privilege and can get none.
fn without_privilege(uid: u32) -> Vec<String> {
    let (user, group) = (format!("--reuid={uid}"), format!("--regid={uid}"));
    [
        "setpriv",
        &user,
        &group,
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--no-new-privs",
        "--",
    ]
    .map(str::to_owned)
    .to_vec()
}
