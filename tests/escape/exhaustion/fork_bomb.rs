//! Processes without end.

use rollcage_types::LimitKind;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Processes),
    limits: |limits| limits.processes = 32,
    ..Probe::new("fork_bomb", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import time

# More than a cage may have; the control stops here.
ENOUGH = 300
# Refused this often it is given no more; its children last longer than that takes.
REFUSALS = 100
alive = refused = 0
while alive < ENOUGH:
    try:
        child = os.fork()
    except OSError:
        refused += 1
        if refused == REFUSALS:
            os._exit(1)
        time.sleep(0.001)
        continue
    if child == 0:
        time.sleep(30)
        os._exit(0)
    alive += 1
breached(f"{alive} processes alive at once")
"#;
