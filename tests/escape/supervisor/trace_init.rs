//! PID 1 of its cage and its own parent, traced: they know how the run ended.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("trace_init", Risk::Supervisor, ATTACK);

const ATTACK: &str = r#"
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206


def write_memory(pid):
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as file:
        file.seek(0x1000)
    return "opened"


for pid in MAKERS:
    result, code = system_call(101, PTRACE_SEIZE, pid, 0, 0)
    if result < 0:
        result, other = system_call(101, PTRACE_ATTACH, pid, 0, 0)
    if result >= 0:
        breached(f"traced {pid}")
    if code not in ("EPERM", "ENOSYS"):
        breached(f"the kernel looked at the call: {code}")
expect_refusal("maker", [(f"memory of {pid}", lambda pid=pid: write_memory(pid)) for pid in MAKERS])
"#;
