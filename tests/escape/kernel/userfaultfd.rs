//! Page faults handled by itself: the classic way to win a race against the kernel.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("userfaultfd", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
attempts = [("all faults", 323, (0,)), ("user faults", 323, (1,))]
if opens("/dev/userfaultfd"):
    breached("the device can be opened")
expect_call_refusal("userfaultfd", attempts)
"#;
