//! Names looked up in vain, which the kernel remembers, in the workspace and in the host's directories.

use rollcage_types::ByteSize;
use std::time::Duration;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        let limit = ByteSize::mib(24);
        match (outcome.termination.is_success(), outcome.usage.memory <= limit) {
            (true, true) => Ok(format!("at most {}", outcome.usage.memory)),
            (is_success, _) => Err(format!("used {}, success {is_success}", outcome.usage.memory)),
        }
    }),
    // It is to come to its end, on a busy machine too.
    limits: |limits| {
        limits.memory = ByteSize::mib(24);
        limits.cpu_time = Duration::from_secs(60);
        limits.wall_time = Duration::from_secs(120);
    },
    ..Probe::new("missing_names", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 100000
looked_up = 0
for number in range(ENOUGH):
    path = f"/usr/share/{'no-such-name-' * 10}{number}" if number % 2 else f"{'no-such-name-' * 10}{number}"
    try:
        os.stat(path)
    except OSError:
        looked_up += 1
if UNCONFINED:
    with open("/proc/sys/fs/dentry-state") as state:
        negative = int(state.read().split()[4])
    if negative >= ENOUGH // 4:
        breached(f"{negative} names remembered")
print(looked_up)
"#;
