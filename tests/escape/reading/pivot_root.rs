//! Another root by pivot_root, on the workspace or on a mount of its own.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("pivot_root", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
os.makedirs("new/old")
result, _ = system_call(165, b"none", b"new", b"tmpfs", 0, None)
if result == 0:
    os.mkdir("new/old")
expect_call_refusal(
    "pivot_root", [("on a mount", 155, (b"new", b"new/old")), ("on the workspace", 155, (b".", b"."))]
)
"#;
