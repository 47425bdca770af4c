//! Process numbers, by children that have ended and are never reaped.

use rollcage_types::LimitKind;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Processes),
    limits: |limits| limits.processes = 32,
    ..Probe::new("zombies", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import time

ENOUGH = 300
try:
    for count in range(ENOUGH):
        if os.fork() == 0:
            os._exit(0)
except OSError:
    os._exit(1)
breached(f"{ENOUGH} zombies")
"#;
