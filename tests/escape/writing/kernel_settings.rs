//! Settings of the kernel below /proc/sys and /sys, and its own place in the out-of-memory order.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("kernel_settings", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return text


# The control writes only what belongs to its own namespaces.
expect_refusal(
    "kernel setting",
    [
        ("oom_score_adj", lambda: write("/proc/self/oom_score_adj", "-1000")),
        ("hostname", lambda: write("/proc/sys/kernel/hostname", MARKER)),
        ("ip_forward", lambda: write("/proc/sys/net/ipv4/ip_forward", "0")),
        ("ifalias", lambda: write("/sys/class/net/lo/ifalias", MARKER)),
        ("list /sys", lambda: os.listdir("/sys")),
        ("list /proc/sys", lambda: os.listdir("/proc/sys")),
    ],
)
"#;
