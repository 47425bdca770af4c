//! A second name for a file of the host, which no rule about the first name covers.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("hard_links", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
def link(old, new):
    os.link(old, new)
    os.unlink(new)
    return new


def link_descriptor(path, new):
    # AT_EMPTY_PATH, and the way past its check that goes through /proc. Whoever may only name a file may open it so.
    file = os.open(path, os.O_PATH)
    result, code = system_call(265, file, b"", -100, new, 0x1000)
    if result < 0:
        os.link(f"/proc/self/fd/{file}", new, follow_symlinks=True)
    return new


expect_refusal(
    "host file",
    [
        ("secret, here", lambda: link(SECRET_PATH, "stolen")),
        ("secret, beside it", lambda: link(SECRET_PATH, f"{SECRET_PATH}-link")),
        ("program, here", lambda: link("/usr/bin/env", "env")),
        ("program, beside it", lambda: link("/usr/bin/env", f"/usr/bin/{MARKER}")),
        ("program, by descriptor", lambda: link_descriptor("/usr/bin/env", b"env-2")),
        ("secret, by descriptor", lambda: link_descriptor(SECRET_PATH, b"stolen-2")),
    ],
)
"#;
