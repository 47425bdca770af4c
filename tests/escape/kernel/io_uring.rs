//! io_uring: system calls that no filter sees.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("io_uring", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
parameters = ctypes.create_string_buffer(120)
expect_call_refusal("io_uring", [("setup", 425, (4, parameters)), ("enter", 426, (0, 0, 0, 0, None, 0)), ("register", 427, (0, 0, None, 0))])
"#;
