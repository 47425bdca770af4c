//! The kernel's log, with the addresses and names in it, by syslog(2) and by its files.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("kernel_log", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
buffer = ctypes.create_string_buffer(4096)
result, code = system_call(103, 3, buffer, 4096)
if result >= 0:
    breached(f"read {result} bytes of the kernel log")
for path in ("/dev/kmsg", "/proc/kmsg", "/proc/kallsyms", "/proc/kcore", "/proc/config.gz", "/proc/cmdline"):
    if opens(path):
        breached(f"{path} can be read")
held(code)
"#;
