//! The 32-bit door: `int 0x80`, with other numbers than the filter judges.

use crate::harness::{Control, Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    control: Control::NeedsKernel("no 32-bit emulation in this kernel"),
    held: Held::Signal(SIGSYS),
    ..Probe::new("i386_calls", Risk::Kernel, ATTACK)
};

const ATTACK: &str = r#"
import mmap

# mov eax, 20 (getpid); int 0x80; ret
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x14\0\0\0\xcd\x80\xc3")
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
result = call()
if result == os.getpid():
    breached("getpid by int 0x80 answered")
held(f"answered {result}")
"#;

/// What a filter's "kill" looks like.
const SIGSYS: i32 = 31;
