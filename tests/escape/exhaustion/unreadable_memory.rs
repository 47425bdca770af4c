//! Memory of a process that lets nobody look at how much it has.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(64),
    ..Probe::new("unreadable_memory", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import time

PR_SET_DUMPABLE = 4
libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
children = []
for _ in range(4):
    reader, writer = os.pipe()
    if os.fork() == 0:
        held_bytes = b"x" * (45 << 20)
        # Long enough for anyone who looks from time to time.
        time.sleep(1)
        os.write(writer, b"x")
        time.sleep(60)
        os._exit(0)
    os.close(writer)
    children.append(reader)
if all(os.read(reader, 1) for reader in children):
    breached("180 MiB held at once, unseen")
os._exit(1)
"#;
