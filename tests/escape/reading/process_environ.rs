//! The environment, memory map and descriptors of every process it can name, which may hold keys of the host.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("process_environ", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
def read(path):
    with open(path, "rb") as file:
        return file.read(64)


if any(SECRET.decode() in value for value in os.environ.values()):
    breached("its own environment is the supervisor's")
attempts = []
for pid in processes():
    for kind in ("environ", "maps", "auxv", "cmdline", "stack"):
        attempts.append((f"{kind} of {pid}", lambda path=f"/proc/{pid}/{kind}": read(path)))
    attempts.append((f"fd of {pid}", lambda pid=pid: os.listdir(f"/proc/{pid}/fd")))
    attempts.append((f"exe of {pid}", lambda pid=pid: os.readlink(f"/proc/{pid}/exe")))
expect_refusal("process", attempts)
"#;
