//! Its hard limits raised again, or those of others.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("resource_limits", Risk::Privilege, ATTACK);

const ATTACK: &str = r#"
import resource

kinds = ("CORE", "CPU", "FSIZE", "NOFILE", "MEMLOCK", "MSGQUEUE")


def raise_one(kind):
    number = getattr(resource, f"RLIMIT_{kind}", 12)
    soft, hard = resource.getrlimit(number)
    larger = 1 << 20 if hard < 0 else hard + 1
    resource.setrlimit(number, (larger, larger))
    return larger


def attempt(kind):
    try:
        return raise_one(kind)
    except ValueError:
        # Python's word for EPERM.
        raise OSError(errno.EPERM, "not allowed")


expect_refusal("hard limit", [(kind, lambda kind=kind: attempt(kind)) for kind in kinds])
"#;
