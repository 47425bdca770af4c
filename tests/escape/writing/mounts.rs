//! Mounts: a new one, the read-only trees made writable, and what covers others taken away.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("mounts", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
os.mkdir("on")
MS_REMOUNT_BIND = 32 | 4096
expect_call_refusal(
    "mount",
    [
        ("tmpfs", 165, (b"none", b"on", b"tmpfs", 0, None)),
        ("proc", 165, (b"none", b"on", b"proc", 0, None)),
        ("bind", 165, (b"/usr", b"on", None, 4096, None)),
        ("remount", 165, (None, b"/usr", None, MS_REMOUNT_BIND, None)),
        ("remount of the root", 165, (None, b"/", None, MS_REMOUNT_BIND, None)),
        ("umount", 166, (b"/proc", 2)),
    ],
)
"#;
