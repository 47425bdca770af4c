//! A service on the host's loopback, by TCP and UDP, IPv4 and IPv6.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe =
    Probe { companion: Companion::Host(COMPANION), ..Probe::new("host_loopback", Risk::Network, ATTACK) };

const ATTACK: &str = r#"
import socket

port = int(sys.argv[2])


def reach(family, kind, address):
    with socket.socket(family, kind) as ours:
        ours.settimeout(2)
        ours.connect((address, port))
        ours.sendall(b"?")
        return ours.recv(16)


expect_refusal(
    "host's loopback",
    [
        ("TCP", lambda: reach(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1")),
        ("UDP", lambda: reach(socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1")),
        ("TCP over IPv6", lambda: reach(socket.AF_INET6, socket.SOCK_STREAM, "::ffff:127.0.0.1")),
    ],
)
"#;

const COMPANION: &str = r#"
import socket

with socket.create_server(("127.0.0.1", 0)) as server:
    ready(server.getsockname()[1])
    while True:
        peer, _ = server.accept()
        peer.sendall(b"reached")
"#;
