//! A processor, by children that are never waited for.

use rollcage_types::LimitKind;
use std::time::Duration;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::CpuTime),
    limits: |limits| limits.cpu_time = Duration::from_millis(300),
    ..Probe::new("spin", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
end = time.monotonic() + (3 if UNCONFINED else 30)
while time.monotonic() < end:
    if os.fork() == 0:
        stop = time.process_time() + 0.05
        while time.process_time() < stop:
            pass
        os._exit(0)
    stop = time.process_time() + 0.02
    while time.process_time() < stop:
        pass
breached("seconds of every processor")
"#;
