//! Memory that the kernel may never take back, by every call that locks it.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("locked_memory", Risk::Exhaustion, ATTACK);

const ATTACK: &str = r#"
import mmap

SIZE = 16 << 20
libc.mmap.restype = ctypes.c_void_p
address = libc.mmap(None, ctypes.c_size_t(SIZE), 3, 0x22, -1, ctypes.c_long(0))
segment = libc.shmget(0, SIZE, 0o1600)
expect_call_refusal(
    "lock",
    [
        ("mlock", 149, (address, SIZE)),
        ("mlock2", 325, (address, SIZE, 1)),
        ("mlockall", 151, (3,)),
        ("MAP_LOCKED", 9, (0, SIZE, 3, 0x2022, -1, 0)),
        ("SHM_LOCK", 31, (segment, 11, None)),
        ("memfd_secret", 447, (0,)),
    ],
)
"#;
