//! A name looked up, by asking a server and by the resolver: a lookup carries out whatever is put in the name.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe =
    Probe { companion: Companion::Host(COMPANION), ..Probe::new("name_service", Risk::Network, ATTACK) };

const ATTACK: &str = r#"
import socket

QUERY = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06escape\x04test\0\0\x01\0\x01"


def ask(address, port, kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as ours:
        ours.settimeout(2)
        ours.connect((address, port))
        ours.sendall(QUERY)
        return ours.recv(512)


attempts = [("server", lambda: ask("127.0.0.1", int(sys.argv[2])))]
if not UNCONFINED:
    # The control must not ask anybody outside.
    attempts += [(address, lambda address=address: ask(address, 53)) for address in ("127.0.0.53", "8.8.8.8")]
    attempts += [("TCP", lambda: ask("8.8.8.8", 53, socket.SOCK_STREAM))]
    attempts += [("resolver", lambda: socket.getaddrinfo("escape.test", 80))]
expect_refusal("name", attempts)
"#;

const COMPANION: &str = r#"
import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 0))
    ready(server.getsockname()[1])
    while True:
        query, peer = server.recvfrom(512)
        server.sendto(query[:2] + b"\x81\x80" + query[4:], peer)
"#;
