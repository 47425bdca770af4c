//! Every socket family there is, with every type, by socket and by socketpair.

use crate::harness::{Exception, Expectation, Probe, Risk};

const WIRED: &str = "a cage with a network of its own makes sockets of it, which lead nowhere else";

pub(crate) const PROBE: Probe = Probe {
    exceptions: &[
        Exception { modes: "/loopback", expectation: Expectation::Partial, reason: WIRED },
        Exception { modes: "/allowed", expectation: Expectation::Partial, reason: WIRED },
    ],
    ..Probe::new("every_family", Risk::Network, ATTACK)
};

const ATTACK: &str = r#"
import socket

made, refusals = set(), set()
for family in range(64):
    if family == socket.AF_UNIX:
        continue
    for kind in range(1, 11):
        for number, arguments in ((41, (family, kind, 0)), (53, (family, kind, 0, ctypes.create_string_buffer(8)))):
            result, code = system_call(number, *arguments)
            if result >= 0:
                made.add(family)
            refusals.add(code)
# The upper half of the argument is not the filter's to judge, but the kernel drops it as well.
if system_call(41, (1 << 32) | socket.AF_INET, socket.SOCK_STREAM, 0)[0] >= 0:
    made.add("AF_INET with high bits")
if made:
    breached(f"families {made}")
held(" ".join(sorted(refusals)))
"#;
