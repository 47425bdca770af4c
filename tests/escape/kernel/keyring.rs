//! The kernel's key rings, which namespaces do not separate.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("keyring", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
expect_call_refusal(
    "keyring",
    [
        ("add_key", 248, (b"user", b"escape", b"x", 1, -2)),
        ("request_key", 249, (b"user", b"escape", None, -2)),
        ("keyctl", 250, (0, -3, 1, 0, 0)),
    ],
)
"#;
