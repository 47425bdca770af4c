//! What the server says of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReply {
    /// Whether it takes work.
    pub status: HealthStatus,
    /// Cages that run at once.
    pub slots: usize,
    /// Requests in work.
    pub running: usize,
    /// Requests that wait.
    pub queued: usize,
    /// The isolation level of its cages.
    pub isolation: String,
    /// The server's version.
    pub version: String,
}

/// Whether a server takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It does.
    Ok,
    /// It finishes what it has, and ends.
    Draining,
}

/// `GET /v1/languages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LanguagesReply {
    /// Sorted by name.
    pub languages: Vec<LanguageReply>,
}

/// One language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LanguageReply {
    /// What it is called.
    pub name: String,
    /// What people call it.
    pub display: String,
    /// Other names that are understood.
    pub aliases: Vec<String>,
    /// Whether its toolchain is on the host.
    pub present: bool,
    /// What the toolchain says of itself; `null` where it is not there, or says nothing.
    pub version: Option<String>,
}
