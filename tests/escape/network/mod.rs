//! Talks to somebody outside.

mod abstract_socket;
mod every_family;
mod host_loopback;
mod interface_requests;
mod name_service;
mod netlink;
mod raw_sockets;
mod unix_socket_file;
mod vsock;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &host_loopback::PROBE,
    &abstract_socket::PROBE,
    &unix_socket_file::PROBE,
    &raw_sockets::PROBE,
    &netlink::PROBE,
    &vsock::PROBE,
    &every_family::PROBE,
    &name_service::PROBE,
    &interface_requests::PROBE,
];
