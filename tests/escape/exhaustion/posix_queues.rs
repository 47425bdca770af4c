//! POSIX message queues, which are a file system without a limit on its size.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("posix_queues", Risk::Exhaustion, ATTACK);

const ATTACK: &str = r#"
ENOUGH = 256 << 10
libc.mq_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
# struct mq_attr: ten messages of 8 KiB.
attributes = ctypes.create_string_buffer(bytes(8) + (10).to_bytes(8, "little") + (8192).to_bytes(8, "little") + bytes(40), 64)
total = 0
while total < ENOUGH:
    queue = libc.mq_open(b"/%d" % total, os.O_CREAT | os.O_RDWR, 0o600, attributes)
    if queue < 0:
        held(f"{name(ctypes.get_errno())} at {total >> 10} KiB")
    total += 10 * 8192
breached(f"{total >> 10} KiB in queues")
"#;
