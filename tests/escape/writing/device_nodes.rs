//! Device nodes of its own: memory, a disk, a character device that works.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("device_nodes", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
import stat

refusals = set()
for kind, major, minor in ((stat.S_IFCHR, 1, 5), (stat.S_IFBLK, 7, 0), (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 10, 232)):
    for place in (".", "/tmp", "/dev"):
        try:
            node = f"{place}/{MARKER}-{major}-{minor}"
            os.mknod(node, kind | 0o666, os.makedev(major, minor))
            if (major, minor) != (1, 5):
                breached(f"made {major}:{minor}")
            with open(node, "rb") as device:
                breached(f"read {device.read(1)} from a device of its own")
        except OSError as error:
            refusals.add(name(error.errno))
for path in ("/dev/mem", "/dev/vda", "/dev/sda", "/dev/loop0", "/dev/kvm", "/dev/fuse", "/dev/net/tun"):
    if opens(path):
        breached(f"{path} can be opened")
held(" ".join(sorted(refusals)))
"#;
