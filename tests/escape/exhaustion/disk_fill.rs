//! All space of every file system it can write to, files deleted and hidden included.

use rollcage_types::ByteSize;

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    limits: |limits| limits.disk = ByteSize::mib(16),
    ..Probe::new("disk_fill", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
ENOUGH = 96 << 20
written = 0
refusals = set()
for place in (".", "/tmp", "/dev/shm", "/var/tmp"):
    path = f"{place}/fill-{written}"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.unlink(path)
        while written < ENOUGH:
            written += os.write(file, b"x" * (1 << 20))
    except OSError as error:
        refusals.add(name(error.errno))
if written >= ENOUGH:
    breached(f"{written >> 20} MiB written")
held(f"{' '.join(sorted(refusals))} at {written >> 20} MiB")
"#;
