//! Execution domains that turn protections off: executable data, a mapped page zero.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("personalities", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
READ_IMPLIES_EXEC, MMAP_PAGE_ZERO, PER_SVR4 = 0x400000, 0x100000, 0x4100001
expect_call_refusal(
    "personality",
    [("READ_IMPLIES_EXEC", 135, (READ_IMPLIES_EXEC,)), ("PER_SVR4", 135, (PER_SVR4,)), ("page zero", 135, (MMAP_PAGE_ZERO,)),
     ("a mapping at zero", 9, (0, 4096, 3, 0x32, -1, 0))],
)
"#;
