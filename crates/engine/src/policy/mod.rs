//! Policies: the models that write the turns.
//!
//! Owns the calls to an OpenAI-compatible server (streaming, timeouts, retries, errors told apart by cause) and
//! the replay of recorded turns. Leaves what a completion means to `rollcage-rollout`, and whether a failed call
//! ends a trajectory to the drivers. A failed call is always an error here, never an empty completion.

mod assembly;
mod backoff;
mod endpoint;
mod error;
mod openai;
mod recorded;
mod request;
mod sse;
mod wire;

pub use backoff::RetryPlan;
pub use error::{Partial, PolicyError, PolicyErrorKind, PolicySetupError, TimeLimit};
pub use openai::{OpenAiConfig, OpenAiPolicy, Timeouts};
pub use recorded::{RecordedPolicy, TranscriptError};
pub use request::{Latency, Policy, PolicyReply, PolicyRequest, Sampling};
