//! Disturbs other cages.

mod daemon;
mod earlier_files;
mod earlier_processes;
mod host_processes;
mod neighbour_descriptors;
mod neighbour_limits;
mod neighbour_memory;
mod neighbour_processes;
mod neighbour_trace;
mod neighbour_workspace;
mod relay;
mod relays_past_the_limit;
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
    &neighbour_memory::PROBE,
    &neighbour_trace::PROBE,
    &neighbour_descriptors::PROBE,
    &neighbour_limits::PROBE,
    &host_processes::PROBE,
    &earlier_processes::PROBE,
    &relay::PROBE,
    &relays_past_the_limit::PROBE,
];
