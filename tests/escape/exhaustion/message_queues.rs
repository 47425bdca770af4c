//! Kernel memory in message queues and semaphores, which outlive their processes.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(16),
    ..Probe::new("message_queues", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 24 << 20
total = 0
message = ctypes.create_string_buffer(b"\x01\0\0\0\0\0\0\0" + b"x" * 8000, 8008)
while total < ENOUGH:
    queue = libc.msgget(0, 0o1600)
    if queue < 0:
        held(f"{name(ctypes.get_errno())} at {total >> 20} MiB")
    while libc.msgsnd(queue, message, 8000, 0o4000) == 0:
        total += 8000
breached(f"{total >> 20} MiB in message queues")
"#;
