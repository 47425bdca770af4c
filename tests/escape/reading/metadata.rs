//! What a path tells without being opened: that there is something, how large it is, whose, since when.

use crate::harness::{Exception, Expectation, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    exceptions: &[Exception {
        modes: "process/",
        expectation: Expectation::Partial,
        reason: "Landlock lets paths be looked at that it lets nobody open",
    }],
    ..Probe::new("metadata", Risk::Reading, ATTACK)
};

const ATTACK: &str = r#"
expect_refusal(
    "host file",
    [
        ("size", lambda: os.stat(SECRET_PATH).st_size),
        ("presence", lambda: os.lstat(os.path.dirname(SECRET_PATH)).st_ino),
        ("permission", lambda: None if os.access(SECRET_PATH, os.F_OK) else os.stat(SECRET_PATH)),
        ("room", lambda: os.statvfs(os.path.dirname(SECRET_PATH)).f_bfree),
        ("attributes", lambda: os.listxattr(SECRET_PATH)),
        ("a link", lambda: os.readlink(f"/proc/{os.getppid()}/cwd")),
    ],
)
"#;
