//! Programs and judgements over HTTP, from one process with one host.
//!
//! Owns connections, admission to the engine, statuses and headers, and counting; a request that is not done is refused
//! with a reason and a word on whether trying again may help. Leaves what bodies look like to `rollcage-api`, and what
//! is done with them to `rollcage-engine`.
//!
//! Cancelling is dropping: a client that goes away ends its connection, which drops the request's future and with it its
//! cages.
#![forbid(unsafe_code)]

mod admission;
mod app;
mod body;
mod config;
mod connections;
mod dialects;
mod listen;
mod metrics;
mod refusal;
mod routes;
mod stall;
mod token;

pub use config::{LimitMaxima, ServerConfig};
pub use connections::serve;
pub use listen::{ListenAddress, ListenError, Listener};
pub use token::Token;
