//! From a run file to everything a run needs: tasks with their languages, environments, a policy.
//!
//! Owns reading the files a run names. Leaves what the keys mean to `rollcage-api` and what is done with the plan to
//! `rollout.rs`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollcage_api::{
    ActionsConfig, AnswerConfig, CodeConfig, ColumnMapping, ColumnsError, DatasetItem, FeedbackConfig,
    HookKind, PolicyConfig, RefusedRow, RunConfig, SessionConfig, TasksConfig, TimeoutsConfig,
};
use rollcage_language::{Language, LanguageSet, UnknownLanguage};
use rollcage_rollout::{
    ActionForm, AnswerRule, Budget, CodeMeans, Dialect, EnvironmentConfig, Feedback, ObservationStyle,
    Retries, Reward, RewardError, RewardWeights, Task, ToolForm,
};
use rollcage_types::{IsolationLevel, LimitOverrides};
use serde_json::{Map, Value, json};

use super::dataset_file::{DatasetError, DatasetOptions, LoadedDataset, Unjudgeable, load_dataset};
use super::hook::HookSpec;
use crate::policy::{
    OpenAiConfig, OpenAiPolicy, Policy, PolicySetupError, RecordedPolicy, RetryPlan, Sampling, Timeouts,
    TranscriptError,
};

/// Whether cells find what earlier cells defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionMode {
    /// They do, where the language has sessions: the interpreter stays between them.
    Live,
    /// They do, where the language has sessions: earlier cells are replayed.
    Replay,
    /// They do not.
    Alone,
}

/// A task with the language it is solved in and the rules that follow from it.
#[derive(Clone, Debug)]
pub struct TaskInLanguage {
    /// The task. Its problem has no prefix: answers are whole programs.
    pub task: Arc<Task>,
    /// The language.
    pub language: Arc<Language>,
    /// The rules.
    pub environment: Arc<EnvironmentConfig>,
    /// What its author keeps with it, for hooks to read.
    pub meta: Arc<Map<String, Value>>,
}

/// The operator's own processes that take part in a run.
#[derive(Clone, Debug, Default)]
pub struct HookPlan {
    /// Decides whether outputs are right.
    pub checker: Option<HookSpec>,
    /// Carries out tool calls.
    pub tools: Option<HookSpec>,
    /// Says what trajectories earn.
    pub reward: Option<HookSpec>,
}

/// Everything a run needs.
#[derive(Debug)]
pub struct RolloutPlan {
    /// How cages are to be built.
    pub isolation: IsolationLevel,
    /// What is asked, in the order of the file.
    pub tasks: Vec<TaskInLanguage>,
    /// Rows of the file that were left out, because no program can be judged by them.
    pub refused: Vec<RefusedRow>,
    /// Who answers.
    pub policy: Policy,
    /// How tokens are sampled.
    pub sampling: Sampling,
    /// Tools offered with each call.
    pub tools: Vec<Value>,
    /// Whether cells find what earlier cells defined.
    pub session: SessionMode,
    /// Limits of one cell where they differ from the language's.
    pub cell_limits: LimitOverrides,
    /// What one trajectory may spend.
    pub budget: Budget,
    /// How often requests are repeated.
    pub retries: Retries,
    /// How the reward is added up.
    pub reward: RewardWeights,
    /// Who else takes part.
    pub hooks: HookPlan,
    /// Samples of each task.
    pub group_size: u32,
    /// Trajectories at once.
    pub concurrency: usize,
    /// What all randomness of ours comes from.
    pub seed: u64,
    /// What a store keeps of it: the run file with defaults filled in, and the hash of the tasks.
    pub config: Value,
}

/// Why a run file does not make a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The tasks cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// What the run file says of their columns is wrong.
    #[error("`tasks.columns`")]
    Columns(#[from] ColumnsError),
    /// There is nothing to do.
    #[error("`{}` holds no task", path.display())]
    NoTask {
        /// The file.
        path: PathBuf,
    },
    /// A task is in no language.
    #[error("task `{task}` names no language, and the run file has no `environment.language`")]
    NoLanguage {
        /// The task.
        task: String,
    },
    /// A task or the run file names a language nobody defines.
    #[error("task `{task}`")]
    Language {
        /// The task.
        task: String,
        /// Which.
        #[source]
        source: Box<UnknownLanguage>,
    },
    /// The policy cannot be asked.
    #[error("cannot set up the policy")]
    Policy(#[from] PolicySetupError),
    /// The recording cannot be used.
    #[error("cannot replay the policy")]
    Transcript(#[from] TranscriptError),
    /// A weight of the reward is not a number.
    #[error("cannot weigh the reward")]
    Reward(#[from] RewardError),
}

impl PlanError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Dataset(error) => error.hint(),
            Self::Columns(error) => error.hint(),
            Self::NoLanguage { .. } => Some("add one, as in `environment: {language: python}`".to_owned()),
            Self::Language { source, .. } => Some(source.hint()),
            Self::NoTask { .. } | Self::Policy(_) | Self::Transcript(_) | Self::Reward(_) => None,
        }
    }
}

