//! Page tables: a page of them for every two megabytes touched, although what is touched is the one page of zeros.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk, UNCOUNTED};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    exceptions: UNCOUNTED,
    limits: |limits| limits.memory = ByteSize::mib(48),
    ..Probe::new("page_tables", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 160 << 20
HUGE, PAGE = 2 << 20, 4096
SPAN = ENOUGH // PAGE * HUGE
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
# Read only, private, not reserved: neither data nor resident.
address = libc.mmap(None, SPAN, 1, 0x4022, -1, 0)
if address == ctypes.c_void_p(-1).value:
    held(name(ctypes.get_errno()))
# Else one large page of zeros would do.
libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(SPAN), 15)
touched = (ctypes.c_char * SPAN).from_address(address)
for offset in range(0, SPAN, HUGE):
    touched[offset]
with open("/proc/self/status") as status:
    tables = next(int(line.split()[1]) for line in status if line.startswith("VmPTE"))
if tables << 10 >= ENOUGH:
    breached(f"{tables >> 10} MiB of page tables")
held(f"{tables >> 10} MiB of page tables")
"#;
