//! Policies at their boundary: a real HTTP server that says exactly the bytes it is told to, and real files.

mod failures;
mod recorded;
mod server;
mod success;
