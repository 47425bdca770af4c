//! Netlink: the way to the network's settings, and to many a kernel bug.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("netlink", Risk::Network, ATTACK);

const ATTACK: &str = r#"
import socket

expect_refusal(
    "netlink",
    [(str(p), lambda p=p: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, p)) for p in (0, 4, 9, 12, 15, 16)],
)
"#;
