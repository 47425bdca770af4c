//! A core file, which would be written past its limits, or handed to a program of the host's that runs as root.

use crate::harness::{Control, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    control: Control::NeedsKernel("core files of this host are handed to a program"),
    ..Probe::new("core_dumps", Risk::Writing, ATTACK)
};

const ATTACK: &str = r#"
import resource
import signal

refusals = set()
try:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (OSError, ValueError):
    refusals.add("limit")
for pattern in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/core_uses_pid"):
    try:
        # Opened only: the setting is the whole machine's.
        os.close(os.open(pattern, os.O_WRONLY))
        refusals.add(f"opened {pattern}") if UNCONFINED else breached(f"opened {pattern}")
    except OSError as error:
        refusals.add(name(error.errno))
child = os.fork()
if child == 0:
    filler = bytearray(b"x") * (8 << 20)
    os.kill(os.getpid(), signal.SIGQUIT)
_, status = os.waitpid(child, 0)
cores = [entry for entry in os.listdir(".") if "core" in entry]
if os.WCOREDUMP(status) or cores:
    breached(f"a core was dumped: {cores}")
held(f"{' '.join(sorted(refusals))}, no core")
"#;
