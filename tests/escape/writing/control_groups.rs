//! Out of its control group, by the group file system if it is there and by mounting it.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("control_groups", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
os.mkdir("groups")
refusals = set()
for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/proc/self/cgroup"):
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        refusals.add(name(error.errno))
for kind, options in ((b"cgroup2", None), (b"cgroup", b"memory")):
    result, code = system_call(165, b"none", b"groups", kind, 0, options)
    if result == 0:
        # Empty, and removed at once: the control changes no group that anything is in.
        os.mkdir(f"groups/{MARKER}")
        os.rmdir(f"groups/{MARKER}")
        breached(f"made a group in a {kind.decode()} mount")
    refusals.add(code)
held(" ".join(sorted(refusals)))
"#;
