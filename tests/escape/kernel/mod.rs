//! Reaches parts of the kernel that no snippet needs.

mod bpf;
mod device_requests;
mod file_attributes;
mod i386_calls;
mod io_uring;
mod keyring;
mod machine_calls;
mod modules;
mod own_filters;
mod perf_events;
mod personalities;
mod terminal_injection;
mod userfaultfd;
mod x32_calls;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &io_uring::PROBE,
    &bpf::PROBE,
    &perf_events::PROBE,
    &userfaultfd::PROBE,
    &keyring::PROBE,
    &i386_calls::PROBE,
    &x32_calls::PROBE,
    &modules::PROBE,
    &machine_calls::PROBE,
    &terminal_injection::PROBE,
    &device_requests::PROBE,
    &personalities::PROBE,
    &own_filters::PROBE,
    &file_attributes::PROBE,
];
