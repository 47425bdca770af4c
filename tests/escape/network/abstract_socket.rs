//! An abstract unix socket of the host's: it has no file, so no mount hides it.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe =
    Probe { companion: Companion::Host(COMPANION), ..Probe::new("abstract_socket", Risk::Network, ATTACK) };

const ATTACK: &str = r#"
import socket

address = "\0" + sys.argv[2]


def stream():
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(address)
        return ours.recv(16)


def datagram():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        return ours.sendto(b"?", address + "-datagram")


expect_refusal("abstract socket", [("stream", stream), ("datagram", datagram)])
"#;

const COMPANION: &str = r#"
import socket

address = f"{MARKER}-{os.getpid()}"
stream = socket.socket(socket.AF_UNIX)
stream.bind("\0" + address)
stream.listen()
datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
datagram.bind("\0" + address + "-datagram")
ready(address)
while True:
    peer, _ = stream.accept()
    peer.sendall(b"reached")
"#;
