//! Threads without end.

use rollcage_types::LimitKind;

use crate::harness::{Exception, Expectation, Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Processes),
    limits: |limits| limits.processes = 32,
    exceptions: &[Exception {
        modes: "process/none/",
        expectation: Expectation::Partial,
        reason: "the kernel counts the user's tasks, of which others may end, and the tree is counted every 10 ms",
    }],
    ..Probe::new("thread_bomb", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import threading
import time

ENOUGH = 300
threading.stack_size(65536)
alive = 0
try:
    while alive < ENOUGH:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        alive += 1
except RuntimeError:
    os._exit(1)
breached(f"{alive} threads alive at once")
"#;
