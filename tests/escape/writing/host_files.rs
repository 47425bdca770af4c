//! Files in every directory it can see, and changes to those that are there.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("host_files", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
def create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
    return path


attempts = [("overwrite", lambda: os.close(os.open("/usr/bin/env", os.O_WRONLY)))]
for place in ("/", "/usr", "/usr/bin", "/usr/local/bin", "/usr/lib", "/etc", "/dev", "/var", "/run", "/ws", "/proc/self"):
    path = f"{place}/{MARKER}"
    attempts.append((path, lambda path=path: create(path)))
attempts += [
    ("chmod", lambda: os.chmod("/usr/bin/env", 0o777)),
    ("chown", lambda: os.chown("/usr/bin/env", os.getuid(), os.getgid())),
    ("utime", lambda: os.utime("/usr/bin/env")),
    ("unlink", lambda: os.unlink("/etc/passwd")),
    ("link", lambda: os.link("/usr/bin/env", "env")),
    ("rename", lambda: os.rename("/etc/hosts", "/etc/hosts.old")),
    ("truncate", lambda: os.truncate("/etc/hosts", 0)),
    ("setxattr", lambda: os.setxattr("/etc/hosts", "user.mark", b"x")),
]
expect_refusal("host files", attempts)
"#;
