//! The memory of the cage next door, by the calls that need no file.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("neighbour_memory", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import struct

them = int(sys.argv[1])
buffer = ctypes.create_string_buffer(8)
local = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(buffer), 8), 16)
remote = ctypes.create_string_buffer(struct.pack("QQ", 0x1000, 8), 16)
nodes = ctypes.create_string_buffer(b"\x01" + bytes(7), 8)
descriptor = system_call(434, them, 0)[0]
# EFAULT: the kernel went to look.
expect_call_refusal(
    "neighbour",
    [
        ("read", 310, (them, local, 1, remote, 1, 0)),
        ("write", 311, (them, local, 1, remote, 1, 0)),
        ("compare", 312, (os.getpid(), them, 2, 0, 0)),
        ("move pages", 279, (them, 0, None, None, None, 0)),
        ("migrate pages", 256, (them, 64, nodes, nodes)),
        ("madvise", 440, (descriptor, local, 1, 20, 0)),
        ("mrelease", 448, (descriptor, 0)),
        ("robust list", 274, (them, ctypes.byref(ctypes.c_long()), ctypes.byref(ctypes.c_long()))),
    ],
    harmless=("EFAULT", "EINVAL"),
)
"#;

const COMPANION: &str = r#"
ready()
while True:
    libc.pause()
"#;
