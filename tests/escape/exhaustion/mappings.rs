//! Mappings: many small ones, each a structure of the kernel's.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk, UNCOUNTED};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    exceptions: UNCOUNTED,
    limits: |limits| limits.memory = ByteSize::mib(24),
    ..Probe::new("mappings", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 150000
EACH, MAKERS = 60000, 4
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
readers = []
for _ in range(MAKERS):
    reader, writer = os.pipe()
    readers.append(reader)
    if os.fork():
        os.close(writer)
        continue
    address = libc.mmap(None, EACH * 4096, 0, 0x4022, -1, 0)
    made = 0
    # Neighbours of different protection are different mappings.
    for offset in range(0, EACH, 2):
        if libc.mprotect(address + offset * 4096, 4096, 1) != 0:
            break
        made += 2
    os.write(writer, b"%d" % made)
    libc.pause()
made = sum(int(os.read(reader, 20) or b"0") for reader in readers)
if made >= ENOUGH:
    breached(f"{made} mappings")
held(f"{made} mappings")
"#;
