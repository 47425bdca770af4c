//! Hooks: rewards, checkers and tools of the operator's own, as processes that speak JSON lines, version 1.
//!
//! Owns what is written to a hook and what may be read from it, the same for every kind: one line asks, one line
//! answers with the `id` that was asked with. The first line a process gets asks it to describe itself; it answers when
//! it is ready. Leaves processes, deadlines and bounds to `rollcage-engine`.

mod checker;
mod config;
mod describe;
mod reply;
mod reward;
mod schema;
mod tool;

pub use checker::{CheckerReply, CheckerRequest};
pub use config::{CheckerConfig, HookConfig, ToolsConfig};
pub use describe::{DescribeReply, DescribeRequest, HookKind, HookTool};
pub use reply::{HookReplyError, hook_line, read_hook_reply};
pub use reward::{HookReward, RewardJudgement, RewardReply, RewardRequest, RewardTrajectory};
pub use schema::hook_schema;
pub use tool::{ToolReply, ToolRequest};

/// The version every request carries.
pub const HOOK_VERSION: u32 = 1;

/// Bytes of a hook's words that are kept: they stand in reports and in the store, once for each case or sample.
const MESSAGE_BYTES_MAX: usize = 2048;

/// The beginning of a hook's words.
fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
        text.push('…');
    }
    text
}
