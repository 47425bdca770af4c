//! A slot, by doing nothing, deaf to every signal that can be ignored.

use rollcage_types::LimitKind;
use std::time::Duration;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::WallTime),
    limits: |limits| limits.wall_time = Duration::from_millis(300),
    ..Probe::new("sleep_forever", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
# Far longer than what comes to end it takes on a busy machine; to the control nothing comes.
time.sleep(1 if UNCONFINED else 30)
breached("still there when time was up")
"#;
