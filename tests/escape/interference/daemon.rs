//! A grandchild in a session of its own, which means to outlive the run and write later.

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        if outcome.termination.is_success() {
            Ok("the run ended with the program".to_owned())
        } else {
            Err(format!("{:?}", outcome.termination))
        }
    }),
    ..Probe::new("daemon", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if os.fork() == 0:
        os.write(writer, b"x")
        time.sleep(1 if UNCONFINED else 30)
        # Both streams are still open: a reader that waits for their end waits for this.
        os.write(1, b"BREACHED the daemon lives\n")
        os._exit(0)
    os._exit(0)
os.read(reader, 1)
if UNCONFINED:
    # The control: its PID 1 does not end with the program.
    time.sleep(2)
os._exit(0)
"#;
