//! Descriptors of PID 1 and of its own parent, where its words to the supervisor go.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("steal_descriptors", Risk::Supervisor, ATTACK);

const ATTACK: &str = r#"
attempts = []
for pid in MAKERS:
    descriptor, code = system_call(434, pid, 0)
    if descriptor < 0:
        descriptor = os.open("/proc/self", os.O_RDONLY)
    taken = [number for number in range(32) if system_call(438, descriptor, number, 0)[0] >= 0]
    if taken:
        breached(f"took descriptors {taken} of {pid}")
    attempts.append(("list", lambda pid=pid: os.listdir(f"/proc/{pid}/fd")))
    attempts.append(("open", lambda pid=pid: os.open(f"/proc/{pid}/fd/3", os.O_RDWR)))
expect_refusal("maker", attempts)
"#;
