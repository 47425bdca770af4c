//! Changes what is the host's.

mod control_groups;
mod device_nodes;
mod host_files;
mod kernel_settings;
mod mount_descriptors;
mod mounts;
mod user_namespace;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &host_files::PROBE,
    &mounts::PROBE,
    &mount_descriptors::PROBE,
    &user_namespace::PROBE,
    &device_nodes::PROBE,
    &kernel_settings::PROBE,
    &control_groups::PROBE,
];
