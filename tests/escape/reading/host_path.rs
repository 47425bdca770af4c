//! A host file by its absolute path, by `..` from everywhere, and through links of its own.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("host_path", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
os.symlink(SECRET_PATH, "link")
up = "/".join([".."] * 40)
paths = [SECRET_PATH, "link"]
paths += [f"{start}/{up}{SECRET_PATH}" for start in (".", "/tmp", "/proc/self/cwd", "/proc/self/root", "/dev/fd")]
expect_refusal("host file", [(path, lambda path=path: has_secret(path)) for path in paths])
"#;
