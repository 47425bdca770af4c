//! Event, timer, signal and poll descriptors in as many processes as it may have.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(24),
    ..Probe::new("event_objects", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import resource
import signal

try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
except (OSError, ValueError):
    pass
ENOUGH = 40000
EACH, MAKERS = 4000, 32
calls = [(290, (0, 0)), (283, (1, 0)), (291, (0,)), (289, (-1, ctypes.create_string_buffer(8), 8, 0))]
readers = []
for _ in range(MAKERS):
    reader, writer = os.pipe()
    readers.append(reader)
    if os.fork():
        os.close(writer)
        continue
    made = 0
    # Descriptors copied by poll sets cost memory too, and no descriptor.
    poll, _ = system_call(291, 0)
    for count in range(EACH):
        number, arguments = calls[count % len(calls)]
        result, _ = system_call(number, *arguments)
        if result < 0:
            break
        made += 1
        event = ctypes.create_string_buffer(b"\x01\0\0\0" + bytes(8), 12)
        made += system_call(233, poll, 1, result, event)[0] == 0
    os.write(writer, b"%d" % made)
    libc.pause()
made = sum(int(os.read(reader, 20) or b"0") for reader in readers)
if made >= ENOUGH:
    breached(f"{made} objects")
held(f"{made} objects")
"#;
