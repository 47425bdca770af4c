//! Code loaded into the kernel, or another kernel in its place.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("modules", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
# With arguments that no kernel acts on: that it looks at them is breach enough. A kernel built without answers ENOSYS to
# those who may, so that EPERM is the filter's word.
expect_call_refusal(
    "modules",
    [
        ("init_module", 175, (b"", 0, b"")),
        ("finit_module", 313, (-1, b"", 0)),
        ("delete_module", 176, (b"no-such-module", 0)),
        ("kexec_load", 246, (0, 0, None, 1 << 62)),
        ("kexec_file_load", 320, (-1, -1, 0, b"", 1 << 62)),
    ],
    harmless=("ENOSYS", "EINVAL", "EBADF", "ENOEXEC", "EFAULT", "ENOENT", "EBUSY"),
)
"#;
