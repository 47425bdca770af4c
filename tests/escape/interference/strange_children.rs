//! Children that a plain wait does not see: its own siblings, and clones that end without SIGCHLD.

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        if outcome.termination.is_success() {
            Ok("the run ended with the program".to_owned())
        } else {
            Err(format!("{:?}", outcome.termination))
        }
    }),
    ..Probe::new("strange_children", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

CLONE_PARENT = 0x8000
reader, writer = os.pipe()
count = 0
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
for flags in (CLONE_PARENT | signal.SIGCHLD, CLONE_PARENT, 0, signal.SIGUSR1, CLONE_PARENT | signal.SIGUSR1):
    result, code = system_call(56, flags, 0, 0, 0, 0)
    if result == 0:
        # And one more of each kind, from a parent that is gone at once.
        grandchild, _ = system_call(56, flags, 0, 0, 0, 0)
        if grandchild > 0 and flags != CLONE_PARENT:
            os._exit(0)
        os.setsid() if os.getsid(0) != os.getpid() else None
        os.write(writer, b"x")
        time.sleep(1 if UNCONFINED else 30)
        os.write(1, b"BREACHED a child lives\n")
        os._exit(0)
    count += result > 0
for _ in range(count):
    os.read(reader, 1)
if UNCONFINED:
    # The control: its PID 1 does not end with the program.
    time.sleep(2)
os._exit(0)
"#;
