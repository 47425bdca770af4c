//! Programs executed ahead: for interpreters that cannot be copied, because they have threads when they open their program.
//!
//! A spare is a cage like any other, whose program stops where it opens its file, says so, and waits until its standard input
//! has something to read, or its end. That is what tells it to go on: the supervisor gives it its input last of all, after
//! its files. One that has not said that it waits is given nothing: it might have run the empty file that it found.

use std::sync::Arc;
use std::time::Duration;

use rollcage_guest::SPARE_LIBRARY_PATH;
use rollcage_guest::fork_server::{
    EXECUTABLE_VARIABLE, LIBRARIES_VARIABLE, POINT_VARIABLE, SPARE_VARIABLE, STOP_VARIABLE, WAITING_FILE,
};
use rollcage_types::{
    ByteSize, CapturePlan, ExecOutcome, ExecRequest, FileEntry, Limits, NetworkAccess, RelativePath, Start,
};

use crate::cancel::Cancel;
use crate::error::SandboxError;
use crate::fork_server::{Mismatch, Stop};
use crate::host::Host;
use crate::plan::cpu_seconds;
use crate::seat::Seat;
use crate::slot::Slot;
use crate::supervise::{Place, Run, execute_ahead};

/// How a program is executed ahead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpareSpec {
    /// The command line.
    pub argv: Vec<String>,
    /// Its variables.
    pub env_vars: Vec<(String, String)>,
    /// The file at whose opening it waits, which is empty until then.
    pub program: RelativePath,
    /// Where it is stopped.
    pub stop: Stop,
    /// The executable that is stopped, as an absolute path, where the command line starts another.
    pub executable: Option<String>,
    /// Files whose presence it notices before it opens its program: requests with one of them it does not take.
    pub not_beside: Vec<RelativePath>,
    /// Limits. Those that it must have from the start are its requests' too.
    pub limits: Limits,
}

impl SpareSpec {
    /// Whether a run of `request` by such a spare is the run that it asks for.
    pub fn accepts(&self, request: &ExecRequest) -> Result<(), Mismatch> {
        if request.argv != self.argv {
            return Err(Mismatch::Arguments);
        }
        if request.env_vars != self.env_vars {
            return Err(Mismatch::Variables);
        }
        if request.network != NetworkAccess::None {
            return Err(Mismatch::Network);
        }
        if from_the_start(&request.limits) != from_the_start(&self.limits) {
            return Err(Mismatch::Limits);
        }
        let has = |path: &RelativePath| request.files.iter().any(|file| file.path == *path);
        if !has(&self.program) {
            return Err(Mismatch::NoProgram);
        }
        if self.not_beside.iter().any(has) {
            return Err(Mismatch::Beside);
        }
        Ok(())
    }
}

/// The limits that hold from the moment of execution: all but those that the supervisor watches.
fn from_the_start(limits: &Limits) -> Limits {
    let watched = Limits::default();
    Limits {
        wall_time: watched.wall_time,
        idle_time: watched.idle_time,
        output: watched.output,
        ..limits.clone()
    }
}

