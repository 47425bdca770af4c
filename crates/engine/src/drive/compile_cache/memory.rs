//! What compilers made of their requests, in memory, for as long as somebody is likely to ask again.
//!
//! Owns who compiles, who waits, and what is kept. A policy's last cell is often its answer, and the samples of a
//! group are often alike: without this each of them would be compiled anew.
//!
//! Only what would come out the same again is kept: that the compiler ended by itself. A limit also tells of how
//! busy the host was, and a failure of ours tells nothing.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use rollcage_types::{ExecOutcome, Termination};
use tokio::sync::OnceCell;

use super::key::CompileKey;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    entries_max: usize,
    bytes_max: u64,
}

/// The working set is what a run has in work at once: hundreds of samples, of which each compiles a few sources.
/// Programs are tens of kilobytes (C) to a few megabytes (static ones), so that bytes bound only the latter.
const BOUNDS: Bounds = Bounds { entries_max: 1024, bytes_max: 256 * 1024 * 1024 };

/// One outcome takes no more than this part of the bytes: a workspace full of files must not drive out all others.
const SHARE_OF_ONE: u64 = 8;

/// Set once a compiler has ended; whoever asked before that waits for it.
type Work = OnceCell<Arc<ExecOutcome>>;

/// Compilers' outcomes.
#[derive(Debug)]
pub(in super::super) struct CompileCache {
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<CompileKey, Kept>,
    bytes: u64,
    /// Counts uses, to tell which was last.
    uses: u64,
    /// Held by those who wait; an entry whose holders are gone was abandoned.
    under_way: HashMap<CompileKey, Weak<Work>>,
}

#[derive(Debug)]
struct Kept {
    outcome: Arc<ExecOutcome>,
    bytes: u64,
    last_use: u64,
}

impl Default for CompileCache {
    fn default() -> Self {
        Self { bounds: BOUNDS, state: Mutex::default() }
    }
}

