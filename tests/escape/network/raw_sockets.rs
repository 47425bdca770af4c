//! Sockets below the transport layer.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("raw_sockets", Risk::Network, ATTACK);

const ATTACK: &str = r#"
import socket

expect_refusal(
    "raw socket",
    [
        ("ICMP", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
        ("ICMPv6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)),
        ("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
        ("ping", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)),
    ],
)
"#;
