//! Runs probes as control and in the cage, and looks at the host in between.

mod cage;
mod control;
mod machine;
mod panel;
mod probe;
mod scene;

pub(crate) use panel::attack;
pub(crate) use probe::{Companion, Control, Held, Probe, Risk, User, Workspace};
