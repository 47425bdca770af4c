//! Calls that act on the machine: clock, swap, accounting, ports, reboot, quotas.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("machine_calls", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
# With arguments that no kernel acts on: that it looks at them is breach enough.
expect_call_refusal(
    "machine",
    [
        ("settimeofday", 164, (b"\xff" * 16, None)),
        ("clock_settime", 227, (0, b"\xff" * 16)),
        ("adjtimex", 159, (None,)),
        ("swapon", 167, (b"/no-such-file", 0)),
        ("swapoff", 168, (b"/no-such-file",)),
        ("acct", 163, (b"/no-such-file",)),
        ("iopl", 172, (4,)),
        ("ioperm", 173, (1 << 20, 1, 1)),
        ("reboot", 169, (0, 0, 0, None)),
        ("quotactl", 179, (0, b"/no-such-file", 0, None)),
        ("sethostname", 170, (None, 1)),
        ("setdomainname", 171, (None, 1)),
        ("vhangup", 153, ()),
        ("fanotify_init", 300, (0, 0)),
    ],
    harmless=("EINVAL", "EFAULT", "ENOENT", "ENOTBLK", "ENODEV", "ENXIO"),
)
"#;
