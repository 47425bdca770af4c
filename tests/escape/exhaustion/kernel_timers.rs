//! Timers and queued signals, which are kernel memory that no descriptor names.

use rollcage_types::{ByteSize, LimitKind, Termination};

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        // Where the machine is small, each user may have so few that they fit the memory.
        let printed = String::from_utf8_lossy(&outcome.stdout.head);
        let ended = outcome.termination;
        if ended == Termination::LimitExceeded(LimitKind::Memory) {
            return Ok("limit memory".to_owned());
        }
        let is_refused = ended.is_success() && printed.contains("HELD");
        if is_refused { Ok(printed.trim().to_owned()) } else { Err(format!("it ended with {ended:?}")) }
    }),
    limits: |limits| limits.memory = ByteSize::mib(12),
    ..Probe::new("kernel_timers", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
import resource, signal

ENOUGH = 40000
# How many a user may have depends on the machine's memory; whoever is privileged may have more.
try:
    resource.setrlimit(11, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (OSError, ValueError):
    pass
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
