//! Disturbs other cages.

mod daemon;
mod earlier_files;
mod earlier_memory;
mod neighbour_processes;
mod neighbour_workspace;
mod rendezvous;
mod signal_everybody;
mod socket_names;
mod strange_children;
mod watched_files;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &daemon::PROBE,
    &strange_children::PROBE,
    &signal_everybody::PROBE,
    &neighbour_processes::PROBE,
    &neighbour_workspace::PROBE,
    &rendezvous::PROBE,
    &socket_names::PROBE,
    &watched_files::PROBE,
    &earlier_files::PROBE,
    &earlier_memory::PROBE,
];
