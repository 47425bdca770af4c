//! The network's settings asked of a socket that has nothing to do with it: every socket understands these.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("interface_requests", Risk::Network, ATTACK);

const ATTACK: &str = r#"
import fcntl
import socket
import struct

lo = struct.pack("16sh14x", b"lo", 0)
requests = {
    "SIOCGIFCONF": (0x8912, bytes(16)), "SIOCGIFFLAGS": (0x8913, lo), "SIOCSIFFLAGS": (0x8914, lo), "SIOCGIFINDEX": (0x8933, lo),
    "SIOCSIFNAME": (0x8923, lo), "SIOCETHTOOL": (0x8946, lo), "SIOCBRADDBR": (0x89A0, b"escape\0"), "SIOCGSTAMP": (0x8906, bytes(16)),
    "SIOCGIFVLAN": (0x8982, bytes(64)), "SIOCDELDLCI": (0x8981, bytes(64)), "SIOCUNIXFILE": (0x89E0, bytes(4)),
}
# One of a pair: some cages have no other.
ours, theirs = socket.socketpair()
with ours, theirs:
    expect_refusal("interface", [(label, lambda r=r: fcntl.ioctl(ours, *r)) for label, r in requests.items()])
"#;
