//! Memory that belongs to no process: System V segments and memory files.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(64),
    ..Probe::new("shared_memory", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 256 << 20
PIECE = 16 << 20
libc.shmat.restype = ctypes.c_void_p
total = 0
files = []
while total < ENOUGH:
    if total % (2 * PIECE):
        segment = libc.shmget(0, PIECE, 0o1600)
        if segment < 0:
            held(f"{name(ctypes.get_errno())} at {total >> 20} MiB")
        address = libc.shmat(segment, None, 0)
        ctypes.memset(address, 1, PIECE)
        libc.shmdt(ctypes.c_void_p(address))
    else:
        file = os.memfd_create("hog")
        os.write(file, b"x" * PIECE)
        files.append(file)
    total += PIECE
breached(f"{total >> 20} MiB held outside every process")
"#;
