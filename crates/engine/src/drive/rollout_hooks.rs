//! The hooks of a run: started before anything is stored, ended with it.

use std::sync::Arc;

use rollcage_rollout::{ActionForm, AnswerRule, EnvironmentConfig};
use rollcage_types::ProblemId;
use serde_json::Value;

use super::hook::{CheckerHook, Hook, HookError, HookSpec};
use super::plan::RolloutPlan;

/// The hooks of a run, and what follows from the tools of one.
pub(super) struct RolloutHooks {
    pub(super) checker: Option<CheckerHook>,
    pub(super) tools: Option<Arc<Hook>>,
    pub(super) reward: Option<Arc<Hook>>,
    /// Every tool that is offered with a call of the policy.
    pub(super) functions: Vec<Value>,
    /// The rules of each task, in the order of the plan; they know the tools that the hook carries out.
    pub(super) environments: Vec<Arc<EnvironmentConfig>>,
}

impl RolloutHooks {
    /// Starts every hook that the plan names. One that cannot work is an error now, and not of every trajectory.
    pub(super) async fn start(plan: &RolloutPlan) -> Result<Self, HookError> {
        let checker = start(plan.hooks.checker.as_ref(), &[]).await?;
        let reward = start(plan.hooks.reward.as_ref(), &[]).await?;
        let taken = names_taken(plan);
        let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
        let tools = start(plan.hooks.tools.as_ref(), &taken).await?;
        let checker = checker.map(|hook| {
            let meta_of = |task: &super::plan::TaskInLanguage| {
                (ProblemId::new(task.task.problem.id.to_string()), task.meta.as_ref().clone())
            };
            CheckerHook::new(hook, plan.tasks.iter().map(meta_of))
        });
        let described = tools.as_ref().map(|hook| hook.tools()).unwrap_or_default();
        let names: Vec<Arc<str>> = described.iter().map(|tool| Arc::from(tool.name.as_str())).collect();
        let functions = plan.tools.iter().cloned().chain(described.iter().map(|tool| tool.to_function()));
        let environments = with_tools(plan, &names);
        Ok(Self { checker, reward, functions: functions.collect(), environments, tools })
    }

    /// Ends every process.
    pub(super) async fn stop(&self) {
        let checker = self.checker.as_ref().map(CheckerHook::hook);
        for hook in [checker, self.tools.as_ref(), self.reward.as_ref()].into_iter().flatten() {
            hook.stop().await;
        }
    }
}

async fn start(spec: Option<&HookSpec>, taken: &[&str]) -> Result<Option<Arc<Hook>>, HookError> {
    match spec {
        Some(spec) => Hook::start(spec.clone(), taken).await.map(|hook| Some(Arc::new(hook))),
        None => Ok(None),
    }
}

/// Names of tools that a policy knows already.
fn names_taken(plan: &RolloutPlan) -> Vec<String> {
    let mut taken = Vec::new();
    if let Some(task) = plan.tasks.first() {
        let dialect = &task.environment.dialect;
        if let ActionForm::ToolCall(form) = &dialect.form {
            taken.push(form.function.clone());
        }
        if let AnswerRule::Marked(name) = &dialect.answer {
            taken.push(name.clone());
        }
    }
    taken
}

/// The rules of each task with these tools; tasks that shared theirs still do.
fn with_tools(plan: &RolloutPlan, names: &[Arc<str>]) -> Vec<Arc<EnvironmentConfig>> {
    let mut last: Option<(&Arc<EnvironmentConfig>, Arc<EnvironmentConfig>)> = None;
    let mut environments = Vec::with_capacity(plan.tasks.len());
    for task in &plan.tasks {
        let rules = match &last {
            Some((of, rules)) if Arc::ptr_eq(of, &task.environment) => Arc::clone(rules),
            Some(_) | None => {
                let mut rules = task.environment.as_ref().clone();
                if let ActionForm::ToolCall(form) = &mut rules.dialect.form {
                    form.others = names.to_vec();
                }
                Arc::new(rules)
            }
        };
        last = Some((&task.environment, Arc::clone(&rules)));
        environments.push(rules);
    }
    environments
}