impl CompileCache {
    /// What a request comes to: what it came to before, or what `compile` makes of it.
    ///
    /// Who asks for what is being compiled waits for it. If that fails, or is dropped, the next who waits compiles.
    pub(in super::super) async fn outcome_of<E, F>(
        &self,
        key: CompileKey,
        compile: impl FnOnce() -> F,
    ) -> Result<Arc<ExecOutcome>, E>
    where
        F: Future<Output = Result<ExecOutcome, E>>,
    {
        let work = {
            let mut state = self.lock();
            if let Some(outcome) = state.find(key) {
                return Ok(outcome);
            }
            state.join(key)
        };
        let ended = work.get_or_try_init(|| async { compile().await.map(Arc::new) }).await?;
        // Everybody who waited says so; the first who does keeps it.
        self.lock().keep(key, ended, self.bounds);
        Ok(Arc::clone(ended))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

impl State {
    fn find(&mut self, key: CompileKey) -> Option<Arc<ExecOutcome>> {
        self.uses += 1;
        let kept = self.kept.get_mut(&key)?;
        kept.last_use = self.uses;
        Some(Arc::clone(&kept.outcome))
    }

    /// The work on this request, begun by whoever comes first.
    fn join(&mut self, key: CompileKey) -> Arc<Work> {
        if let Some(work) = self.under_way.get(&key).and_then(Weak::upgrade) {
            return work;
        }
        // As many are left as there are callers, each of whom is about to compile for much longer than this takes.
        self.under_way.retain(|_, work| work.strong_count() > 0);
        let work = Arc::new(Work::new());
        self.under_way.insert(key, Arc::downgrade(&work));
        work
    }

    fn keep(&mut self, key: CompileKey, outcome: &Arc<ExecOutcome>, bounds: Bounds) {
        let bytes = size(outcome);
        let is_repeatable = match outcome.termination {
            Termination::Exited { .. } => true,
            Termination::Signaled { .. } | Termination::LimitExceeded(_) | Termination::Cancelled => false,
        };
        if !is_repeatable || bytes > bounds.bytes_max / SHARE_OF_ONE || self.kept.contains_key(&key) {
            return;
        }
        let kept = Kept { outcome: Arc::clone(outcome), bytes, last_use: self.uses };
        self.kept.insert(key, kept);
        self.bytes += bytes;
        while self.kept.len() > bounds.entries_max || self.bytes > bounds.bytes_max {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.last_use);
        let oldest = oldest.map(|(key, _)| *key).expect("what is over a bound is not empty");
        if let Some(kept) = self.kept.remove(&oldest) {
            self.bytes -= kept.bytes;
        }
    }
}

/// What an entry holds in memory, its small parts left aside: their number has a bound of its own.
fn size(outcome: &ExecOutcome) -> u64 {
    let files = outcome.files.iter().map(|file| file.content.len()).sum::<usize>();
    let streams = [&outcome.stdout, &outcome.stderr].map(|stream| stream.head.len() + stream.tail.len());
    (files + streams.iter().sum::<usize>()) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use rollcage_types::{Captured, Enforcement, ExecRequest, IsolationLevel, LimitKind, Usage};
    use tokio::sync::Notify;

    use super::*;

    /// A cache, and how often something was compiled.
    #[derive(Default)]
    struct Counted {
        cache: CompileCache,
        compiled: AtomicU32,
    }

    impl Counted {
        fn with_bounds(entries_max: usize, bytes_max: u64) -> Self {
            let cache = CompileCache { bounds: Bounds { entries_max, bytes_max }, ..CompileCache::default() };
            Self { cache, ..Self::default() }
        }

        fn times(&self) -> u32 {
            self.compiled.load(Ordering::Relaxed)
        }

        /// Asks for `name`, whose compiler ends as `ending` says once it may.
        async fn ask(
            &self,
            name: &str,
            ending: Result<Termination, &'static str>,
            may_end: impl Future<Output = ()>,
        ) -> Result<Arc<ExecOutcome>, &'static str> {
            let compile = || async {
                self.compiled.fetch_add(1, Ordering::Relaxed);
                may_end.await;
                ending.map(|termination| outcome(name, termination))
            };
            self.cache.outcome_of(CompileKey::new(&[], &ExecRequest::new([name])), compile).await
        }

        async fn ask_at_once(&self, name: &str) {
            self.ask(name, Ok(EXITED), async {}).await.unwrap();
        }
    }

    const EXITED: Termination = Termination::Exited { code: 0 };

    fn outcome(said: &str, termination: Termination) -> ExecOutcome {
        ExecOutcome {
            termination,
            start: rollcage_types::Start::Cold,
            stdout: Captured::whole(said),
            stderr: Captured::default(),
            usage: Usage::default(),
            network: rollcage_types::NetworkLog::default(),
            enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
            files: Vec::new(),
            files_omitted: 0,
        }
    }

    #[tokio::test]
    async fn the_same_request_is_compiled_once_also_by_many_at_once() {
        let counted = Counted::default();
        let may_end = Notify::new();
        let ask = || counted.ask("a", Ok(EXITED), may_end.notified());
        let (first, second, third, ()) =
            tokio::join!(ask(), ask(), ask(), async { may_end.notify_waiters() });
        assert_eq!(counted.times(), 1);
        for asked in [first, second, third, ask().await] {
            assert_eq!(asked.unwrap().stdout, Captured::whole("a"));
        }
        counted.ask_at_once("b").await;
        assert_eq!(counted.times(), 2);
    }

    #[tokio::test]
    async fn only_a_compiler_that_ended_by_itself_is_remembered() {
        for (ending, times) in [
            (Ok(EXITED), 1),
            (Ok(Termination::Exited { code: 1 }), 1),
            (Ok(Termination::Signaled { signal: 11 }), 2),
            (Ok(Termination::LimitExceeded(LimitKind::WallTime)), 2),
            (Ok(Termination::Cancelled), 2),
            (Err("no cage"), 2),
        ] {
            let counted = Counted::default();
            for _ in 0..2 {
                let asked = counted.ask("a", ending, async {}).await;
                assert_eq!(asked.map(|outcome| outcome.termination), ending);
            }
            assert_eq!(counted.times(), times, "{ending:?}");
        }
    }

    #[tokio::test]
    async fn who_waits_takes_over_from_who_fails_or_leaves() {
        let counted = Counted::default();
        let may_fail = Notify::new();
        let (failed, took_over, ()) = tokio::join!(
            counted.ask("a", Err("no cage"), may_fail.notified()),
            counted.ask("a", Ok(EXITED), async {}),
            async { may_fail.notify_waiters() },
        );
        assert_eq!((failed.err(), took_over.is_ok(), counted.times()), (Some("no cage"), true, 2));

        let counted = Counted::default();
        let leaves = Notify::new();
        let leaver = async {
            tokio::select! {
                biased;
                _never = counted.ask("a", Ok(EXITED), std::future::pending()) => {}
                () = leaves.notified() => {}
            }
        };
        let ((), took_over, ()) =
            tokio::join!(leaver, counted.ask("a", Ok(EXITED), async {}), async { leaves.notify_one() });
        assert_eq!((took_over.is_ok(), counted.times()), (true, 2));
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_makes_room() {
        let counted = Counted::with_bounds(2, 1024);
        for (name, times) in [("a", 1), ("b", 2), ("a", 2), ("c", 3), ("a", 3), ("b", 4)] {
            counted.ask_at_once(name).await;
            assert_eq!(counted.times(), times, "{name}");
        }
    }

    #[tokio::test]
    async fn bytes_are_bounded_together_and_one_by_one() {
        let counted = Counted::with_bounds(1024, 80);
        for number in 0..20 {
            counted.ask_at_once(&format!("0123456{number:03}")).await;
            assert!(counted.cache.lock().bytes <= 80);
        }
        assert_eq!(counted.cache.lock().kept.len(), 8);
        let large = "0123456789+";
        counted.ask_at_once(large).await;
        counted.ask_at_once(large).await;
        assert_eq!((counted.times(), counted.cache.lock().kept.len()), (22, 8));
        assert!(counted.cache.lock().under_way.len() <= 1);
    }
}
