//! What the last program in the same slot left: files, memory segments, queues, names, the content of pages.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Earlier(COMPANION),
    ..Probe::new("earlier_files", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import mmap

places = {WORKSPACE, TEMPORARY, "/ws/work", "/ws/tmp", "/tmp", "/var/tmp", "/dev/shm"}
found = []
for place in places:
    try:
        found += [f"{place}/{entry}" for entry in os.listdir(place) if "left-behind" in entry]
    except OSError:
        pass
found += [f"segment {libc.shmget(0x6C656674, 1, 0)}"] if libc.shmget(0x6C656674, 1, 0) >= 0 else []
found += ["queue"] if libc.msgget(0x6C656674, 0) >= 0 else []
if int(sys.argv[2]) != os.getuid():
    print("another uid than the earlier run", flush=True)
    os._exit(1)
# Pages not yet written to are zero, whoever had them before.
found += ["memory"] if mmap.mmap(-1, 32 << 20).find(b"ESCAPE-SECRET") >= 0 else []
if found:
    breached(f"found {found}")
held("nothing is left")
"#;

const COMPANION: &str = r#"
import mmap

for place in {WORKSPACE, TEMPORARY, "/ws/tmp", "/tmp", "/dev/shm"}:
    try:
        with open(f"{place}/left-behind", "w") as file:
            file.write("secret of the earlier run")
        os.chmod(f"{place}/left-behind", 0o666)
    except OSError:
        pass
pages = mmap.mmap(-1, 32 << 20)
while pages.tell() < len(pages) - 16:
    pages.write(b"ESCAPE-SECRET...")
libc.shmget(0x6C656674, 4096, 0o1666)
libc.msgget(0x6C656674, 0o1666)
ready(os.getuid())
"#;
