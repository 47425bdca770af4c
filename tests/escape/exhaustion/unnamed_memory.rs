//! Memory and time of processes whose name is no text, so that whoever reads of them in /proc may stumble.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(64),
    ..Probe::new("unnamed_memory", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import time

PR_SET_NAME = 15
libc.prctl(PR_SET_NAME, b"\xff) Z 0 0\n", 0, 0, 0)
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
    breached("180 MiB held at once, under a name that is no text")
os._exit(1)
"#;
