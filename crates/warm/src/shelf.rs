//! Programs executed ahead: one kind of them, and how many wait.

use std::collections::VecDeque;
use std::time::Instant;

use rollcage_language::{Language, SpareRecipe};
use rollcage_sandbox::{Mismatch, Spare, SpareSpec};
use rollcage_types::{ByteSize, ExecRequest, LimitOverrides};

use crate::counts::ColdReason;
use crate::entry::stop;
use crate::toolchain::{ToolchainFiles, ToolchainIdentity};
use crate::watch::{Watch, wait_after};

/// A kind that is not started as the language's file has it is started once this many have asked for it.
const ASKED_BEFORE_START: u32 = 3;
/// Spares that ended before they were asked, in a row, before the kind is taken for one that does not wait.
const DIED_MAX: u32 = 3;

/// Spares of one kind.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) id: u64,
    pub(crate) language: String,
    pub(crate) spec: SpareSpec,
    pub(crate) last_use: Instant,
    is_usual: bool,
    asked: u32,
    wanted: usize,
    watch: Watch,
    /// Oldest first.
    spares: VecDeque<Spare>,
    being_made: usize,
    /// Since a spare last served.
    failures: u32,
    failed: Option<(ColdReason, Instant)>,
}

/// What becomes of a program that asks.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) spare: Result<Spare, ColdReason>,
    /// Spares to be started.
    pub(crate) to_make: usize,
    /// Spares to be ended, because the toolchain has changed.
    pub(crate) outdated: Option<Vec<Spare>>,
}

/// How a spare for `request` is executed; as the language's file says for none.
pub(crate) fn spec_for(
    language: &Language,
    recipe: &SpareRecipe,
    request: Option<&ExecRequest>,
) -> SpareSpec {
    let usual = language.run_limits(&LimitOverrides::default());
    SpareSpec {
        argv: request.map_or(&language.run_command().argv, |request| &request.argv).clone(),
        env_vars: request.map_or(&language.env_vars, |request| &request.env_vars).clone(),
        program: recipe.opens.clone().unwrap_or_else(|| language.filename.clone()),
        stop: stop(recipe.stop),
        executable: recipe.executable.clone(),
        not_beside: recipe.not_beside.clone(),
        limits: request.map_or(usual, |request| request.limits.clone()),
    }
}

/// Whether a spare of `shelf` could serve, with another list of files.
fn is_kind_for(spec: &SpareSpec, request: &ExecRequest) -> bool {
    let of_files = [Mismatch::NoProgram, Mismatch::Beside, Mismatch::Network];
    spec.accepts(request).map_or_else(|mismatch| of_files.contains(&mismatch), |()| true)
}

impl Shelf {
    pub(crate) fn new(
        id: u64,
        language: &Language,
        recipe: &SpareRecipe,
        spec: SpareSpec,
        files: ToolchainFiles,
        now: Instant,
    ) -> Self {
        Self {
            id,
            language: language.name.clone(),
            is_usual: spec == spec_for(language, recipe, None),
            spec,
            last_use: now,
            asked: 0,
            wanted: recipe.spares as usize,
            watch: Watch::begin(files, now),
            spares: VecDeque::new(),
            being_made: 0,
            failures: 0,
            failed: None,
        }
    }

    /// Whether its spares are of the kind that `request` asks for.
    pub(crate) fn is_for(&self, language: &Language, request: &ExecRequest) -> bool {
        self.language == language.name && is_kind_for(&self.spec, request)
    }

    /// Takes a spare.
    pub(crate) fn take(&mut self, now: Instant) -> Taken {
        self.last_use = now;
        let outdated = self.notice_changes(now);
        self.asked = self.asked.saturating_add(1);
        while let Some(mut spare) = self.spares.pop_front() {
            if spare.is_waiting() {
                self.failures = 0;
                let to_make = self.order_more(now);
                return Taken { spare: Ok(spare), to_make, outdated };
            }
            self.failures = self.failures.saturating_add(1);
            if self.failures >= DIED_MAX {
                self.failed = Some((ColdReason::Died, now + wait_after(self.failures)));
            }
        }
        let reason = match self.failed {
            Some((reason, again)) if now < again => reason,
            _ if !self.is_usual && self.asked < ASKED_BEFORE_START => ColdReason::Rare,
            _ => ColdReason::Starting,
        };
        Taken { spare: Err(reason), to_make: self.order_more(now), outdated }
    }

    /// How many more are to be started, which are counted as being made from now on.
    pub(crate) fn order_more(&mut self, now: Instant) -> usize {
        let is_rare = !self.is_usual && self.asked < ASKED_BEFORE_START;
        let has_failed = self.failed.is_some_and(|(_, again)| now < again);
        if is_rare || has_failed {
            return 0;
        }
        let to_make = self.wanted.saturating_sub(self.spares.len() + self.being_made);
        self.being_made += to_make;
        to_make
    }

    /// One more waits, or will not. Returns one that nobody can use.
    pub(crate) fn made(
        &mut self,
        made: Result<Spare, ColdReason>,
        identity: ToolchainIdentity,
        now: Instant,
    ) -> Option<Spare> {
        self.being_made = self.being_made.saturating_sub(1);
        match made {
            Ok(spare) if identity == self.watch.identity() => {
                self.spares.push_back(spare);
                None
            }
            Ok(outdated) => Some(outdated),
            // All slots are in use: whoever asks next has it tried again.
            Err(ColdReason::Starting) => None,
            Err(reason) => {
                self.failures = self.failures.saturating_add(1);
                self.failed = Some((reason, now + wait_after(self.failures)));
                None
            }
        }
    }

    fn notice_changes(&mut self, now: Instant) -> Option<Vec<Spare>> {
        if !self.watch.has_changed(now) {
            return None;
        }
        (self.failures, self.failed) = (0, None);
        Some(self.clear())
    }

    /// Takes all that wait.
    pub(crate) fn clear(&mut self) -> Vec<Spare> {
        self.spares.drain(..).collect()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.spares.len()
    }

    /// Whether none is being made.
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.being_made == 0
    }

    /// Why none will come for a while.
    pub(crate) fn failed(&self, now: Instant) -> Option<ColdReason> {
        self.failed.filter(|(_, again)| now < *again).map(|(reason, _)| reason)
    }

    pub(crate) const fn identity(&self) -> ToolchainIdentity {
        self.watch.identity()
    }

    /// Memory of all that wait, where a group counts it.
    pub(crate) fn memory(&self) -> ByteSize {
        ByteSize::bytes(self.spares.iter().filter_map(Spare::memory).map(ByteSize::as_u64).sum())
    }
}
