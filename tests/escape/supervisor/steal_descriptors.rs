//! Descriptors of PID 1, where its words to the supervisor go.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("steal_descriptors", Risk::Supervisor, ATTACK);

const ATTACK: &str = r#"
descriptor, code = system_call(434, 1, 0)
if descriptor < 0:
    descriptor = os.open("/proc/self", os.O_RDONLY)
taken = [number for number in range(32) if system_call(438, descriptor, number, 0)[0] >= 0]
if taken:
    breached(f"took descriptors {taken} of PID 1")
expect_refusal("PID 1", [("list", lambda: os.listdir("/proc/1/fd")), ("open", lambda: os.open("/proc/1/fd/3", os.O_RDWR))])
"#;
