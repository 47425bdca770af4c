//! What each kind of hook is asked, and what its failure means there.

use std::collections::HashMap;
use std::sync::Arc;

use rollcage_api::{
    CheckerReply, CheckerRequest, HookReward, RewardReply, RewardRequest, ToolReply, ToolRequest,
};
use rollcage_judge::{Decision, Problem, TestCase, Unscorable};
use rollcage_rollout::{Task, ToolResult, Trajectory};
use rollcage_types::ProblemId;
use serde_json::{Map, Value};

use super::error::HookError;
use super::pool::Hook;

/// A checker hook, with what the authors of the problems keep with them.
#[derive(Clone, Debug)]
pub struct CheckerHook {
    hook: Arc<Hook>,
    metas: Arc<HashMap<ProblemId, Map<String, Value>>>,
}

/// Why a trajectory has no reward from its hook.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RewardFailure {
    /// The hook says that there can be none.
    #[error("the reward hook: {0}")]
    Refused(String),
    /// The hook failed.
    #[error(transparent)]
    Failed(#[from] HookError),
}

impl CheckerHook {
    /// A checker for problems, each of which has the `meta` given for it or none.
    pub fn new(hook: Arc<Hook>, metas: impl IntoIterator<Item = (ProblemId, Map<String, Value>)>) -> Self {
        let metas = metas.into_iter().filter(|(_, meta)| !meta.is_empty()).collect();
        Self { hook, metas: Arc::new(metas) }
    }

    /// The hook.
    pub fn hook(&self) -> &Arc<Hook> {
        &self.hook
    }

    /// What it decides of the output of one case.
    pub async fn check(
        &self,
        problem: &Problem,
        index: usize,
        case: &TestCase,
        stdout: &[u8],
    ) -> Result<Decision, Unscorable> {
        let none = Map::new();
        let meta = self.metas.get(&problem.id).unwrap_or(&none);
        let request = |id| CheckerRequest::new(id, problem, index, case, stdout, meta);
        match self.hook.ask(request, CheckerReply::into_decision).await {
            Ok(decision) => decision,
            Err(error) => Err(error.to_unscorable()),
        }
    }
}

impl Hook {
    /// What a finished trajectory earned.
    pub async fn reward(
        &self,
        trajectory_id: &str,
        task: &Task,
        trajectory: &Trajectory,
        meta: &Map<String, Value>,
    ) -> Result<HookReward, RewardFailure> {
        let request = |id| RewardRequest::new(id, trajectory_id, task, trajectory, meta);
        self.ask(request, RewardReply::into_reward).await?.map_err(RewardFailure::Refused)
    }

    /// What a tool call came to.
    pub async fn call_tool(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
        task: &str,
        trajectory_id: &str,
        turn: u32,
    ) -> Result<ToolResult, HookError> {
        let request = |id| ToolRequest::new(id, name, arguments, task, trajectory_id, turn);
        self.ask(request, ToolReply::into_result).await
    }
}
