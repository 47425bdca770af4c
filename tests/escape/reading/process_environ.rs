//! The environment, memory map and descriptors of PID 1, which may hold keys of the host.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("process_environ", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
def read(path):
    with open(path, "rb") as file:
        return file.read(64)


expect_refusal(
    "PID 1",
    [(f, lambda f=f: read(f"/proc/1/{f}")) for f in ("environ", "maps", "auxv", "cmdline", "stack")]
    + [("fd", lambda: os.listdir("/proc/1/fd")), ("exe", lambda: os.readlink("/proc/1/exe"))],
)
"#;
