//! The same through the descriptor-based mount interface, which older filters do not know.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("mount_descriptors", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
expect_call_refusal(
    "mount",
    [
        ("fsopen", 430, (b"tmpfs", 0)),
        ("open_tree", 428, (-100, b"/", 1)),
        ("fspick", 433, (-100, b"/", 0)),
        ("move_mount", 429, (-100, b"/usr", -100, b".", 0)),
        ("mount_setattr", 442, (-100, b"/usr", 0, None, 0)),
        ("fsmount", 432, (0, 0, 0)),
        ("fsconfig", 431, (0, 0, None, None, 0)),
    ],
    harmless=("EINVAL", "EBADF"),
)
"#;
