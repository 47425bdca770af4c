//! The x32 door: 64-bit calls with a bit set in their number.

use crate::harness::{Control, Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    control: Control::NeedsKernel("no x32 in this kernel"),
    held: Held::Signal(SIGSYS),
    ..Probe::new("x32_calls", Risk::Kernel, ATTACK)
};

const ATTACK: &str = r#"
result, code = system_call(0x40000000 | 39)
if result == os.getpid():
    breached("getpid by x32 answered")
held(code)
"#;

/// What a filter's "kill" looks like.
const SIGSYS: i32 = 31;
