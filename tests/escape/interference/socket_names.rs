//! A message in the name of a socket, for whoever reads the network namespace's list of them.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("socket_names", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
def look(table):
    with open(f"/proc/self/net/{table}") as file:
        if "ATTACK-AT-DAWN" in file.read():
            return True
    # A list that holds only what is the cage's own tells nothing.
    raise OSError(errno.ENOENT, "not listed")


expect_refusal("list", [("unix", lambda: look("unix")), ("sockstat", lambda: look("sockstat"))])
"#;

const COMPANION: &str = r#"
import socket

try:
    server = socket.socket(socket.AF_UNIX)
    server.bind("ATTACK-AT-DAWN")
except OSError:
    # Without a socket it has no name to give one.
    pass
ready()
while True:
    libc.pause()
"#;
