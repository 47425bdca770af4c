//! One kind of interpreter: how it is started, and how it fares.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcage_language::{ForkRecipe, Language, Preload, StopAt};
use rollcage_sandbox::{ForkPoint, ForkServer, ForkServerSpec, SandboxError, Stop};
use rollcage_types::{ByteSize, ExecRequest, LimitOverrides, Limits};

use crate::counts::ColdReason;
use crate::toolchain::{ToolchainFiles, ToolchainIdentity};
use crate::watch::{Watch, wait_after};

/// An interpreter that is not started as the language's file has it is started once this many have asked for it.
const ASKED_BEFORE_START: u32 = 3;
/// Loading libraries takes a second; a busy machine takes longer.
const START_TIME: Duration = Duration::from_secs(60);
/// Runs that fail in a row before the interpreter is taken for the reason.
const TROUBLES_MAX: u32 = 3;
/// An interpreter that has served this many was not born to die.
const FORKS_OF_THE_HEALTHY: u64 = 16;

/// What a program asks of an interpreter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) language: &'a Language,
    pub(crate) recipe: &'a ForkRecipe,
    pub(crate) preload: Option<&'a Preload>,
    pub(crate) argv: &'a [String],
    pub(crate) env_vars: &'a [(String, String)],
    pub(crate) stack: ByteSize,
}

impl<'a> Ask<'a> {
    /// As a program of `language` would that is started as its file says.
    pub(crate) fn usual(
        language: &'a Language,
        recipe: &'a ForkRecipe,
        preload: Option<&'a Preload>,
    ) -> Self {
        let stack = language.run_limits(&LimitOverrides::default()).stack;
        let (argv, env_vars) = (language.run_command().argv.as_slice(), language.env_vars.as_slice());
        Self { language, recipe, preload, argv, env_vars, stack }
    }

    /// As `request` does.
    pub(crate) fn of(
        language: &'a Language,
        recipe: &'a ForkRecipe,
        preload: Option<&'a Preload>,
        request: &'a ExecRequest,
    ) -> Self {
        let stack = request.limits.stack;
        Self { language, recipe, preload, argv: &request.argv, env_vars: &request.env_vars, stack }
    }

    fn is_usual(&self) -> bool {
        let usual = Self::usual(self.language, self.recipe, self.preload);
        self.argv == usual.argv && self.env_vars == usual.env_vars && self.stack == usual.stack
    }

    fn preload_name(&self) -> Option<&'a str> {
        self.preload.map(|preload| preload.name.as_str())
    }

    fn spec(&self) -> ForkServerSpec {
        let recipe = self.recipe;
        ForkServerSpec {
            argv: self.argv.to_vec(),
            env_vars: self.env_vars.to_vec(),
            start_vars: recipe.start_vars.clone(),
            program: self.language.filename.clone(),
            point: recipe.point.clone().map_or(ForkPoint::Program, ForkPoint::Path),
            passes: recipe.passes,
            stop: stop(recipe.stop),
            not_with: recipe.not_with.clone(),
            executable: recipe.executable.clone(),
            preload: self.preload.map(|preload| preload.code.clone()),
            limits: Limits { stack: self.stack, ..Limits::default() },
            memory: recipe.memory,
            start_time: START_TIME,
            branches: false,
        }
    }
}

/// An interpreter that was asked for.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) language: String,
    pub(crate) preload: Option<String>,
    pub(crate) spec: ForkServerSpec,
    pub(crate) last_use: Instant,
    is_usual: bool,
    watch: Watch,
    pub(crate) state: State,
}

/// How it fares.
#[derive(Debug)]
pub(crate) enum State {
    /// It was asked for.
    Asked(u32),
    /// The keeper has been told to start it.
    Starting {
        /// Starts that failed before, in a row.
        failures: u32,
    },
    /// It waits at its fork point.
    Ready(Ready),
    /// It is not there.
    Failed {
        reason: ColdReason,
        /// When to try again, if ever.
        again: Option<Instant>,
        failures: u32,
    },
}

/// An interpreter at its fork point.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) server: Arc<ForkServer>,
    /// When it had just come there.
    pub(crate) memory_at_first: ByteSize,
    /// Another was asked for in its place.
    pub(crate) is_renewing: bool,
    /// Failed runs in a row.
    troubles: u32,
}

/// What becomes of a program that asks.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A copy of this runs it.
    Copy(Arc<ForkServer>),
    /// It is run cold; with `start`, the interpreter is to be started.
    Cold { reason: ColdReason, start: bool },
}

impl Entry {
    pub(crate) fn new(id: u64, ask: &Ask<'_>, toolchain: ToolchainFiles, now: Instant) -> Self {
        Self {
            id,
            language: ask.language.name.clone(),
            preload: ask.preload_name().map(str::to_owned),
            spec: ask.spec(),
            last_use: now,
            is_usual: ask.is_usual(),
            watch: Watch::begin(toolchain, now),
            state: State::Asked(0),
        }
    }

    /// Whether this is the interpreter asked for.
    pub(crate) fn is_for(&self, ask: &Ask<'_>) -> bool {
        self.spec.argv == ask.argv
            && self.spec.env_vars == ask.env_vars
            && self.spec.limits.stack == ask.stack
            && self.preload.as_deref() == ask.preload_name()
            && self.spec.program == ask.language.filename
            && self.language == ask.language.name
    }