/// The function a policy calls to give its answer has one argument, as the dialect reads it.
const ANSWER_ARGUMENT: &str = "answer";

impl RolloutPlan {
    /// Makes a plan of a run file that lies in `directory`. Reads the files it names; connects to nothing.
    pub fn load(config: &RunConfig, directory: &Path, languages: &LanguageSet) -> Result<Self, PlanError> {
        let RunConfig {
            tasks,
            environment,
            policy,
            checker,
            tools: tool_hook,
            reward,
            group,
            budget,
            seed,
            output: _,
        } = config;
        let hook = |kind, config| HookSpec::from_config(kind, config, directory);
        let path = directory.join(&tasks.path);
        let LoadedDataset { items, refused, hash: tasks_hash } = load_dataset(&path, &options(tasks)?)?;
        if items.is_empty() {
            return Err(PlanError::NoTask { path });
        }
        let cell_limits = LimitOverrides::from(environment.limits);
        let planned = plan_tasks(items, config, languages, &cell_limits)?;
        let sampling = &policy.sampling;
        let weight = Reward::new;
        Ok(Self {
            isolation: environment.isolation.into(),
            tasks: planned,
            refused,
            policy: load_policy(policy, directory, *seed)?,
            sampling: Sampling {
                max_tokens: sampling.max_tokens.get(),
                temperature: sampling.temperature,
                top_p: sampling.top_p,
                // The dialect's own come with each request.
                stop: Vec::new(),
            },
            tools: tools(config),
            session: match environment.session {
                SessionConfig::Live => SessionMode::Live,
                SessionConfig::Replay => SessionMode::Replay,
                SessionConfig::None => SessionMode::Alone,
            },
            cell_limits,
            budget: Budget {
                turns_max: budget.turns,
                turn_tokens_max: sampling.max_tokens.get(),
                completion_tokens_max: budget.tokens.get(),
                context_tokens_max: budget.context.get(),
                wall_time: budget.wall.0,
                ..Budget::default()
            },
            retries: Retries {
                policy_attempts_max: policy.attempts.unwrap_or(Retries::default().policy_attempts_max),
                ..Retries::default()
            },
            reward: RewardWeights {
                outcome: weight(reward.parts.outcome)?,
                format: weight(reward.parts.format)?,
            },
            hooks: HookPlan {
                checker: checker.as_ref().map(|checker| hook(HookKind::Checker, &checker.hook)),
                tools: tool_hook.as_ref().map(|tools| hook(HookKind::Tool, &tools.hook)),
                reward: reward.hook.as_ref().map(|config| hook(HookKind::Reward, config)),
            },
            group_size: group.size.get(),
            concurrency: usize::try_from(budget.concurrency.get()).unwrap_or(usize::MAX),
            seed: *seed,
            config: json!({
                "run": config,
                "tasks_blake3": tasks_hash.to_hex().as_str(),
            }),
        })
    }

    /// The languages of its tasks, each once, by name.
    pub fn languages(&self) -> Vec<Arc<Language>> {
        let by_name: BTreeMap<&str, &Arc<Language>> =
            self.tasks.iter().map(|task| (task.language.name.as_str(), &task.language)).collect();
        by_name.into_values().cloned().collect()
    }
}

fn options(tasks: &TasksConfig) -> Result<DatasetOptions, ColumnsError> {
    let TasksConfig { path: _, format, columns, skip_unjudgeable, limit } = tasks;
    let pairs = columns.as_ref().map(|pairs| {
        ColumnMapping::from_pairs(pairs.iter().map(|(field, path)| (field.as_str(), path.as_str())))
    });
    Ok(DatasetOptions {
        format: format.clone(),
        columns: pairs.transpose()?,
        unjudgeable: if *skip_unjudgeable { Unjudgeable::Skip } else { Unjudgeable::Refuse },
        limit: *limit,
    })
}

/// Tasks with their languages; those of one language share its rules.
fn plan_tasks(
    items: Vec<DatasetItem>,
    config: &RunConfig,
    languages: &LanguageSet,
    cell_limits: &LimitOverrides,
) -> Result<Vec<TaskInLanguage>, PlanError> {
    let mut by_language: BTreeMap<String, Arc<EnvironmentConfig>> = BTreeMap::new();
    let mut planned = Vec::with_capacity(items.len());
    for item in items {
        let name = item.task.problem.language.as_deref().or(config.environment.language.as_deref());
        let task = || item.task.id.to_string();
        let name = name.ok_or_else(|| PlanError::NoLanguage { task: task() })?;
        let language = languages
            .find(name)
            .map_err(|source| PlanError::Language { task: task(), source: Box::new(source) })?;
        let rules = by_language
            .entry(language.name.clone())
            .or_insert_with(|| Arc::new(environment_rules(config, language, cell_limits)));
        let mut problem = item.task.problem.for_whole_programs();
        if config.checker.is_some() {
            problem.ask_hook();
        }
        let problem = Arc::new(problem);
        planned.push(TaskInLanguage {
            task: Arc::new(Task { problem, ..item.task.clone() }),
            language: Arc::clone(language),
            environment: Arc::clone(rules),
            meta: Arc::new(item.meta),
        });
    }
    Ok(planned)
}

