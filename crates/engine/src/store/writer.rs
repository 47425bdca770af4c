//! The thread that owns the writing connection, and how it groups commits.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::error::StoreError;
use super::lock::WriterLock;
use super::open_files::OpenFiles;
use super::operations::{Write, apply};

/// Requests waiting for the writer. One full group may gather while another commits; more would only hold
/// records in memory that their senders can hold as well.
pub(super) const QUEUE_LENGTH: usize = GROUP_LENGTH_MAX;

/// Requests in one commit. A commit costs about as much as some dozens of turns, so beyond this a larger group
/// saves nothing and only delays its first request.
const GROUP_LENGTH_MAX: usize = 256;

/// How long a group may gather. Nothing ever waits for company: a group ends when the queue is empty, and this
/// bounds it when senders are as fast as the writer.
const GROUP_TIME_MAX: Duration = Duration::from_millis(5);

/// What became of one write.
pub(super) type WriteResult = Result<(), StoreError>;

/// One write and where its result goes.
pub(super) struct Request {
    /// What to write.
    pub(super) write: Write,
    /// Told once the write is durable. A sender that no longer listens does not undo its write.
    pub(super) done: oneshot::Sender<WriteResult>,
}

/// The state of the writer thread. It holds the lock, so the lock outlives the connection by declaration order.
pub(super) struct Writer {
    /// The only connection that writes.
    pub(super) connection: Connection,
    /// The file, for errors.
    pub(super) path: PathBuf,
    /// Those the connection writes to.
    pub(super) files: OpenFiles,
    /// Keeps other processes out.
    pub(super) _lock: WriterLock,
}

impl Writer {
    /// Serves requests until every sender is gone and the queue is empty.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let group = gather(first, &mut requests);
            self.commit(group);
        }
    }

    /// Commits a group in one transaction, then acknowledges it.
    ///
    /// A failure of the database undoes the whole group, so its requests are then tried one by one: each learns
    /// its own fate, and a large record that no longer fits does not take small ones with it.
    fn commit(&mut self, group: Vec<Request>) {
        match self.write_all(&group) {
            Ok(results) => acknowledge(group, results),
            Err(error) if group.len() == 1 => acknowledge(group, vec![Err(error)]),
            Err(_lost) => {
                for request in group {
                    let result = self.write_all(std::slice::from_ref(&request));
                    let results = result.unwrap_or_else(|error| vec![Err(error)]);
                    acknowledge(vec![request], results);
                }
            }
        }
    }

    /// The result of each request, all committed; or the error that undid them all, or leaves them where nobody will
    /// find them.
    fn write_all(&mut self, group: &[Request]) -> Result<Vec<WriteResult>, StoreError> {
        let failed = |source| StoreError::from_database(&self.path, source);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let mut results = Vec::with_capacity(group.len());
        for request in group {
            // A refused request has changed nothing, so the others commit without it.
            match apply(&transaction, &self.path, &request.write) {
                Err(error) if error.loses_transaction() => return Err(error),
                result => results.push(result),
            }
        }
        transaction.commit().map_err(failed)?;
        // A file that was removed takes the commit along, however well it went.
        self.files.check()?;
        Ok(results)
    }
}

fn gather(first: Request, requests: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let started = Instant::now();
    let mut group = vec![first];
    while group.len() < GROUP_LENGTH_MAX && started.elapsed() < GROUP_TIME_MAX {
        match requests.try_recv() {
            Ok(request) => group.push(request),
            Err(mpsc::error::TryRecvError::Empty | mpsc::error::TryRecvError::Disconnected) => break,
        }
    }
    group
}

fn acknowledge(group: Vec<Request>, results: Vec<WriteResult>) {
    for (request, result) in group.into_iter().zip(results) {
        let _cancelled = request.done.send(result);
    }
}
