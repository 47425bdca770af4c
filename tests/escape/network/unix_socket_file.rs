//! A unix socket of the host's that has a file, by its path.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe =
    Probe { companion: Companion::Host(COMPANION), ..Probe::new("unix_socket_file", Risk::Network, ATTACK) };

const ATTACK: &str = r#"
import socket


def reach(path):
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(path)
        return ours.recv(16)


path = sys.argv[2]
expect_refusal("socket file", [(p, lambda p=p: reach(p)) for p in (path, f"/proc/1/root{path}", f"../../../..{path}")])
"#;

const COMPANION: &str = r#"
import socket

path = os.path.dirname(SECRET_PATH or "/root/.") + f"/socket-{os.getpid()}"
with socket.socket(socket.AF_UNIX) as server:
    server.bind(path)
    os.chmod(path, 0o777)
    server.listen()
    ready(path)
    while True:
        peer, _ = server.accept()
        peer.sendall(b"reached")
"#;
