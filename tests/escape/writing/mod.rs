//! Changes what is the host's.

mod control_groups;
mod core_dumps;
mod device_nodes;
mod host_files;
mod kernel_settings;
mod mount_descriptors;
mod mount_propagation;
mod mounts;
mod running_programs;
mod secret_file;
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
    &secret_file::PROBE,
    &mount_propagation::PROBE,
    &running_programs::PROBE,
    &core_dumps::PROBE,
];
