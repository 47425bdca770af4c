//! Words for the supervisor that are none: huge, empty, torn, with descriptors, on everything that takes them.

use rollcage_types::Termination;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        if outcome.termination == (Termination::Exited { code: 9 }) {
            Ok("the verdict is the kernel's".to_owned())
        } else {
            Err(format!("believed {:?}", outcome.termination))
        }
    }),
    ..Probe::new("malformed_frames", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
import array
import socket
import struct

frames = [b"", b"\0", b"\xff" * 8, b"\xff" * 65536, struct.pack("Q", 2), struct.pack("9Q", *[2**64 - 1] * 9), b"\x02" + bytes(71)]
frames += [struct.pack("9Q", kind, 1, 0, 1, 0, 0, 0, 0, 0) for kind in range(8)]
before = [number for number in range(3, 64)]
sockets = set()
if os.path.exists("/proc/self/net/unix"):
    try:
        with open("/proc/self/net/unix") as table:
            sockets = {line.split()[-1] for line in list(table)[1:] if len(line.split()) > 7}
    except OSError:
        pass
sockets |= {"/run/rollcage/control", "\0rollcage", "/ws/control"}
for frame in frames:
    for number in [*before, 0, 1, 2]:
        try:
            os.set_blocking(number, False)
            os.write(number, frame)
        except OSError:
            pass
        try:
            # Torn, and with a descriptor in it.
            with socket.socket(fileno=os.dup(number)) as ours:
                ours.sendmsg([frame[:3]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1]))])
        except OSError:
            pass
if not UNCONFINED:
    for address in sockets:
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
            try:
                with socket.socket(socket.AF_UNIX, kind) as ours:
                    ours.connect("\0" + address[1:] if address[0] == "@" else address)
                    print("BREACHED reached", address, flush=True)
            except OSError:
                pass
os._exit(9)
"#;
