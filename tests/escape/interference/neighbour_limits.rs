//! The limits, priority and processors of the cage next door, which a process may set for others of its user.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("neighbour_limits", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import time

them = int(sys.argv[1])
new = ctypes.create_string_buffer(bytes(16), 16)
old = ctypes.create_string_buffer(16)
mask = ctypes.create_string_buffer(b"\x01" + bytes(127), 128)
parameter = ctypes.create_string_buffer(bytes(4), 4)
RLIMIT_CORE, SCHED_BATCH, IOPRIO_IDLE = 4, 3, 3 << 13
# Its own user's priority is its own to lower: it must not be the neighbour's, who looks.
system_call(141, 2, 0, 19)
system_call(251, 3, 0, IOPRIO_IDLE)
time.sleep(0.2)
expect_call_refusal(
    "neighbour",
    [
        ("read a limit", 302, (them, RLIMIT_CORE, None, old)),
        ("set a limit", 302, (them, RLIMIT_CORE, new, None)),
        ("set the priority", 141, (0, them, 19)),
        ("set the processors", 203, (them, 128, mask)),
        ("set the scheduler", 144, (them, SCHED_BATCH, parameter)),
        ("set the attention of the disk", 251, (1, them, IOPRIO_IDLE)),
        ("set the process group", 109, (them, 0)),
        ("set the priority of a group", 141, (1, them, 19)),
    ],
)
"#;

const COMPANION: &str = r#"
own = os.getpriority(os.PRIO_PROCESS, 0), system_call(252, 1, 0)
ready()
while (os.getpriority(os.PRIO_PROCESS, 0), system_call(252, 1, 0)) == own:
    os.sched_yield()
print("HARMED", flush=True)
"#;
