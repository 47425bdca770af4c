//! Attacks the processes that judge it.

mod artefact_crowd;
mod artefact_depth;
mod artefact_gone;
mod artefact_links;
mod artefact_names;
mod artefact_owners;
mod artefact_traps;
mod end_of_streams;
mod forged_reports;
mod init_memory;
mod malformed_frames;
mod signal_init;
mod steal_descriptors;
mod terminal_escapes;
mod trace_init;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &signal_init::PROBE,
    &trace_init::PROBE,
    &init_memory::PROBE,
    &steal_descriptors::PROBE,
    &forged_reports::PROBE,
    &artefact_links::PROBE,
    &artefact_traps::PROBE,
    &artefact_gone::PROBE,
    &artefact_names::PROBE,
    &terminal_escapes::PROBE,
    &malformed_frames::PROBE,
    &end_of_streams::PROBE,
    &artefact_depth::PROBE,
    &artefact_crowd::PROBE,
    &artefact_owners::PROBE,
];
