//! Pools of the whole machine that no cgroup divides: large pages, asynchronous input and output, the disk's attention.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("machine_pools", Risk::Exhaustion, ATTACK);

const ATTACK: &str = r#"
import mmap


def call(number, *arguments):
    result, code = system_call(number, *arguments)
    if result < 0:
        raise OSError(getattr(errno, code), code)
    return result


context = ctypes.c_ulong(0)
expect_refusal(
    "pool",
    [
        ("file of large pages", lambda: call(319, b"x", 4)),
        ("large pages", lambda: mmap.mmap(-1, 2 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)),
        ("shared large pages", lambda: call(29, 0, 2 << 20, 0o5600)),
        ("asynchronous requests", lambda: call(206, 64, ctypes.byref(context))),
        ("sync", lambda: call(162)),
        ("syncfs", lambda: call(306, os.open("/usr", os.O_RDONLY))),
    ],
)
"#;
