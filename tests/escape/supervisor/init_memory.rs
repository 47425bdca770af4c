//! The memory of PID 1 and of its own parent, by the calls made for debuggers.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("init_memory", Risk::Supervisor, ATTACK);

const ATTACK: &str = r#"
import struct

buffer = ctypes.create_string_buffer(8)
local = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(buffer), 8), 16)
remote = ctypes.create_string_buffer(struct.pack("QQ", 0x1000, 8), 16)
# EFAULT: the kernel went to look.
expect_call_refusal(
    "maker",
    [
        call
        for pid in MAKERS
        for call in (
            ("read", 310, (pid, local, 1, remote, 1, 0)),
            ("write", 311, (pid, local, 1, remote, 1, 0)),
            ("compare", 312, (os.getpid(), pid, 2, 0, 0)),
            ("move pages", 279, (pid, 0, None, None, None, 0)),
        )
    ],
    harmless=("EFAULT",),
)
"#;
