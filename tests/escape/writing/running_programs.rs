//! The programs that run outside, overwritten through the links to them, as when a container replaced its runtime.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("running_programs", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
def overwrite(path):
    try:
        return os.open(path, os.O_WRONLY)
    except OSError as error:
        # Only somebody who may write is told that it is running.
        if error.errno == errno.ETXTBSY:
            return "busy"
        raise


pids = ["self", *processes()]
expect_refusal("program", [(pid, lambda path=f"/proc/{pid}/exe": overwrite(path)) for pid in pids])
"#;
