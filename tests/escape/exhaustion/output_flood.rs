//! Output without end, on both streams.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Output),
    limits: |limits| limits.output = ByteSize::mib(1),
    ..Probe::new("output_flood", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 16 << 20
total = 0
while total < ENOUGH:
    os.write(1, b"\n" * 65536)
    os.write(2, b"\n" * 65536)
    total += 131072
breached(f"{total >> 20} MiB written")
"#;
