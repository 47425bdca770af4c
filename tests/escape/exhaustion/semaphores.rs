//! Semaphores, and what a process promises to undo at its end: kernel memory without a page of its own.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(16),
    ..Probe::new("semaphores", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 24 << 20
total = 0
while total < ENOUGH:
    semaphores = libc.semget(0, 32000, 0o1600)
    if semaphores < 0:
        held(f"{name(ctypes.get_errno())} at {total >> 20} MiB")
    # One cache line each, and one operation to undo for all of the set.
    total += 32000 * 64
    libc.semop(semaphores, ctypes.create_string_buffer(b"\0\0\x01\0\0\x10", 6), 1)
breached(f"{total >> 20} MiB in semaphores")
"#;
