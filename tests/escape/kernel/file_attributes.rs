//! Flags that file systems keep beside the mode: a file that cannot be removed, or that nobody may change.

use crate::harness::{Probe, Risk, Workspace};

pub(crate) const PROBE: Probe =
    Probe { workspace: Workspace::Collected, ..Probe::new("file_attributes", Risk::Kernel, ATTACK) };

const ATTACK: &str = r#"
import fcntl
import struct

with open("keep", "w") as file:
    file.write("for ever")
file = os.open("keep", os.O_RDWR)
IMMUTABLE, APPEND_ONLY, NO_DUMP = 0x10, 0x20, 0x40
requests = [(f"FS_IOC_SETFLAGS {flag:#x}", 0x40086602, struct.pack("l", flag)) for flag in (NO_DUMP, APPEND_ONLY, IMMUTABLE)]
requests += [
    ("FS_IOC_GETFLAGS", 0x80086601, bytes(8)), ("FS_IOC_GETVERSION", 0x80087601, bytes(8)), ("FS_IOC_FSGETXATTR", 0x801C581F, bytes(28)),
    ("FS_IOC_FSSETXATTR", 0x401C5820, bytes(28)), ("FICLONE", 0x40049409, b"\xff" * 4), ("FIFREEZE", 0xC0045877, bytes(4)),
    ("FITRIM", 0xC0185879, bytes(24)), ("FS_IOC_SETFSLABEL", 0x41009432, bytes(256)), ("FS_IOC_ENABLE_VERITY", 0x40806685, bytes(128)),
    ("FS_IOC_SET_ENCRYPTION_POLICY", 0x800C6613, bytes(12)), ("EXT4_IOC_MOVE_EXT", 0xC028660F, bytes(40)),
]
calls = [("file_setattr", 469, (-100, b"keep", ctypes.create_string_buffer(b"\x40" + bytes(23), 24), 24, 0))]
for label, number, arguments in calls:
    result, code = system_call(number, *arguments)
    if result >= 0:
        breached(f"{label} answered {code}")
expect_refusal("attribute", [(label, lambda n=n, b=b: fcntl.ioctl(file, n, b)) for label, n, b in requests])
"#;
