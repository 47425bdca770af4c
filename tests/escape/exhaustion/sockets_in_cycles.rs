//! Sockets sent through each other and closed, which only the kernel's collector can find: all sockets wait for it.

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        if outcome.termination.is_success() {
            Ok("collected".to_owned())
        } else {
            Err("not collected".to_owned())
        }
    }),
    ..Probe::new("sockets_in_cycles", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import array
import socket

made = 0
for _ in range(2000):
    try:
        ours, theirs = socket.socketpair()
        # Each end is in the other's queue; closing both leaves a ring.
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [ours.fileno()]))])
        theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))])
        made += 1
    except OSError:
        pass
    ours.close()
    theirs.close()
if UNCONFINED and made >= 1000:
    breached(f"{made} rings for the collector of everybody's sockets")
print(made)
"#;
