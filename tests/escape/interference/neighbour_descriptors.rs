//! The open files of the cage next door, taken over through a pidfd.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("neighbour_descriptors", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
them = int(sys.argv[1])
refusals = set()
for pid in (them, *MAKERS):
    descriptor, code = system_call(434, pid, 0)
    refusals.add(code)
    if descriptor < 0:
        continue
    for number in range(16):
        result, code = system_call(438, descriptor, number, 0)
        if result >= 0:
            breached(f"descriptor {number} of process {pid}")
        refusals.add(code)
expect_refusal("neighbour", [("list", lambda: os.listdir(f"/proc/{them}/fd")), ("open", lambda: open(f"/proc/{them}/fd/1", "wb"))])
"#;

const COMPANION: &str = r#"
ready()
while True:
    libc.pause()
"#;