    /// Answers a program. `Starting` is entered here, so that one start is asked for once.
    pub(crate) fn answer(&mut self, now: Instant) -> Answer {
        self.last_use = now;
        let (reason, start, next) = match &mut self.state {
            State::Ready(ready) => return Answer::Copy(Arc::clone(&ready.server)),
            State::Asked(times) => {
                *times = times.saturating_add(1);
                if !self.is_usual && *times < ASKED_BEFORE_START {
                    return Answer::Cold { reason: ColdReason::Rare, start: false };
                }
                (ColdReason::Starting, true, 0)
            }
            State::Starting { .. } => (ColdReason::Starting, false, 0),
            State::Failed { reason, again, failures } => {
                let is_due = again.is_some_and(|again| now >= again);
                (*reason, is_due, *failures)
            }
        };
        if start {
            self.state = State::Starting { failures: next };
        }
        Answer::Cold { reason, start }
    }

    /// Looks whether the toolchain is what it was when the interpreter was started. If not, nothing that was learnt holds
    /// any more, and the interpreter is given up.
    pub(crate) fn look_at_toolchain(&mut self, now: Instant) -> Outdated {
        if !self.watch.has_changed(now) {
            return Outdated::No;
        }
        match std::mem::replace(&mut self.state, State::Asked(ASKED_BEFORE_START)) {
            State::Ready(ready) => Outdated::Server(ready.server),
            // What is being started may have begun with either; it is looked at when it has come up.
            State::Asked(_) | State::Starting { .. } | State::Failed { .. } => Outdated::Knowledge,
        }
    }

    /// What the interpreter would be started from now.
    pub(crate) const fn identity(&self) -> ToolchainIdentity {
        self.watch.identity()
    }

    /// A run by `server` failed for a reason that may be its own. Returns it if it is to be given up.
    pub(crate) fn trouble(
        &mut self,
        server: &Arc<ForkServer>,
        error: &SandboxError,
        now: Instant,
    ) -> Option<Arc<ForkServer>> {
        let State::Ready(ready) = &mut self.state else { return None };
        if !Arc::ptr_eq(&ready.server, server) {
            return None;
        }
        ready.troubles += 1;
        let is_dead = matches!(error, SandboxError::LauncherGone) || !server.is_alive();
        if !is_dead && ready.troubles < TROUBLES_MAX {
            return None;
        }
        let failures = u32::from(server.forks() < FORKS_OF_THE_HEALTHY);
        let given_up = Arc::clone(server);
        self.state = if failures == 0 {
            State::Asked(ASKED_BEFORE_START)
        } else {
            failed(ColdReason::Died, failures, now)
        };
        Some(given_up)
    }

    /// A run by the interpreter came to an outcome.
    pub(crate) fn no_trouble(&mut self) {
        if let State::Ready(ready) = &mut self.state {
            ready.troubles = 0;
        }
    }

    /// It came to its fork point.
    pub(crate) fn started(&mut self, server: Arc<ForkServer>, memory: ByteSize) -> Option<Arc<ForkServer>> {
        let ready = Ready { server, memory_at_first: memory, is_renewing: false, troubles: 0 };
        match std::mem::replace(&mut self.state, State::Ready(ready)) {
            State::Ready(old) => Some(old.server),
            State::Asked(_) | State::Starting { .. } | State::Failed { .. } => None,
        }
    }

    /// It is given up, until it is asked for again.
    pub(crate) fn retire(&mut self) -> Option<Arc<ForkServer>> {
        self.ready()?;
        match std::mem::replace(&mut self.state, State::Asked(0)) {
            State::Ready(ready) => Some(ready.server),
            State::Asked(_) | State::Starting { .. } | State::Failed { .. } => None,
        }
    }

    /// It could not be started. One that was to be renewed goes on, as it is.
    pub(crate) fn not_started(&mut self, reason: ColdReason, may_come: bool, now: Instant) {
        let failures = match &mut self.state {
            State::Ready(_) => return,
            State::Starting { failures } | State::Failed { failures, .. } => failures.saturating_add(1),
            State::Asked(_) => 1,
        };
        self.state = if may_come {
            failed(reason, failures, now)
        } else {
            State::Failed { reason, again: None, failures }
        };
    }

    pub(crate) const fn ready(&self) -> Option<&Ready> {
        match &self.state {
            State::Ready(ready) => Some(ready),
            State::Asked(_) | State::Starting { .. } | State::Failed { .. } => None,
        }
    }
}

/// What a look at the toolchain says.
#[derive(Debug)]
pub(crate) enum Outdated {
    /// All is as it was.
    No,
    /// What was learnt of the interpreter.
    Knowledge,
    /// This interpreter.
    Server(Arc<ForkServer>),
}

fn failed(reason: ColdReason, failures: u32, now: Instant) -> State {
    State::Failed { reason, again: Some(now + wait_after(failures)), failures }
}

/// The same for the sandbox.
pub(crate) const fn stop(at: StopAt) -> Stop {
    match at {
        StopAt::Open => Stop::Open,
        StopAt::Read => Stop::Read,
        StopAt::Loaded => Stop::Loaded,
    }
}
