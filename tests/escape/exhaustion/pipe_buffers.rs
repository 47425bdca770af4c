//! Pipes made as large as they may be, and filled.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(32),
    ..Probe::new("pipe_buffers", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import fcntl

# Each user may have 64 MiB of large pipes; after that they are small ones, of which there may be many.
EACH, WRITERS = 48 << 20, 3
F_SETPIPE_SZ = 1031
readers = []
for _ in range(WRITERS):
    reader, writer = os.pipe()
    readers.append(reader)
    if os.fork():
        os.close(writer)
        continue
    filled = 0
    try:
        while filled < EACH:
            _, end = os.pipe()
            try:
                fcntl.fcntl(end, F_SETPIPE_SZ, 1 << 20)
            except OSError:
                pass
            os.set_blocking(end, False)
            try:
                while filled < EACH:
                    filled += os.write(end, b"x" * 65536)
            except BlockingIOError:
                pass
    except OSError:
        pass
    os.write(writer, b"%d" % filled)
    libc.pause()
total = sum(int(os.read(reader, 20) or b"0") for reader in readers)
if total >= WRITERS * EACH // 2:
    breached(f"{total >> 20} MiB in pipes")
held(f"{total >> 20} MiB in pipes")
"#;
