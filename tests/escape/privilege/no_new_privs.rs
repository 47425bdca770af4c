//! The promise never to gain privilege, taken back or lost by exec.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("no_new_privs", Risk::Privilege, ATTACK);

const ATTACK: &str = r#"
import subprocess

system_call(157, 38, 0, 0, 0, 0)
own = libc.prctl(39, 0, 0, 0, 0)
ask = "import ctypes; print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))"
after = subprocess.run(["python3", "-c", ask], capture_output=True, text=True).stdout
if own != 1 or after.strip() != "1":
    breached(f"no_new_privs is {own}, and after exec {after.strip()}")
held("still set, after exec too")
"#;
