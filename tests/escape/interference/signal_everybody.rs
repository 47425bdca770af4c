//! A signal to every process it may signal.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("signal_everybody", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

them = int(sys.argv[1])


def is_there():
    try:
        with open(f"/proc/{them}/stat") as file:
            return file.read().rsplit(") ", 1)[1][0] not in "ZX"
    except PermissionError:
        return os.path.exists(f"/proc/{them}")
    except OSError:
        return False


was_there = is_there()
# The answer says little: it is 0 where nobody could be signalled but somebody was there.
result, code = system_call(62, -1, signal.SIGTERM)
for _ in range(50):
    if was_there and not is_there():
        breached("somebody else got it")
    time.sleep(0.01)
held(code)
"#;

const COMPANION: &str = r#"
import signal

signal.signal(signal.SIGTERM, lambda *_: (print("HARMED", flush=True), os._exit(1)))
ready()
while True:
    signal.pause()
"#;
