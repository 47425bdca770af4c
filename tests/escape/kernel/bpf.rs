//! Programs loaded into the kernel.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("bpf", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
# BPF_MAP_CREATE of an array with one element.
attributes = ctypes.create_string_buffer(b"\x02\0\0\0\x04\0\0\0\x04\0\0\0\x01\0\0\0" + b"\0" * 56, 72)
expect_call_refusal("bpf", [("map", 321, (0, attributes, 72))])
"#;
