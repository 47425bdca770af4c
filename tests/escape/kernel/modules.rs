//! Code loaded into the kernel, or another kernel in its place.

use crate::harness::{Control, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    control: Control::NeedsKernel("neither modules nor kexec in this kernel"),
    ..Probe::new("modules", Risk::Kernel, ATTACK)
};

const ATTACK: &str = r#"
# With arguments that no kernel acts on: that it looks at them is breach enough.
expect_call_refusal(
    "modules",
    [
        ("init_module", 175, (b"", 0, b"")),
        ("finit_module", 313, (-1, b"", 0)),
        ("delete_module", 176, (b"no-such-module", 0)),
        ("kexec_load", 246, (0, 0, None, 1 << 62)),
        ("kexec_file_load", 320, (-1, -1, 0, b"", 1 << 62)),
    ],
    harmless=("EINVAL", "EBADF", "ENOEXEC", "EFAULT", "ENOENT", "EBUSY"),
)
"#;
