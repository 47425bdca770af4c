//! `rollcage eval --policy`: one turn per sample, asked, judged and stored as a rollout is.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use rollcage_api::{
    BudgetConfig, CodeConfig, ColumnMapping, EnvironmentConfigRow, EvalTally, ExitCode, GroupConfig,
    OutputConfig, PolicyConfig, RewardConfig, RunConfig, RunKind, SamplingConfig, TasksConfig,
};
use rollcage_engine::drive::{RolloutPlan, RunStart, Unjudgeable, policy_judgements};
use rollcage_judge::{Bootstrap, Disclosure};

use super::eval::{Args, PolicyOptions};
use super::eval_report;
use super::judge::{code, worse};
use super::rollout::{self, carry_out};
use crate::dataset_files::{DatasetFile, note_refused};
use crate::engine_host::{plan_failed, store_failed};
use crate::failure::Failure;

/// Runs the command.
pub(super) fn run(args: &Args, dataset: &DatasetFile) -> Result<u8, Failure> {
    let set = args.languages.load()?;
    // The path is relative to the current directory, and so are the plan's.
    let plan = RolloutPlan::load(&config(args, dataset)?, Path::new(""), &set).map_err(plan_failed)?;
    note_refused(&plan.refused);
    let store = args.store.open(args.sync)?;
    let result = carry_out(
        args.reuse.engine_config(&args.cages.host_config(None), set),
        Arc::new(plan),
        Arc::clone(&store),
        RunStart::New(RunKind::Eval),
    )?;
    let reader = store.reader().map_err(store_failed)?;
    let judged = policy_judgements(&reader, &result.run_id).map_err(store_failed)?;
    let mut tally = EvalTally::new(Disclosure::Expected);
    let mut worst = ExitCode::Success;
    for (task_id, sample, judgement) in &judged {
        tally.add(task_id, *sample, judgement);
        worst = worse(worst, code(judgement));
    }
    let ks = eval_report::ks(&args.k, &tally);
    let report = tally.report(&args.dataset, &ks, &Bootstrap::default());
    eval_report::print(&report, &args.store, args.json)?;
    rollout::note_failures(&result, None);
    let code = match (rollout::exit_code(&result), worst) {
        // A policy is measured here, not examined.
        (ExitCode::Success, ExitCode::NotAccepted) => ExitCode::Success,
        (ExitCode::Success, judged) => judged,
        (failed, _) => failed,
    };
    Ok(code.number())
}

fn config(args: &Args, dataset: &DatasetFile) -> Result<RunConfig, Failure> {
    let PolicyOptions { policy, model, samples, temperature, max_tokens, top_p, seed, attempts, concurrency } =
        &args.policy;
    // Room for one completion and a prompt of any published data set.
    const PROMPT_TOKENS_MAX: u32 = 65_536;
    let context = max_tokens.saturating_add(PROMPT_TOKENS_MAX);
    Ok(RunConfig {
        tasks: TasksConfig {
            path: dataset.path.display().to_string(),
            format: dataset.options.format.clone(),
            columns: dataset.options.columns.as_ref().map(ColumnMapping::to_pairs),
            skip_unjudgeable: match dataset.options.unjudgeable {
                Unjudgeable::Refuse => false,
                Unjudgeable::Skip => true,
            },
            limit: args.limit,
        },
        environment: EnvironmentConfigRow {
            language: args.lang.clone(),
            code: CodeConfig::Answer,
            ..EnvironmentConfigRow::default()
        },
        policy: PolicyConfig {
            urls: policy.clone(),
            model: model.clone(),
            sampling: SamplingConfig { temperature: *temperature, max_tokens: *max_tokens, top_p: *top_p },
            attempts: *attempts,
            ..PolicyConfig::default()
        },
        checker: args.hooks.config()?,
        tools: None,
        reward: RewardConfig::default(),
        group: GroupConfig { size: *samples },
        budget: BudgetConfig {
            turns: NonZeroU32::MIN,
            tokens: *max_tokens,
            context,
            concurrency: *concurrency,
            ..BudgetConfig::default()
        },
        seed: *seed,
        output: OutputConfig::default(),
    })
}
