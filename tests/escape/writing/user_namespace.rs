//! A user namespace, where it would hold every capability, by each call that makes one.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("user_namespace", Risk::Writing, ATTACK);

const ATTACK: &str = r#"
import signal
import struct

FLAGS = {
    "NEWUSER": 0x10000000, "NEWNS": 0x20000, "NEWPID": 0x20000000, "NEWNET": 0x40000000, "NEWIPC": 0x8000000,
    "NEWUTS": 0x4000000, "NEWCGROUP": 0x2000000, "NEWTIME": 0x80,
}
refusals = set()


def attempt(label, call):
    result, code = call()
    if result == 0:
        # We are the child, or hold the new namespace.
        mounted, _ = system_call(165, b"none", b"/tmp", b"tmpfs", 0, None)
        os.write(1, f"BREACHED {label}, mount there gave {mounted}\n".encode())
        os._exit(0)
    if result > 0:
        os.waitpid(result, 0)
        os._exit(0)
    refusals.add(code)


for flag, value in FLAGS.items():
    for both in (value, value | FLAGS["NEWUSER"]):
        attempt(f"unshare {flag}", lambda: system_call(272, both))
        if flag != "NEWTIME":
            attempt(f"clone {flag}", lambda: system_call(56, both | signal.SIGCHLD, 0, 0, 0, 0))
        arguments = struct.pack("11Q", both, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
        attempt(f"clone3 {flag}", lambda: system_call(435, arguments, len(arguments)))
for kind in ("user", "mnt", "pid", "net"):
    namespace = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    attempt(f"setns {kind}", lambda: system_call(308, namespace, 0))
held(" ".join(sorted(refusals)))
"#;
