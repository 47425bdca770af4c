//! The run file: what `rollcage rollout` is told, version 1.
//!
//! Owns the file's keys, their defaults, its schema and the way mistakes in it are told. Leaves reading the files
//! it names, and making an environment and a policy of it, to `rollcage-engine`. The same types are what a store
//! keeps of a run's configuration, with defaults filled in.

mod environment;
mod policy;
mod read;
mod run;

pub use environment::{
    ActionsConfig, AnswerConfig, CodeConfig, EnvironmentConfigRow, FeedbackConfig, IsolationConfig,
    SessionConfig,
};
pub use policy::{PolicyConfig, SamplingConfig, TimeoutsConfig};
pub use read::RunConfigError;
pub use run::{
    BudgetConfig, GroupConfig, OutputConfig, RewardConfig, RewardPartsConfig, RunConfig, TasksConfig,
    run_config_schema,
};
