//! The thread that starts interpreters, renews them and gives them up, off the path of any program.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rollcage_language::Language;
use rollcage_sandbox::{ForkServer, ForkServerError};
use rollcage_types::ByteSize;

use crate::counts::{ColdReason, count};
use crate::entry::Entry;
use crate::pool::{Bounds, Entries, Shared};

/// How often interpreters are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Taken for the memory of an interpreter where nothing counts it.
const MEMORY_UNCOUNTED: ByteSize = ByteSize::mib(64);
/// An interpreter may grow to twice what it was, and by this.
const GROWTH: ByteSize = ByteSize::mib(64);

/// What the keeper is told.
#[derive(Debug)]
pub(crate) enum Job {
    /// The interpreter with this number is to be started.
    Start(u64),
    /// This one is to end once its last run has.
    Retire(Arc<ForkServer>),
    /// So many spares of the kind with this number are to be executed ahead.
    MakeSpares(u64, usize),
    /// What the compilers of this language use is to be made.
    Prepare(Arc<Language>),
    /// The pool is gone.
    End,
}

/// Does jobs until told to end.
pub(crate) fn keep(shared: &Arc<Shared>, bounds: Bounds, jobs: &Receiver<Job>) {
    let mut looked_at = Instant::now();
    let mut preparing: Vec<JoinHandle<()>> = Vec::new();
    loop {
        match jobs.recv_timeout(LOOK_INTERVAL) {
            Ok(Job::Start(id)) => start(shared, bounds, id),
            // Ended here, unless a run still has it.
            Ok(Job::Retire(server)) => drop(server),
            Ok(Job::MakeSpares(id, count)) => make_spares(shared, bounds, id, count),
            Ok(Job::Prepare(language)) => {
                preparing.retain(|thread| !thread.is_finished());
                preparing.extend(prepare(shared, language));
            }
            Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if looked_at.elapsed() >= LOOK_INTERVAL {
            look(shared, bounds);
            looked_at = Instant::now();
        }
    }
    for thread in preparing {
        // Whatever it was about to say, nobody waits for it.
        let _ended = thread.join();
    }
}

/// On a thread of its own: it takes seconds, and interpreters are waited for.
fn prepare(shared: &Arc<Shared>, language: Arc<Language>) -> Option<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let work = move || {
        let Some(prepare) = &language.prepare else { return };
        let made = shared.prepared.make(&language, prepare, &shared.host, &shared.cancel);
        if let Err(error) = made
            && !shared.cancel.is_cancelled()
        {
            let error = chain(&error);
            tracing::warn!(language = language.name, error, "its compilers go without what is made for them");
        }
        shared.notify();
    };
    std::thread::Builder::new().name("rollcage-prepare".to_owned()).spawn(work).ok()
}

fn start(shared: &Shared, bounds: Bounds, id: u64) {
    let wanted =
        shared.lock().entry(id).map(|entry| (entry.spec.clone(), entry.identity(), entry.language.clone()));
    // It may have been forgotten meanwhile.
    let Some((spec, identity, language)) = wanted else { return };
    let argv = spec.argv.clone();
    let started = ForkServer::start(&shared.host, spec, &shared.cancel);
    let now = Instant::now();
    match started {
        Ok(server) => {
            count(&shared.counters.started);
            let memory = memory_of(&server);
            let server = Arc::new(server);
            let leaving = match shared.lock().entry(id) {
                Some(entry) if entry.identity() == identity => entry.started(server, memory),
                // Made from what is no more.
                Some(entry) => {
                    entry.not_started(ColdReason::Starting, true, now);
                    Some(server)
                }
                None => Some(server),
            };
            drop(leaving);
            keep_within(shared, bounds, Some(id));
        }
        Err(ForkServerError::Cancelled) => {}
        Err(error) => {
            let may_come = error.is_retryable();
            tracing::warn!(language, ?argv, error = %chain(&error), "no interpreter can be kept ready");
            let reason = if may_come { ColdReason::Failed } else { ColdReason::Refused };
            if let Some(entry) = shared.lock().entry(id) {
                entry.not_started(reason, may_come, now);
            }
        }
    }
    shared.notify();
}

fn make_spares(shared: &Shared, bounds: Bounds, id: u64, count: usize) {
    shared.spares.make(id, count, &shared.host, &shared.cancel);
    keep_within(shared, bounds, None);
    shared.notify();
}

/// Gives up those that nobody uses, and renews those that are old or have grown.
fn look(shared: &Shared, bounds: Bounds) {
    let now = Instant::now();
    let (mut retired, mut renewed) = (Vec::new(), Vec::new());
    {
        let mut entries = shared.lock();
        for entry in &mut entries.list {
            if now.saturating_duration_since(entry.last_use) >= bounds.idle {
                retired.extend(entry.retire());
            } else if entry.is_to_renew(bounds) {
                renewed.push(entry.id);
            }
        }
    }
    drop(retired);
    shared.spares.give_up_unused(now, bounds.idle);
    for id in renewed {
        count(&shared.counters.renewed);
        start(shared, bounds, id);
    }
}

/// Gives up interpreters until all that are left fit: those first that nobody has used for longest, and the one with this
/// number last.
fn keep_within(shared: &Shared, bounds: Bounds, newest: Option<u64>) {
    loop {
        let mut entries = shared.lock();
        if total(&entries).as_u64() + shared.spares.memory().as_u64() <= bounds.memory.as_u64() {
            return;
        }
        let ready = entries.list.iter_mut().filter(|entry| entry.ready().is_some());
        let oldest = ready.min_by_key(|entry| (Some(entry.id) == newest, entry.last_use));
        let oldest_use = oldest.as_ref().map(|entry| entry.last_use);
        if shared.spares.give_up_oldest(oldest_use) {
            continue;
        }
        let Some(entry) = oldest else { return };
        tracing::info!(language = entry.language, "interpreters take too much memory: one is given up");
        let retired = entry.retire();
        if Some(entry.id) == newest {
            entry.not_started(ColdReason::Memory, true, Instant::now());
        }
        drop(entries);
        drop(retired);
    }
}

fn total(entries: &Entries) -> ByteSize {
    let all = entries.list.iter().filter_map(Entry::ready).map(|ready| memory_of(&ready.server).as_u64());
    ByteSize::bytes(all.sum())
}

fn memory_of(server: &ForkServer) -> ByteSize {
    server.memory().unwrap_or(MEMORY_UNCOUNTED)
}

impl Entry {
    /// Whether another is to take its place, which is begun by this.
    fn is_to_renew(&mut self, bounds: Bounds) -> bool {
        let crate::entry::State::Ready(ready) = &mut self.state else { return false };
        let own = ready.memory_at_first.as_u64().saturating_mul(2).saturating_add(GROWTH.as_u64());
        let grown_to = own.saturating_add(ready.server.memory_of_copies().as_u64());
        let is_due = ready.server.forks() >= bounds.forks || memory_of(&ready.server).as_u64() > grown_to;
        let is_new = is_due && !ready.is_renewing;
        ready.is_renewing |= is_due;
        is_new
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
