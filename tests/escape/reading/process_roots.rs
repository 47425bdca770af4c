//! A host file through the root and the working directory of every process, PID 1 first.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("process_roots", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
attempts = []
for pid in processes():
    for entry in ("root", "cwd"):
        path = f"/proc/{pid}/{entry}{SECRET_PATH}"
        attempts.append((path, lambda path=path: has_secret(path)))
expect_refusal("host file", attempts)
"#;
