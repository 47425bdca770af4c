//! The handle through which runs are written.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rollcage_api::{
    FingerprintRecord, JudgementRecord, Record, RunRecord, RunStatus, TrajectoryRecord, TurnRecord,
    encode_record,
};
use tokio::sync::{mpsc, oneshot};

use super::error::StoreError;
use super::lock::WriterLock;
use super::open_files::OpenFiles;
use super::operations::{Write, apply};
use super::reader::StoreReader;
use super::schema;
use super::writer::{QUEUE_LENGTH, Request, Writer};

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// The end of the process, however sudden. A loss of power may take the last commits, never the file.
    #[default]
    Process,
    /// The loss of power too; every commit then waits for the disk.
    Full,
}

/// A store open for writing. Share it with `Arc`; dropping it waits until what was sent is written.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    files: OpenFiles,
    /// `None` only while the store is being dropped.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the store at `path`, creating it where there is none, and takes the lock that keeps other writers
    /// out. Blocks for as long as a few file operations take.
    ///
    /// A run still marked as running lost its process, or this lock would be held; it becomes interrupted.
    pub fn open(path: &Path, sync: SyncMode) -> Result<Self, StoreError> {
        let path = real_path(path)?;
        let lock = WriterLock::acquire(&path)?;
        let synchronous = match sync {
            SyncMode::Process => "normal",
            SyncMode::Full => "full",
        };
        let connection = schema::open_writer(&path, synchronous)?;
        apply(&connection, &path, &Write::InterruptRunning)?;
        let (requests, queue) = mpsc::channel(QUEUE_LENGTH);
        let files = OpenFiles::of(&path)?;
        let writer = Writer { connection, path: path.clone(), files: files.clone(), _lock: lock };
        let thread = std::thread::Builder::new()
            .name("rollcage-store".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|source| StoreError::Io { doing: "start the writer of", path: path.clone(), source })?;
        Ok(Self { path, files, requests: Some(requests), writer: Some(thread) })
    }

    /// Opens a store that another process may be writing to, for reading.
    pub fn open_read_only(path: &Path) -> Result<StoreReader, StoreError> {
        StoreReader::open(path)
    }

    /// A connection of its own for reading what is committed. Its calls block; in async code, move it to
    /// `tokio::task::spawn_blocking`.
    pub fn reader(&self) -> Result<StoreReader, StoreError> {
        // Another file by this name would be read as if it held what was written here.
        self.files.check()?;
        StoreReader::open(&self.path)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores what identifies an environment, and returns the id that runs and judgements refer to it by.
    pub async fn put_fingerprint(&self, fingerprint: &FingerprintRecord) -> Result<String, StoreError> {
        let text = encode(fingerprint, || "the fingerprint".to_owned())?;
        let id = blake3::hash(text.as_bytes()).to_hex().to_string();
        self.write(Write::PutFingerprint { id: id.clone(), text }).await?;
        Ok(id)
    }

    /// Stores a new run.
    pub async fn create_run(&self, run: &RunRecord) -> Result<(), StoreError> {
        let text = encode(run, || format!("run `{}`", run.id))?;
        let RunRecord { id, fingerprint_id, .. } = run;
        self.write(Write::CreateRun { id: id.clone(), fingerprint_id: fingerprint_id.clone(), text }).await
    }

    /// Ends a run: [`RunStatus::Finished`], or [`RunStatus::Interrupted`] when it can be resumed.
    pub async fn finish_run(&self, id: &str, status: RunStatus) -> Result<(), StoreError> {
        self.write(Write::SetRunStatus { id: id.to_owned(), status }).await
    }

    /// Marks a run as running again, before it is resumed.
    pub async fn reopen_run(&self, id: &str) -> Result<(), StoreError> {
        self.write(Write::SetRunStatus { id: id.to_owned(), status: RunStatus::Running }).await
    }

    /// Stores a trajectory before its first turn. Its run, task and sample are its key.
    pub async fn begin_trajectory(&self, trajectory: &TrajectoryRecord) -> Result<(), StoreError> {
        let text = encode(trajectory, || format!("trajectory `{}`", trajectory.id))?;
        let TrajectoryRecord { id, run_id, task_id, sample_index, .. } = trajectory;
        self.write(Write::BeginTrajectory {
            id: id.clone(),
            run_id: run_id.clone(),
            task_id: task_id.clone(),
            sample_index: *sample_index,
            text,
        })
        .await
    }

    /// Stores a finished turn. Its trajectory and index are its key; indices have no gaps.
    pub async fn append_turn(&self, turn: &TurnRecord) -> Result<(), StoreError> {
        let TurnRecord { trajectory_id, index, .. } = turn;
        let text = encode(turn, || format!("turn {index} of trajectory `{trajectory_id}`"))?;
        self.write(Write::AppendTurn { trajectory_id: trajectory_id.clone(), index: *index, text }).await
    }

    /// Stores how a trajectory ended. It gets no further turns.
    pub async fn finish_trajectory(&self, trajectory: &TrajectoryRecord) -> Result<(), StoreError> {
        let text = encode(trajectory, || format!("trajectory `{}`", trajectory.id))?;
        self.write(Write::FinishTrajectory { id: trajectory.id.clone(), text }).await
    }

    /// Stores a judgement. Its run, problem and sample are its key; it replaces only one that was retryable.
    pub async fn put_judgement(&self, judgement: &JudgementRecord) -> Result<(), StoreError> {
        let JudgementRecord { run_id, problem_id, sample_index, fingerprint_id, .. } = judgement;
        let text = encode(judgement, || format!("judgement of sample {sample_index} of `{problem_id}`"))?;
        self.write(Write::PutJudgement {
            run_id: run_id.clone(),
            problem_id: problem_id.clone(),
            sample_index: *sample_index,
            fingerprint_id: fingerprint_id.clone(),
            text,
        })
        .await
    }

    /// Waits for room in the queue, then for the commit. Dropping the future after that does not undo the write.
    async fn write(&self, write: Write) -> Result<(), StoreError> {
        let gone = || StoreError::WriterGone { path: self.path.clone() };
        let (done, acknowledged) = oneshot::channel();
        let requests = self.requests.as_ref().expect("a store has its queue until it is dropped");
        requests.send(Request { write, done }).await.map_err(|_closed| gone())?;
        acknowledged.await.map_err(|_dropped| gone())?
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing the queue ends the thread; the lock must not outlive this value, or reopening would fail.
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            let _panicked = writer.join();
        }
    }
}

fn encode<R: Record>(record: &R, what: impl Fn() -> String) -> Result<String, StoreError> {
    encode_record(record).map_err(|source| StoreError::Unstorable { what: what(), source })
}

/// The path with links resolved, so that two names of one store share one lock.
fn real_path(path: &Path) -> Result<PathBuf, StoreError> {
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    let failed = |source| StoreError::Io { doing: "create store", path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(directory.canonicalize().map_err(failed)?.join(name))
}
