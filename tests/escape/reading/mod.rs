//! Reads what is the host's.

mod block_devices;
mod chroot;
mod hard_links;
mod host_path;
mod inherited_descriptors;
mod kernel_log;
mod metadata;
mod mount_table;
mod namespace_files;
mod open_by_handle;
mod path_descriptors;
mod pivot_root;
mod process_environ;
mod process_roots;
mod sys_tree;

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
    &sys_tree::PROBE,
    &block_devices::PROBE,
    &hard_links::PROBE,
    &namespace_files::PROBE,
    &mount_table::PROBE,
    &path_descriptors::PROBE,
    &metadata::PROBE,
];
