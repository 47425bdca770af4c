//! A file of the host that is named to it: overwritten, renamed, removed, its owner and mode changed.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("secret_file", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
def overwrite():
    with open(SECRET_PATH, "r+b") as file:
        return file.write(SECRET)


expect_refusal(
    "secret",
    [
        ("overwrite", overwrite),
        ("truncate", lambda: os.truncate(SECRET_PATH, 0)),
        ("chmod", lambda: os.chmod(SECRET_PATH, 0o666)),
        ("chown", lambda: os.chown(SECRET_PATH, os.getuid(), os.getgid())),
        ("utime", lambda: os.utime(SECRET_PATH)),
        ("rename", lambda: os.rename(SECRET_PATH, "secret")),
        ("unlink", lambda: os.unlink(SECRET_PATH)),
        ("a file beside it", lambda: open(f"{SECRET_PATH}-2", "w")),
        ("a directory beside it", lambda: os.mkdir(f"{SECRET_PATH}-3")),
        ("a link beside it", lambda: os.symlink("/", f"{SECRET_PATH}-4")),
    ],
)
"#;
