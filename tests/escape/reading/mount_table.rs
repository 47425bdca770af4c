//! The host's directories by their names, as the mount table tells them.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("mount_table", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
try:
    with open("/proc/self/mountinfo") as table:
        told = table.read()
except OSError as error:
    held(name(error.errno))
names = {SECRET_PATH.split("/")[-2], "upperdir", "/home/", "/root/"}
found = sorted(entry for entry in names if entry in told)
if found:
    breached(f"the mount table tells of {found}")
held(f"{len(told.splitlines())} mounts, all of them its own")
"#;
