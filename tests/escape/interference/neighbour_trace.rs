//! The cage next door, traced.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("neighbour_trace", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
them = int(sys.argv[1])
# By its number on the host, and by those it may have in here.
targets = [them, *MAKERS, 2]
calls = [(f"{label} {pid}", 101, (kind, pid, 0, 0)) for pid in targets for label, kind in (("seize", PTRACE_SEIZE), ("attach", PTRACE_ATTACH))]
expect_call_refusal("trace", [call for call in calls if call[2][1] != os.getpid()])
"#;

const COMPANION: &str = r#"
ready()
while True:
    libc.pause()
"#;
