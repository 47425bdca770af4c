//! Out of the root by a second chroot, as in the oldest jail break.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("chroot", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
os.mkdir("jail")


def escape():
    outside = os.open(".", os.O_RDONLY)
    os.chroot("jail")
    os.fchdir(outside)
    os.chroot("../" * 20)
    return has_secret(SECRET_PATH)


expect_refusal("chroot", [("chroot", escape)])
"#;
