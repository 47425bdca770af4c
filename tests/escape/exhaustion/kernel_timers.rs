//! Timers and queued signals, which are kernel memory that no descriptor names.

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Limit(LimitKind::Memory),
    limits: |limits| limits.memory = ByteSize::mib(12),
    ..Probe::new("kernel_timers", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import signal

ENOUGH = 40000
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN, signal.SIGRTMIN + 1})
# struct sigevent: SIGEV_SIGNAL.
event = ctypes.create_string_buffer(bytes(8) + signal.SIGRTMIN.to_bytes(4, "little") + bytes(52), 64)
information = ctypes.create_string_buffer((signal.SIGRTMIN + 1).to_bytes(4, "little") + bytes(4) + b"\xff\xff\xff\xff" + bytes(116), 128)
timer = ctypes.c_int()
made, queued = 0, 0
while made < ENOUGH and system_call(222, 1, event, ctypes.byref(timer))[0] == 0:
    made += 1
while queued < ENOUGH and system_call(129, os.getpid(), signal.SIGRTMIN + 1, information)[0] == 0:
    queued += 1
if made + queued >= ENOUGH:
    breached(f"{made} timers, {queued} signals")
held(f"{made} timers, {queued} signals")
"#;
