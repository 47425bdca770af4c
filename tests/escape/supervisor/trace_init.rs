//! PID 1 of its cage, traced: it knows how the run ended.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("trace_init", Risk::Supervisor, ATTACK);

const ATTACK: &str = r#"
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206


def write_memory():
    with open("/proc/1/mem", "r+b", buffering=0) as file:
        file.seek(0x1000)
    return "opened"


result, code = system_call(101, PTRACE_SEIZE, 1, 0, 0)
if result < 0:
    result, other = system_call(101, PTRACE_ATTACH, 1, 0, 0)
if result >= 0:
    breached("traced PID 1")
if code not in ("EPERM", "ENOSYS"):
    breached(f"the kernel looked at the call: {code}")
expect_refusal("PID 1", [("memory", write_memory)])
"#;
