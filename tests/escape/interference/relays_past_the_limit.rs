//! Several such relays, forked from one another, when time is up.

use rollcage_types::LimitKind;
use std::time::Duration;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::WallTime),
    limits: |limits| {
        limits.wall_time = Duration::from_millis(400);
        // On a busy machine those that have ended are not gone at once.
        limits.processes = 512;
    },
    ..Probe::new("relays_past_the_limit", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
end = time.monotonic() + (1.5 if UNCONFINED else 30)
for _ in range(6):
    if os.fork() == 0:
        while time.monotonic() < end:
            try:
                if os.fork():
                    os._exit(0)
                os.setsid()
            except OSError:
                pass
            time.sleep(0.001)
        os.write(1, b"\nBREACHED a relay lives\n")
        os._exit(0)
time.sleep(3 if UNCONFINED else 60)
"#;
