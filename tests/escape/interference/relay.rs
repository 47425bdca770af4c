//! A process that is never there when somebody looks: each forks the next and ends, in a session of its own.

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        if outcome.termination.is_success() {
            Ok("the run ended with the program".to_owned())
        } else {
            Err(format!("{:?}", outcome.termination))
        }
    }),
    ..Probe::new("relay", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
reader, writer = os.pipe()
if os.fork() == 0:
    end = time.monotonic() + 1
    generation = 0
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        generation += 1
        if generation % 3 == 0:
            os.setsid()
        if generation == 20:
            os.write(writer, b"x")
    os.write(1, b"\nBREACHED generation %d lives\n" % generation)
    os._exit(0)
os.read(reader, 1)
if UNCONFINED:
    # The control's PID 1 does not end with the program.
    time.sleep(2)
os._exit(0)
"#;
