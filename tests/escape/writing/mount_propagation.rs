//! Mounts that spread: its tree made shared, so that what it mounts appears elsewhere, or a slave, so that it follows others.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("mount_propagation", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE = 1 << 14, 1 << 18, 1 << 19, 1 << 20, 1 << 17
kinds = {"shared": MS_SHARED, "slave": MS_SLAVE, "private": MS_PRIVATE, "unbindable": MS_UNBINDABLE}
calls = [(f"{label} {place}", 165, (None, place, None, flag | MS_REC, None)) for label, flag in kinds.items() for place in (b"/", b"/usr", b".")]
# struct mount_attr with propagation, by mount_setattr.
attributes = ctypes.create_string_buffer(b"\0" * 16 + MS_SHARED.to_bytes(8, "little") + b"\0" * 8, 32)
calls.append(("mount_setattr", 442, (-100, b"/", 0x8000, attributes, 32)))
expect_call_refusal("propagation", calls)
"#;
