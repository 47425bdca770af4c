//! Reads what is the host's.

mod chroot;
mod host_path;
mod inherited_descriptors;
mod kernel_log;
mod open_by_handle;
mod pivot_root;
mod process_environ;
mod process_roots;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &host_path::PROBE,
    &process_roots::PROBE,
    &process_environ::PROBE,
    &inherited_descriptors::PROBE,
    &open_by_handle::PROBE,
    &chroot::PROBE,
    &pivot_root::PROBE,
    &kernel_log::PROBE,
];