/// Why no program waits.
#[derive(Debug, thiserror::Error)]
pub enum SpareError {
    /// Every slot is in use.
    #[error("every slot is in use")]
    NoSlot,
    /// It ended without coming to its file.
    #[error("it ended without opening the program's file")]
    NeverOpened,
    /// It did not come to its file in time.
    #[error("it did not open the program's file within {milliseconds} ms")]
    Late {
        /// How long was waited.
        milliseconds: u128,
    },
    /// The caller wants it no more.
    #[error("it was cancelled")]
    Cancelled,
    /// There is no cage for it.
    #[error("it could not be executed")]
    Sandbox(#[source] SandboxError),
}

/// A program that was executed ahead. Dropping it ends its cage.
#[derive(Debug)]
pub struct Spare {
    spec: SpareSpec,
    /// `None` once it is used up.
    held: Option<Held>,
    host: Arc<Host>,
}

#[derive(Debug)]
struct Held {
    slot: Slot,
    seat: Seat,
    /// `None` once it has ended, or where it could not be begun.
    run: Option<Run>,
}

impl Spare {
    /// Executes a program ahead, in a free slot of a host that is [set up for it](crate::HostConfig::spares), and waits until
    /// it waits, but no longer than `time`.
    pub fn start(
        host: &Arc<Host>,
        spec: SpareSpec,
        time: Duration,
        cancel: &Cancel,
    ) -> Result<Self, SpareError> {
        let Some(mut slot) = host.take_slot() else { return Err(SpareError::NoSlot) };
        let launcher = host.launcher();
        if let Err(error) = slot.settle_with(launcher) {
            host.give_back(slot);
            return Err(SpareError::Sandbox(error));
        }
        let seat = launcher.take_seat(slot.fixture.index);
        let mut spare = Self { spec, held: Some(Held { slot, seat, run: None }), host: Arc::clone(host) };
        let request = spare.request();
        let setting = host.setting(launcher, Start::Spare);
        let Some(Held { slot, seat, run }) = &mut spare.held else { return Err(SpareError::NoSlot) };
        let executed = execute_ahead(&setting, &mut Place { slot, seat }, &request);
        let run = run.insert(executed.map_err(SpareError::Sandbox)?);
        match run.await_sign(seat, WAITING_FILE, time, || !cancel.is_cancelled()) {
            Ok(true) => Ok(spare),
            Ok(false) if cancel.is_cancelled() => Err(SpareError::Cancelled),
            Ok(false) => Err(SpareError::Late { milliseconds: time.as_millis() }),
            Err(SandboxError::StubLost) => Err(SpareError::NeverOpened),
            Err(error) => Err(SpareError::Sandbox(error)),
        }
    }

    /// Whether it still waits, as far as is known.
    pub fn is_waiting(&mut self) -> bool {
        self.held.as_mut().is_some_and(|held| matches!(Run::is_silent(&mut held.seat), Ok(true)))
    }

    /// How it was executed.
    pub const fn spec(&self) -> &SpareSpec {
        &self.spec
    }

    /// Its memory at this moment, if a group counts it.
    pub fn memory(&self) -> Option<ByteSize> {
        self.held.as_ref().and_then(|held| held.slot.accounts.memory_now())
    }

    /// Gives it a request that it [accepts](SpareSpec::accepts), and waits for its end.
    pub fn run(mut self, request: &ExecRequest, cancel: &Cancel) -> Result<ExecOutcome, SandboxError> {
        let launcher = self.host.launcher();
        let setting = self.host.setting(launcher, Start::Spare);
        let Some(Held { slot, seat, run }) = &mut self.held else { return Err(SandboxError::StubLost) };
        let run = run.take().ok_or(SandboxError::StubLost)?;
        run.go_on(&setting, &mut Place { slot, seat }, request, cancel)
            .inspect_err(|_| seat.abandon(setting.control))
    }

    /// What is known beforehand.
    fn request(&self) -> ExecRequest {
        let spec = &self.spec;
        let point = format!("{}/{}", self.host.workspace_path(), spec.program.as_str());
        let own = [
            (LIBRARIES_VARIABLE, Some(SPARE_LIBRARY_PATH.to_owned())),
            (SPARE_VARIABLE, Some(cpu_seconds(&spec.limits).to_string())),
            (POINT_VARIABLE, Some(point)),
            (STOP_VARIABLE, spec.stop.setting()),
            (EXECUTABLE_VARIABLE, spec.executable.clone()),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        ExecRequest {
            env_vars: spec.env_vars.iter().cloned().chain(own).collect(),
            files: vec![FileEntry::new(spec.program.clone(), Vec::new())],
            limits: spec.limits.clone(),
            capture: CapturePlan::default(),
            ..ExecRequest::new(spec.argv.clone())
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(Held { slot, seat, run }) = self.held.take() {
            let launcher = self.host.launcher();
            if run.is_some() {
                seat.abandon(launcher.control());
            }
            launcher.put_back(slot.fixture.index, seat);
            self.host.give_back(slot);
        }
    }
}
