//! The processes of the cage next door: their memory, their files, their lives.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("neighbour_processes", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import signal

them = int(sys.argv[1])


def write(path):
    with open(path, "r+b", buffering=0) as file:
        file.seek(4096)
        return path


def kill():
    descriptor = os.pidfd_open(them)
    signal.pidfd_send_signal(descriptor, 0)
    return "alive"


expect_refusal(
    "neighbour",
    [
        ("kill", lambda: os.kill(them, 0)),
        ("pidfd", kill),
        ("memory", lambda: write(f"/proc/{them}/mem")),
        ("environment", lambda: open(f"/proc/{them}/environ", "rb").read(1)),
        ("priority", lambda: os.setpriority(os.PRIO_PROCESS, them, 19)),
        ("affinity", lambda: os.sched_setaffinity(them, [0])),
    ],
)
"#;

const COMPANION: &str = r#"
import signal

ready()
while True:
    signal.pause()
"#;
