//! Watches on files, which every user has a few thousand of and the kernel keeps in memory.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("watches", Risk::Exhaustion, ATTACK);

const ATTACK: &str = r#"
ENOUGH = 1000


def watch():
    watcher = libc.inotify_init()
    if watcher < 0:
        raise OSError(ctypes.get_errno(), "refused")
    for count in range(ENOUGH):
        os.mkdir(f"watched-{count}")
        if libc.inotify_add_watch(watcher, f"watched-{count}".encode(), 0xFFF) < 0:
            raise OSError(ctypes.get_errno(), f"after {count}")
    return ENOUGH


def mark():
    # Of whole file systems, by fanotify.
    for flags in (0, 0x200):
        result, code = system_call(300, flags, 0)
        if result >= 0:
            return system_call(301, result, 0x101, 0x20, -100, b"/usr")
    raise OSError(getattr(errno, code), code)


def lease():
    import fcntl

    own = os.open("leased", os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(os.open("/usr/bin/env", os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)
    return own


expect_refusal("watch", [("inotify", watch), ("fanotify", mark), ("lease", lease)])
"#;
