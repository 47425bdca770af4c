//! Descriptors that the supervisor forgot to close: anything beyond the three standard streams.

use crate::harness::{Exception, Expectation, Probe, Risk};

/// A cell shares the descriptors of the agent that it runs in.
const AGENT: &str = "the agent's socket, and the pipes of its output, are the session's own";

pub(crate) const PROBE: Probe = Probe {
    exceptions: &[
        Exception { modes: "/session", expectation: Expectation::Partial, reason: AGENT },
        Exception { modes: "/branch", expectation: Expectation::Partial, reason: AGENT },
    ],
    ..Probe::new("inherited_descriptors", Risk::Reading, ATTACK)
};

const ATTACK: &str = r#"
found = {}
for number in range(3, 65536):
    try:
        os.fstat(number)
    except OSError:
        continue
    target = os.readlink(f"/proc/self/fd/{number}")
    # The directory it works in leads nowhere that a path does not.
    if target != WORKSPACE:
        found[number] = target
if found:
    breached(f"inherited {found}")
for number in range(3):
    target = os.readlink(f"/proc/self/fd/{number}")
    if not target.startswith("pipe:"):
        breached(f"descriptor {number} is {target}")
held("its own directory at most, beside 0, 1 and 2, and they are pipes")
"#;
