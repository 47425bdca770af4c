//! How a server is set up, as its operator says.

use std::time::Duration;

use rollcage_types::ByteSize;

use crate::token::Token;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What requests must carry; `None` asks for nothing.
    pub token: Option<Token>,
    /// Requests that may wait for a turn; more are refused at once.
    pub queue_max: usize,
    /// The longest a request waits for its turn.
    pub queue_time: Duration,
    /// The largest body.
    pub body_max: ByteSize,
    /// Bodies of all requests in the server together; more are refused at once.
    pub bodies_max: ByteSize,
    /// Connections at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// How long a connection may take over a request's head, a request's body, or the reading of one write of a reply.
    pub stall_time: Duration,
    /// How long requests in work may take when the server ends.
    pub drain_time: Duration,
    /// The highest limits a request may ask for.
    pub limits: LimitMaxima,
}

/// The highest limits a request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitMaxima {
    /// Processor time, and time on the clock.
    pub time: Duration,
    /// Memory, and files.
    pub memory: ByteSize,
    /// Output, which is kept in the server's own memory.
    pub output: ByteSize,
    /// Processes and threads alive at once in one cage. The host has one table of them for all.
    pub processes: u32,
    /// Descriptors one process may hold. The kernel refuses more than the server itself may have.
    pub open_files: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            token: None,
            // Thousands of requests arrive at once when a trainer scores a step.
            queue_max: 16_384,
            queue_time: Duration::from_secs(60),
            body_max: ByteSize::mib(64),
            bodies_max: ByteSize::gib(1),
            connections_max: 4096,
            stall_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(30),
            limits: LimitMaxima::default(),
        }
    }
}

impl Default for LimitMaxima {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(600),
            memory: ByteSize::gib(4),
            output: ByteSize::mib(64),
            // Twice what any language of ours needs; a kernel's usual table of 32,768 holds some dozens of such cages.
            processes: 1024,
            // Where distributions set the hard limit for services.
            open_files: 4096,
        }
    }
}
