//! The x32 door: 64-bit calls with a bit set in their number.

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe =
    Probe { held: Held::Signal(SIGSYS), ..Probe::new("x32_calls", Risk::Kernel, ATTACK) };

const ATTACK: &str = r#"
# Most kernels answer ENOSYS. Whatever the answer, it means that no filter ended the program before.
breached(f"getpid by x32 answered {system_call(0x40000000 | 39)}")
"#;

/// What a filter's "kill" looks like.
const SIGSYS: i32 = 31;
