//! Memory without end, by one process and by many, beside a neighbour that computes.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Companion, Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(64),
    ..Probe::new("memory_hog", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 256 << 20
children = []
for _ in range(4):
    reader, writer = os.pipe()
    if os.fork() == 0:
        held_bytes = b"x" * (ENOUGH // 4)
        os.write(writer, b"x")
        os.read(0, 1)
        while True:
            pass
    os.close(writer)
    children.append(reader)
if all(os.read(reader, 1) for reader in children):
    breached(f"{ENOUGH >> 20} MiB held at once")
os._exit(1)
"#;

const COMPANION: &str = r#"
block = bytearray(8 << 20)
ready()
total = 0
while True:
    block[total % len(block)] = 1
    total += 4096
"#;
