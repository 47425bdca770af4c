//! Becomes more than it was.

mod file_capabilities;
mod identities;
mod no_new_privs;
mod own_set_uid;
mod priorities;
mod process_controls;
mod resource_limits;
mod set_uid_programs;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &set_uid_programs::PROBE,
    &own_set_uid::PROBE,
    &file_capabilities::PROBE,
    &identities::PROBE,
    &no_new_privs::PROBE,
    &resource_limits::PROBE,
    &priorities::PROBE,
    &process_controls::PROBE,
];
