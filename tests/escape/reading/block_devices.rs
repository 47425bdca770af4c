//! Disks and memory by their nodes: those of the host, and some of its own making.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("block_devices", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
import stat


def make_and_read(major, minor):
    node = f"{MARKER}-{major}-{minor}"
    os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(major, minor))
    try:
        with open(node, "rb", buffering=0) as disk:
            return len(disk.read(512))
    except OSError as error:
        # It is there, and only something outside can keep anybody from reading it.
        return name(error.errno)


disks = [(8, 0), (254, 0), (259, 0)]
if opens("/proc/partitions"):
    with open("/proc/partitions") as table:
        disks = [tuple(map(int, line.split()[:2])) for line in list(table)[2:]] + disks
attempts = [(f"{major}:{minor}", lambda m=(major, minor): make_and_read(*m)) for major, minor in disks]
for name_ in ("mem", "port", "kmsg", "vda", "sda", "nvme0n1", "loop0", "loop-control", "mapper/control", "hwrng"):
    attempts.append((name_, lambda path=f"/dev/{name_}": os.open(path, os.O_RDONLY)))
for name_ in ("fuse", "kvm", "net/tun", "userfaultfd", "vhost-vsock", "vsock", "tty", "input/event0", "dri/card0"):
    attempts.append((name_, lambda path=f"/dev/{name_}": os.open(path, os.O_RDWR)))
expect_refusal("device", attempts)
"#;
