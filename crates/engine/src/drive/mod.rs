//! Drivers: they perform what the pure cores ask for.
//!
//! Owns admission to the host's cages, the order in which work is started, and the translation between what the
//! cores say and what the sandbox, the policies and the store take. Leaves every decision about a verdict to
//! `rollcage-judge`, about a conversation to `rollcage-rollout`, and every word printed to the edges: progress is
//! reported as events.
//!
//! Cancelling is dropping: each driver is a future, and a dropped future ends the cages it waits for. Results
//! never depend on the order in which work completes.

mod agnostics;
mod cages;
mod check;
mod clock;
mod compile;
mod compile_cache;
mod dataset_file;
mod engine;
mod error_chain;
mod eval;
mod execute;
mod hook;
mod intercode;
mod judge;
mod live_cells;
mod parquet_pages;
mod parquet_rows;
mod plan;
mod policy_eval;
mod request;
mod rollout;
mod rollout_hooks;
mod run_summary;
mod session_cells;
mod stop;
mod toolchain;
mod trajectory;
mod turn_records;

pub use agnostics::{AgnosticsError, AgnosticsSummary, serve_agnostics};
pub use cages::{Cages, Ran};
pub use check::checker_request;
pub use compile::Compilation;
pub use compile_cache::{DiskCache, DiskCacheCounts};
pub use dataset_file::{DatasetError, DatasetOptions, LoadedDataset, Unjudgeable, load_dataset};
pub use engine::{Engine, EngineConfig, Spent, root_tree};
pub use error_chain::error_chain;
pub use eval::{EvalError, EvalProgress, Evaluated, Recording, eval};
pub use execute::{Executed, Program, execute};
pub use hook::{CheckerHook, Hook, HookError, HookFailure, HookSpec, RewardFailure};
pub use intercode::{Difference, InterCodeError, ReplayedEpisode, ReplayedTurn, replay_intercode};
pub use judge::{Judged, judge};
pub use parquet_rows::ParquetRowsError;
pub use plan::{HookPlan, PlanError, RolloutPlan, SessionMode, TaskInLanguage};
pub use policy_eval::policy_judgements;
pub use rollout::{RolloutError, RolloutProgress, RolloutResult, RunStart, rollout};
pub use run_summary::{SummaryDepth, summarise_run};
pub use stop::Stop;
pub use toolchain::{Toolchain, ToolchainError};
