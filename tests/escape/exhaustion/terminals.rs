//! Terminals, of which the whole machine has a few thousand.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("terminals", Risk::Exhaustion, ATTACK);

const ATTACK: &str = r#"
ENOUGH = 64
opened = []
refusals = set()
for path in ("/dev/ptmx", "/dev/pts/ptmx"):
    try:
        while len(opened) < ENOUGH:
            opened.append(os.open(path, os.O_RDWR | os.O_NOCTTY))
    except OSError as error:
        refusals.add(name(error.errno))
if opened:
    breached(f"{len(opened)} terminals")
held(" ".join(sorted(refusals)))
"#;
