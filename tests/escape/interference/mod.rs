//! Disturbs other cages.

mod daemon;
mod earlier_files;
mod earlier_memory;
mod neighbour_processes;
mod neighbour_workspace;
mod rendezvous;
mod signal_everybody;
mod strange_children;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &daemon::PROBE,
    &strange_children::PROBE,
    &signal_everybody::PROBE,
    &neighbour_processes::PROBE,
    &neighbour_workspace::PROBE,
    &rendezvous::PROBE,
    &earlier_files::PROBE,
    &earlier_memory::PROBE,
];
