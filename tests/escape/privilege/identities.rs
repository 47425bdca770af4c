//! Other users and groups, and capabilities, by every call that sets them.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("identities", Risk::Privilege, ATTACK);

const ATTACK: &str = r#"
header = ctypes.create_string_buffer(b"\x22\x05\x08\x20\0\0\0\0", 8)
everything = ctypes.create_string_buffer(b"\xff" * 24, 24)
calls = [
    ("setuid", 105, (0,)), ("setgid", 106, (0,)), ("setreuid", 113, (0, 0)), ("setregid", 114, (0, 0)),
    ("setresuid", 117, (0, 0, 0)), ("setresgid", 119, (0, 0, 0)),
    ("setgroups", 116, (1, ctypes.create_string_buffer(4))),
    ("capset", 126, (header, everything)),
    ("raise an ambient capability", 157, (47, 2, 21, 0, 0)),
    ("set securebits", 157, (28, 0x2F, 0, 0, 0)),
]
refusals = set()
for label, number, arguments in calls:
    result, code = system_call(number, *arguments)
    if result >= 0:
        breached(f"{label} answered {code}")
    refusals.add(code)
system_call(122, 0)
if os.geteuid() == 0 or os.getgroups():
    breached(f"uid {os.geteuid()}, groups {os.getgroups()}")
held(" ".join(sorted(refusals)))
"#;
