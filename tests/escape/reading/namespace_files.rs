//! The namespaces of other processes, entered by their files and by a pidfd.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("namespace_files", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
def enter(namespace, kinds):
    result, code = system_call(308, namespace, kinds)
    if result < 0:
        raise OSError(getattr(errno, code), code)
    return "entered"


attempts = []
for pid in MAKERS:
    for kind in ("uts", "ipc", "net", "mnt", "cgroup", "pid", "user", "time"):
        path = f"/proc/{pid}/ns/{kind}"
        attempts.append((path, lambda path=path: enter(os.open(path, os.O_RDONLY), 0)))
        attempts.append((f"link {path}", lambda path=path: os.readlink(path)))
    attempts.append((f"pidfd of {pid}", lambda pid=pid: enter(os.pidfd_open(pid), 0x4000000)))
attempts.append(("its own", lambda: enter(os.open("/proc/self/ns/uts", os.O_RDONLY), 0)))
expect_refusal("namespace", attempts)
"#;
