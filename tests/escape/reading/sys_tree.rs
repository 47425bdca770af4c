//! The kernel's own trees: hardware, modules, addresses, the machine's identity.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("sys_tree", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
def read(path):
    with open(path, "rb") as file:
        return file.read(64)


paths = [f"/sys/{path}" for path in ("kernel/notes", "kernel/uevent_seqnum", "class/net/lo/address", "block", "devices/system/cpu/online")]
paths += ["/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname"]
paths += [f"/proc/{path}" for path in ("modules", "iomem", "interrupts", "slabinfo", "vmallocinfo", "partitions", "net/route")]
expect_refusal("kernel", [(path, lambda path=path: read(path)) for path in paths])
"#;
