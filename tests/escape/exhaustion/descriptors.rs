//! Open files without end.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("descriptors", Risk::Exhaustion, ATTACK);

const ATTACK: &str = r#"
ENOUGH = 500
descriptors = []
try:
    while len(descriptors) < ENOUGH:
        descriptors.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    held(f"{name(error.errno)} after {len(descriptors)}")
breached(f"{len(descriptors)} files open at once")
"#;
