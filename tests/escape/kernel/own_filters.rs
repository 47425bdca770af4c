//! Filters of its own, whose notifications could fool those that run beside it.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("own_filters", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
import struct

# Allow everything, with a listener.
instruction = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000), 8)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(instruction)), 16)
expect_call_refusal(
    "filter", [("seccomp", 317, (1, 8, program)), ("prctl", 157, (22, 2, program, 0, 0)), ("strict", 157, (22, 1, 0, 0, 0))]
)
"#;