fn environment_rules(
    config: &RunConfig,
    language: &Language,
    cell_limits: &LimitOverrides,
) -> EnvironmentConfig {
    let row = &config.environment;
    let tags = std::iter::once(&language.name).chain(&language.aliases).map(String::as_str);
    let fenced = Dialect::fenced(tags);
    let dialect = Dialect {
        form: match row.actions {
            ActionsConfig::Fenced => fenced.form.clone(),
            ActionsConfig::Tags => ActionForm::Tags("execute".to_owned()),
            ActionsConfig::Tools => ActionForm::ToolCall(ToolForm::default()),
        },
        answer: match &row.answer {
            AnswerConfig::LastCode => AnswerRule::LastCode,
            AnswerConfig::Tag(name) => AnswerRule::Tag(name.clone()),
            AnswerConfig::Marked(mark) => AnswerRule::Marked(mark.clone()),
            AnswerConfig::Command(word) => AnswerRule::Command(word.clone()),
        },
        ..fenced
    };
    let answers: NonZeroU32 = row.answers;
    EnvironmentConfig {
        code_means: match row.code {
            CodeConfig::Step => CodeMeans::Step,
            CodeConfig::Answer => CodeMeans::Answer,
        },
        answers_max: answers,
        observation: ObservationStyle {
            feedback: match row.feedback {
                FeedbackConfig::Rejected => Feedback::Rejected,
                FeedbackConfig::Verdict => Feedback::Verdict,
                FeedbackConfig::Reason => Feedback::Reason,
            },
            ..ObservationStyle::default()
        },
        cell_limits: language.run_limits(cell_limits),
        ..EnvironmentConfig::new(dialect)
    }
}

/// The tools of the tool form, as servers want them described.
fn tools(config: &RunConfig) -> Vec<Value> {
    match config.environment.actions {
        ActionsConfig::Fenced | ActionsConfig::Tags => return Vec::new(),
        ActionsConfig::Tools => {}
    }
    let tool = |name: &str, description: &str, properties: Value, required: &str| {
        let parameters = json!({"type": "object", "properties": properties, "required": [required]});
        json!({
            "type": "function",
            "function": {"name": name, "description": description, "parameters": parameters},
        })
    };
    let ToolForm { function, code_argument, stdin_argument, text_tag: _, others: _ } = ToolForm::default();
    let properties = json!({
        code_argument.as_str(): {"type": "string", "description": "the code"},
        stdin_argument.as_str(): {"type": "string", "description": "its standard input"},
    });
    let mut tools =
        vec![tool(&function, "Runs code and returns what it prints.", properties, &code_argument)];
    if let AnswerConfig::Marked(name) = &config.environment.answer {
        let properties = json!({ANSWER_ARGUMENT: {"type": "string", "description": "the whole program"}});
        tools.push(tool(name, "Gives the final answer.", properties, ANSWER_ARGUMENT));
    }
    tools
}

fn load_policy(policy: &PolicyConfig, directory: &Path, seed: u64) -> Result<Policy, PlanError> {
    if let Some(recorded) = &policy.recorded {
        return Ok(Policy::Recorded(RecordedPolicy::load(&directory.join(recorded))?));
    }
    let defaults = Timeouts::default();
    let TimeoutsConfig { connect, first_byte, idle, total } = policy.timeouts;
    let config = OpenAiConfig {
        urls: policy.urls.clone(),
        api_key_env: policy.api_key_env.clone(),
        timeouts: Timeouts {
            connect: connect.map_or(defaults.connect, |row| row.0),
            first_byte: first_byte.map_or(defaults.first_byte, |row| row.0),
            idle: idle.map_or(defaults.idle, |row| row.0),
            total: total.map_or(defaults.total, |row| row.0),
        },
        // The loop waits between attempts, where it can be stopped; here a hiccup is ridden out, and each of several
        // servers is tried.
        retries: RetryPlan {
            attempts_max: match policy.attempts {
                Some(NonZeroU32::MIN) => 1,
                Some(_) | None => u32::try_from(policy.urls.len()).unwrap_or(u32::MAX).max(2),
            },
            ..RetryPlan::default()
        },
        ..OpenAiConfig::new("", policy.model.clone().unwrap_or_default())
    };
    Ok(Policy::OpenAi(OpenAiPolicy::new(config, seed)?))
}
