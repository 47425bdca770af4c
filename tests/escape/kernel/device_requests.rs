//! Requests that file systems and descriptors understand beside reading and writing.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("device_requests", Risk::Kernel, ATTACK);

const ATTACK: &str = r#"
import fcntl
import struct

usr = os.open("/usr/bin/env", os.O_RDONLY)
own = os.pidfd_open(os.getpid())
buffer = bytes(64)
expect_refusal(
    "ioctl",
    [
        ("FIGETBSZ", lambda: fcntl.ioctl(usr, 2, struct.pack("i", 0))),
        ("FS_IOC_FIEMAP", lambda: fcntl.ioctl(usr, 0xC020660B, bytes(32))),
        ("PIDFD_GET_PID_NAMESPACE", lambda: fcntl.ioctl(own, 0xFF07)),
        ("NS_GET_USERNS", lambda: fcntl.ioctl(os.open("/proc/self/ns/pid", os.O_RDONLY), 0xB701)),
    ],
)
"#;
