//! The options that name a checker hook.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollcage_api::{CheckerConfig, DatasetItem, DurationRow, ExitCode, HookConfig, HookKind};
use rollcage_engine::drive::{CheckerHook, Engine, Hook, HookError, HookSpec};
use rollcage_language::Command;
use rollcage_types::{ProblemId, parse_duration};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// A checker of the user's own.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Checker")]
pub(crate) struct HookOptions {
    /// A command that decides whether outputs of test cases are right, in place of the problems' own checkers: a process
    /// of yours, outside any cage, that answers JSON lines; docs/hooks.md says how
    #[arg(long, value_name = "COMMAND")]
    checker_hook: Option<String>,
    /// How long one of its answers may take [default: 30s]
    #[arg(long, value_name = "TIME", requires = "checker_hook", value_parser = duration)]
    hook_deadline: Option<Duration>,
    /// How many of its processes there may be [default: as many as processors]
    #[arg(long, value_name = "N", requires = "checker_hook")]
    hook_processes: Option<NonZeroU32>,
}

/// What authors keep with their problems, by problem.
pub(crate) type Metas = Vec<(ProblemId, Map<String, Value>)>;

impl HookOptions {
    /// Whether a hook is named.
    pub(crate) const fn is_named(&self) -> bool {
        self.checker_hook.is_some()
    }

    /// The hook, as a run file would have it.
    pub(crate) fn config(&self) -> Result<Option<CheckerConfig>, Failure> {
        let Some(line) = &self.checker_hook else { return Ok(None) };
        let command =
            Command::parse(line).map_err(|error| Failure::usage(format!("--checker-hook: {error}")))?;
        let hook = HookConfig {
            processes: self.hook_processes,
            deadline: self.hook_deadline.map(DurationRow),
            ..HookConfig::new(command.argv)
        };
        Ok(Some(CheckerConfig { hook }))
    }

    /// Has the hook decide in all of `items`, if there is one; returns what their authors keep with them.
    pub(crate) fn ask_in(&self, items: &mut [DatasetItem]) -> Metas {
        if !self.is_named() {
            return Metas::new();
        }
        let ask = |item: &mut DatasetItem| {
            let problem = Arc::make_mut(&mut item.task.problem);
            problem.ask_hook();
            (problem.id.clone(), item.meta.clone())
        };
        items.iter_mut().map(ask).collect()
    }

    /// The engine with the hook, if one is named: its first process is ready.
    pub(crate) async fn start(&self, engine: Engine, metas: Metas) -> Result<Engine, Failure> {
        let Some(config) = self.config()? else { return Ok(engine) };
        let spec = HookSpec::from_config(HookKind::Checker, &config.hook, Path::new(""));
        let hook = Hook::start(spec, &[]).await.map_err(hook_failed)?;
        Ok(engine.with_checker(Some(CheckerHook::new(Arc::new(hook), metas))))
    }
}

/// Ends the engine's hook, if it has one.
pub(crate) async fn stop(engine: &Engine) {
    if let Some(checker) = engine.checker() {
        checker.hook().stop().await;
    }
}

/// A hook cannot be used: whoever runs the command named it, and no solution is to blame.
pub(crate) fn hook_failed(error: HookError) -> Failure {
    let hint = error.hint();
    Failure::new(ExitCode::Infrastructure, error).with_hint(hint)
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("no answer comes in no time".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}
