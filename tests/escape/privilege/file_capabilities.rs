//! A program file that carries capabilities.

use crate::harness::{Probe, Risk, User};

pub(crate) const PROBE: Probe = Probe {
    user: User::Nobody,
    control_setup: SETUP,
    ..Probe::new("file_capabilities", Risk::Privilege, ATTACK)
};

const ATTACK: &str = r#"
import shutil
import subprocess

code = ""
if not os.path.exists("capable"):
    shutil.copyfile("/usr/bin/cat", "capable")
    try:
        os.chmod("capable", 0o755)
        os.setxattr("capable", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    except OSError as error:
        code = name(error.errno)
try:
    status = subprocess.run(["./capable", "/proc/self/status"], capture_output=True, text=True).stdout
except PermissionError:
    held(f"{code}, not even executable")
sets = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
if len(sets) != 5 or any(sets.values()):
    breached(f"capabilities {sets}")
held(f"{code}, all five sets empty after exec")
"#;

const SETUP: &str = r#"
import shutil

# struct vfs_cap_data, revision 2, effective: CAP_NET_RAW.
shutil.copy("/usr/bin/cat", "/ws/work/capable")
os.setxattr("/ws/work/capable", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
"#;
