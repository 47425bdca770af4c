//! A process of the host's, signalled by its number, by a pidfd, by guessing; its limits and priority set.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Host(COMPANION),
    ..Probe::new("host_processes", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import signal

them = int(sys.argv[1])
for pid in range(2, 33000):
    # Its own children would be fair; it has none.
    if pid != os.getpid() and system_call(62, pid, 0)[0] == 0:
        breached(f"process {pid} can be signalled")
descriptor = system_call(434, them, 0)[0]
new = ctypes.create_string_buffer(bytes(16), 16)
mask = ctypes.create_string_buffer(b"\x01" + bytes(127), 128)
RLIMIT_CORE, IOPRIO_IDLE = 4, 3 << 13
expect_call_refusal(
    "host",
    [
        ("kill", 62, (them, signal.SIGTERM)),
        ("kill the group", 62, (-them, signal.SIGTERM)),
        ("tkill", 200, (them, signal.SIGTERM)),
        ("tgkill", 234, (them, them, signal.SIGTERM)),
        ("pidfd", 424, (descriptor, signal.SIGTERM, None, 0)),
        ("limit", 302, (them, RLIMIT_CORE, new, None)),
        ("priority", 141, (0, them, 19)),
        ("priority of everybody", 141, (2, os.getuid(), 19)) if UNCONFINED else ("group", 109, (them, 0)),
        ("processors", 203, (them, 128, mask)),
        ("attention of the disk", 251, (1, them, IOPRIO_IDLE)),
    ],
)
"#;

const COMPANION: &str = r#"
ready()
while True:
    libc.pause()
"#;
