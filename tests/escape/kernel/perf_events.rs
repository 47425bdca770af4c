//! Performance counters, which watch the kernel and the processor's other users.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("perf_events", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
# struct perf_event_attr: a software clock of this process.
attributes = ctypes.create_string_buffer(b"\x01\0\0\0\x70\0\0\0" + b"\0" * 104, 112)
expect_call_refusal("perf_event_open", [("own", 298, (attributes, 0, -1, -1, 0)), ("all", 298, (attributes, -1, 0, -1, 0))])
"#;
