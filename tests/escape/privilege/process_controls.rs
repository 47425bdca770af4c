//! What prctl(2) lets the privileged say of themselves: where their memory lies, that they must not wait, what they inherit.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("process_controls", Risk::Privilege, ATTACK);

const ATTACK: &str = r#"
PR_SET_MM, PR_SET_IO_FLUSHER, PR_SET_SECUREBITS, PR_CAP_AMBIENT = 35, 57, 28, 47
calls = [(f"PR_SET_MM {kind}", 157, (PR_SET_MM, kind, 1, 0, 0)) for kind in range(1, 14)]
calls += [
    ("PR_SET_IO_FLUSHER", 157, (PR_SET_IO_FLUSHER, 1, 0, 0, 0)),
    ("PR_SET_SECUREBITS", 157, (PR_SET_SECUREBITS, 1, 0, 0, 0)),
    ("PR_CAP_AMBIENT_RAISE", 157, (PR_CAP_AMBIENT, 2, 0, 0, 0)),
    ("PR_SET_SECCOMP", 157, (22, 2, None, 0, 0)),
]
# EINVAL and the like: the kernel went on to look at what was asked.
expect_call_refusal("prctl", calls, harmless=("EINVAL", "EFAULT", "EBADF"))
"#;
