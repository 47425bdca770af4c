//! The interpreters that sessions are copies of, and the launchers of those that are not: by kind, made when they are wanted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcage_language::Language;
use rollcage_sandbox::{Cancel, Host, Origin, SessionBank};
use rollcage_types::{ByteSize, Limits};

use crate::live::agent::{Agent, Tasks};
use crate::live::error::FarmError;

/// What the interpreters of one bank have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    language: String,
    preload: Option<String>,
    stack: ByteSize,
}

impl Kind {
    fn of(language: &Language, preload: Option<&str>, limits: &Limits) -> Self {
        let (language, preload) = (language.name.clone(), preload.map(str::to_owned));
        Self { language, preload, stack: limits.stack }
    }
}

/// Of one kind. Locked while one is started: whoever wants the same meanwhile would start another.
type OfKind = Arc<Mutex<Vec<Arc<SessionBank>>>>;

/// All banks on one host.
#[derive(Debug, Default)]
pub(super) struct Banks(Mutex<BTreeMap<Kind, OfKind>>);

impl Banks {
    /// One that has a free slot. It may be taken before the caller takes it.
    pub(super) fn with_room(
        &self,
        host: &Arc<Host>,
        language: &Language,
        preload: Option<&str>,
        limits: &Limits,
    ) -> Result<Arc<SessionBank>, FarmError> {
        let of_kind = Arc::clone(self.lock().entry(Kind::of(language, preload, limits)).or_default());
        let mut own = of_kind.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bank) = own.iter().find(|bank| bank.free() > 0 && bank.is_alive()) {
            return Ok(Arc::clone(bank));
        }
        let agent = Agent::of(language)?;
        let origin = if agent.tasks == Tasks::One {
            Origin::Copies(Box::new(agent.fork_server(language, preload, limits)?))
        } else {
            Origin::Executed
        };
        let bank = SessionBank::start(host, origin, SessionBank::SLOTS_MAX, &Cancel::new());
        let bank = bank.map_err(FarmError::Bank)?;
        own.push(Arc::clone(&bank));
        Ok(bank)
    }

    /// One that is there already, which is not given up while the caller has it.
    pub(super) fn known(
        &self,
        language: &Language,
        preload: Option<&str>,
        limits: &Limits,
    ) -> Option<Arc<SessionBank>> {
        let of_kind = Arc::clone(self.lock().get(&Kind::of(language, preload, limits))?);
        // Whoever starts one at this moment keeps it himself.
        let own = of_kind.try_lock().ok()?;
        own.iter().find(|bank| bank.free() > 0 && bank.is_alive()).map(Arc::clone)
    }

    /// Gives up those that make no more cages.
    pub(super) fn forget_dead(&self) {
        for of_kind in self.all() {
            // Whoever starts one at this moment finds the dead ones by itself.
            if let Ok(mut own) = of_kind.try_lock() {
                own.retain(|bank| bank.is_alive());
            }
        }
    }

    /// Gives one up that no session is of, and nobody is about to open one in.
    pub(super) fn give_up_unused(&self) -> bool {
        let unused = self.all().into_iter().find_map(|of_kind| {
            let mut own = of_kind.try_lock().ok()?;
            let index = own.iter().position(|bank| bank.is_unused() && Arc::strong_count(bank) == 1)?;
            Some(own.remove(index))
        });
        // It ends here, with no lock held.
        unused.is_some()
    }

    fn all(&self) -> Vec<OfKind> {
        self.lock().values().map(Arc::clone).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, OfKind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
