//! Kernel memory: sockets and pipes filled to the brim and never read.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk, UNCOUNTED};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    exceptions: UNCOUNTED,
    limits: |limits| limits.memory = ByteSize::mib(32),
    ..Probe::new("kernel_buffers", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import socket

# Together eight times what the cage may use.
EACH, WRITERS = 64 << 20, 4
# Few descriptors are allowed, so it takes several processes.
readers = []
for _ in range(WRITERS):
    reader, writer = os.pipe()
    readers.append(reader)
    if os.fork():
        os.close(writer)
        continue
    filled = 0
    ends = []
    try:
        while filled < EACH:
            ours, theirs = socket.socketpair()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            ours.setblocking(False)
            ends.append((ours, theirs))
            try:
                while filled < EACH:
                    filled += ours.send(b"x" * 32768)
            except BlockingIOError:
                pass
    except OSError:
        pass
    os.write(writer, b"%d" % filled)
    libc.pause()
total = sum(int(os.read(reader, 20) or b"0") for reader in readers)
if total >= EACH:
    breached(f"{total >> 20} MiB in buffers")
os._exit(1)
"#;
