//! Starting an engine, waiting for it, and turning what it can fail at into failures of a command.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rollcage_api::ExitCode;
use rollcage_engine::drive::{
    Engine, EngineConfig, EvalError, PlanError, RolloutError, Stop, ToolchainError,
};
use rollcage_engine::store::{Store, StoreError, StoreReader, SyncMode};

use crate::failure::Failure;
use crate::hook_options::hook_failed;
use crate::host;
use crate::interrupt::Signals;
use crate::output;

/// Where runs are kept unless said otherwise, below the current directory.
const STORE: &str = ".rollcage/runs.db";

/// Ended cages are gone in milliseconds. What blocks for longer reads a standard input nobody closes.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// The option that names the store.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StoreOption {
    /// The file runs are kept in [default: .rollcage/runs.db]
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
}

/// The option that says what a stored turn outlives.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct SyncOption {
    /// What a stored turn outlives: `process`, any end of this program; `full`, the loss of power too, at the price of a
    /// wait for the disk with each commit
    #[arg(long, value_enum, default_value_t = Outlives::Process)]
    sync: Outlives,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Outlives {
    Process,
    Full,
}

impl From<SyncOption> for SyncMode {
    fn from(option: SyncOption) -> Self {
        match option.sync {
            Outlives::Process => Self::Process,
            Outlives::Full => Self::Full,
        }
    }
}

impl StoreOption {
    /// Opens the store for writing, and creates it where there is none.
    pub(crate) fn open(&self, sync: SyncOption) -> Result<Arc<Store>, Failure> {
        let path = self.path();
        if self.store.is_none()
            && let Some(directory) = path.parent()
        {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot create `{}`", directory.display()))
                .map_err(|error| Failure::new(ExitCode::Store, error))?;
        }
        Store::open(&path, sync.into()).map(Arc::new).map_err(store_failed)
    }

    /// Opens the store for reading.
    pub(crate) fn open_read_only(&self) -> Result<StoreReader, Failure> {
        Store::open_read_only(&self.path()).map_err(store_failed)
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.store.clone().unwrap_or_else(|| PathBuf::from(STORE))
    }
}

/// What a first signal does to work in progress. A second one always drops it.
pub(crate) enum OnSignal {
    /// Drops it, which ends its cages.
    Drop,
    /// Asks it to stop in its own way.
    Ask(Stop),
}

/// Starts an engine, does `work` with it and returns what it returns. The engine's cages are gone afterwards.
pub(crate) fn with_engine<T, F: Future<Output = Result<T, Failure>>>(
    config: EngineConfig,
    on_signal: OnSignal,
    work: impl FnOnce(Engine) -> F,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(Failure::infrastructure)?;
    let result = runtime.block_on(async {
        // In place before the host starts, so that no signal finds the default action and a cage alive.
        let mut signals =
            Signals::listen().context("cannot listen for signals").map_err(Failure::infrastructure)?;
        let engine = Engine::start(config).map_err(host::cannot_start)?;
        let mut work = std::pin::pin!(work(engine));
        tokio::select! {
            result = &mut work => return result,
            _ = signals.next() => match on_signal {
                OnSignal::Drop => return Err(interrupted()),
                OnSignal::Ask(stop) => {
                    output::note("stopping; a second signal ends it at once");
                    stop.request();
                }
            },
        }
        tokio::select! {
            result = &mut work => result,
            _ = signals.next() => Err(interrupted()),
        }
    });
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    result
}

/// Ended by a signal.
fn interrupted() -> Failure {
    Failure::new(ExitCode::Cancelled, anyhow::anyhow!("interrupted by a signal"))
}

/// The store could not do what was asked.
pub(crate) fn store_failed(error: StoreError) -> Failure {
    // What helps here is another command; what helps elsewhere too is the store's to say.
    let (code, own) = match &error {
        StoreError::Missing { .. } => (
            ExitCode::BadInput,
            Some(
                "runs are kept where `rollcage eval` and `rollcage rollout` ran; name the file with --store",
            ),
        ),
        StoreError::Unknown { .. } => (ExitCode::BadInput, Some("`rollcage show` lists the runs of a store")),
        StoreError::AmbiguousRun { .. } => (ExitCode::BadInput, None),
        StoreError::Locked { .. } => {
            (ExitCode::Store, Some("wait for the other process, or name another file with --store"))
        }
        StoreError::DiskFull { .. }
        | StoreError::NotAStore { .. }
        | StoreError::NewerSchema { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Database { .. }
        | StoreError::NoWriteAheadLog { .. }
        | StoreError::Io { .. }
        | StoreError::Unstorable { .. }
        | StoreError::Unreadable { .. }
        | StoreError::Conflict { .. }
        | StoreError::TurnGap { .. }
        | StoreError::TrajectoryFinished { .. }
        | StoreError::WriterGone { .. } => (ExitCode::Store, None),
    };
    let hint = own.or(error.hint());
    hint.into_iter().fold(Failure::new(code, error), Failure::with_hint)
}

/// A language cannot be used on this host.
pub(crate) fn toolchain_failed(error: ToolchainError) -> Failure {
    let code = if error.is_missing() { ExitCode::MissingToolchain } else { ExitCode::Infrastructure };
    let hint = error.hint();
    hint.into_iter().fold(Failure::new(code, error), Failure::with_hint)
}

/// The files a run names do not make a run.
pub(crate) fn plan_failed(error: PlanError) -> Failure {
    let hint = error.hint();
    hint.into_iter().fold(Failure::bad_input(error), Failure::with_hint)
}

/// Samples could not be judged, or their judgements not kept.
pub(crate) fn eval_failed(error: EvalError) -> Failure {
    match error {
        EvalError::Language(unknown) => {
            let hint = unknown.hint();
            Failure::bad_input(unknown).with_hint(hint)
        }
        EvalError::Toolchain(error) => toolchain_failed(error),
        EvalError::Hook(error) => hook_failed(*error),
        EvalError::Store(error) => store_failed(error),
    }
}

/// A run could not be made, or could not go on.
pub(crate) fn rollout_failed(error: RolloutError) -> Failure {
    match error {
        RolloutError::Toolchain(error) => toolchain_failed(error),
        RolloutError::Hook(error) => hook_failed(*error),
        RolloutError::Store(error) => store_failed(error),
        error @ RolloutError::ConfigChanged { .. } => Failure::bad_input(error).with_hint(
            "a run is resumed with the file and the tasks it was made from; start a new run instead",
        ),
        error @ (RolloutError::NotARollout { .. } | RolloutError::StoredTurn { .. }) => {
            Failure::bad_input(error)
        }
    }
}

/// Reads a file that was named on the command line.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .with_context(|| format!("cannot read `{}`", path.display()))
        .map_err(Failure::bad_input)
}
