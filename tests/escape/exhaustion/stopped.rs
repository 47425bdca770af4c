//! Processes that stand still: itself and its children stopped by signal.

use rollcage_types::LimitKind;
use std::time::Duration;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::WallTime),
    limits: |limits| limits.wall_time = Duration::from_millis(300),
    ..Probe::new("stopped", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

for _ in range(5):
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
if os.fork() == 0:
    # Whoever stops the whole cage may hope that nothing in it can be killed.
    # Far longer than what comes to end it takes on a busy machine; to the control nothing comes.
    time.sleep(1 if UNCONFINED else 30)
    os.write(1, b"BREACHED still there when time was up\n")
    os.kill(os.getppid(), signal.SIGCONT)
    os._exit(0)
os.kill(os.getpid(), signal.SIGSTOP)
os._exit(0)
"#;
