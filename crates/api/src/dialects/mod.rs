//! The wires of other execution services, so that their clients can be pointed at this server unchanged.
//!
//! Owns what their requests mean here, what our outcomes are in their words, and what they answer to a request that
//! makes no sense. Leaves running to the server. Each dialect is lenient where the original is (unknown fields are
//! ignored) and strict where it is.
//!
//! One rule comes before fidelity: a failure of ours is told in the way that makes the dialect's clients try again or
//! stop, and never in one that they take for the program's behaviour. `docs/dialects.md` has the table.

mod bounded_json;
pub mod code_judge;
mod order;
pub mod sandbox_fusion;
mod told;
mod validation;

pub use order::{Executed, Order};
pub use told::Cancelled;
pub use validation::{Fault, Location, Mistake, ValidationReply};
