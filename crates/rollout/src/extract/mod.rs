//! Reading code and answers out of what a policy wrote.
//!
//! [`Dialect`] tells steps from answers inside a conversation; [`ExtractionRule`] finds the program in a whole
//! answer. Neither looks at [`Completion::reasoning`](crate::Completion::reasoning): what a policy thinks is not
//! what it does.

mod answer;
mod dialect;
mod fence;
mod stop;
mod tags;
mod tool;

pub use answer::{ExtractionRule, NoCode};
pub use dialect::{ActionForm, AnswerRule, Dialect, Intent, VoidReason};
pub use fence::{FencedBlock, Pick, choose_block, fenced_blocks};
pub use stop::truncate_at_stop;
pub use tool::ToolForm;
