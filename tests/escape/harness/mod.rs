//! Runs probes as control and in the cage of every mode, and looks at the host in between.

mod cage;
mod canary;
mod control;
mod conversation;
mod copy;
mod machine;
mod matrix;
mod modes;
mod probe;
mod request;
mod scene;
mod station;
mod supervisor;

pub(crate) use matrix::attack;
pub(crate) use probe::{
    Companion, Control, Exception, Expectation, Held, Probe, Risk, UNCOUNTED, User, Workspace,
};
pub(crate) use supervisor::serve;
