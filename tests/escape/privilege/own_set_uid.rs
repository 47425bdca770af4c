//! A set-uid copy of a program made by itself, and given away to root.

use crate::harness::{Probe, Risk, User};

pub(crate) const PROBE: Probe =
    Probe { user: User::Nobody, control_setup: SETUP, ..Probe::new("own_set_uid", Risk::Privilege, ATTACK) };

const ATTACK: &str = r#"
import shutil
import subprocess

if not os.path.exists("copy"):
    shutil.copyfile("/usr/bin/id", "copy")
    refusals = []
    for attempt in (lambda: os.chmod("copy", 0o755), lambda: os.chown("copy", 0, 0), lambda: os.chmod("copy", 0o6755)):
        try:
            attempt()
        except OSError as error:
            refusals.append(name(error.errno))
# Without --real, id prints the effective uid.
try:
    effective = int(subprocess.run(["./copy", "-u"], capture_output=True).stdout)
except PermissionError:
    held(f"{refusals}, not even executable")
if effective != os.getuid():
    breached(f"effective uid {effective}")
held(f"{refusals}, still uid {effective}")
"#;

const SETUP: &str = r#"
import shutil

shutil.copy("/usr/bin/id", "/ws/work/copy")
os.chmod("/ws/work/copy", 0o4755)
"#;
