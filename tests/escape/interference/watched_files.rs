//! Word of what the cage next door does with files both can see.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("watched_files", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import fcntl
import select
import signal

SHARED = b"/usr/lib/python3"


def watch():
    watcher = libc.inotify_init()
    if watcher < 0 or libc.inotify_add_watch(watcher, SHARED, 0x20) < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return select.select([watcher], [], [], 5)[0]


def be_signalled():
    signal.signal(signal.SIGIO, lambda *_: None)
    # DN_ACCESS | DN_MULTISHOT
    fcntl.fcntl(os.open(SHARED, os.O_RDONLY), fcntl.F_NOTIFY, 0x8000_0001)
    return signal.sigtimedwait([signal.SIGIO], 5)


expect_refusal("neighbour", [("inotify", watch), ("dnotify", be_signalled)])
"#;

const COMPANION: &str = r#"
ready()
while True:
    os.listdir("/usr/lib/python3")
    os.sched_yield()
"#;
