//! PID 1 of its cage and its own parent: every signal.

use crate::harness::{Exception, Expectation, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    exceptions: &[Exception {
        modes: "/branch",
        expectation: Expectation::Partial,
        reason: "the init of a branch is of its user and holds nothing; no signal of its own namespace ends it",
    }],
    ..Probe::new("signal_init", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
refusals = set()
for number in range(0, 65):
    for target in MAKERS:
        result, code = system_call(62, target, number)
        if result == 0:
            breached(f"signal {number} to {target}")
        refusals.add(code)
# siginfo_t of a queued SIGKILL.
information = ctypes.create_string_buffer(b"\x09\0\0\0\0\0\0\0\xff\xff\xff\xff" + b"\0" * 116, 128)
for pid in MAKERS:
    descriptor, _ = system_call(434, pid, 0)
    for label, number, arguments in (
        ("tgkill", 234, (pid, pid, 9)),
        ("tkill", 200, (pid, 9)),
        ("rt_sigqueueinfo", 129, (pid, 9, information)),
        ("pidfd_send_signal", 424, (descriptor, 9, None, 0)),
    ):
        result, code = system_call(number, *arguments)
        if result == 0:
            breached(f"{label} to {pid}")
        refusals.add(code)
held(" ".join(sorted(refusals)))
"#;
