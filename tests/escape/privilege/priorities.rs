//! Real-time scheduling and negative niceness: the processor before everybody else.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("priorities", Risk::Privilege, ATTACK);

const ATTACK: &str = r#"
expect_refusal(
    "priority",
    [
        ("SCHED_FIFO", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
        ("SCHED_RR", lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))),
        ("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)),
    ],
)
"#;
