//! Streams closed, shut, shrunk and made to block, by the end that the program holds.

use rollcage_types::Termination;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        if outcome.termination == (Termination::Exited { code: 3 }) {
            Ok("ended by itself".to_owned())
        } else {
            Err("did not end by itself".to_owned())
        }
    }),
    ..Probe::new("end_of_streams", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
import fcntl
import resource

changed = []
for number in range(3):
    for label, command, value in (("size", 1031, 4096), ("owner", fcntl.F_SETOWN, 1), ("flags", fcntl.F_SETFL, os.O_NONBLOCK | os.O_DIRECT | os.O_ASYNC)):
        try:
            changed.append((label, number, fcntl.fcntl(number, command, value)))
        except OSError:
            pass
os.write(2, b"last words")
# Reads back what it wrote itself: who holds a pipe by /proc holds both ends.
try:
    with open("/proc/self/fd/1", "rb", buffering=0) as other_end:
        os.set_blocking(other_end.fileno(), False)
        os.write(1, b"x" * 4096)
        taken = other_end.read(4096)
except OSError:
    taken = b""
fcntl.fcntl(1, fcntl.F_SETFL, os.O_WRONLY)
if UNCONFINED and (taken or changed):
    breached(f"changed {changed}, took back {len(taken or b'')} bytes")
for number in range(3):
    os.close(number)
os._exit(3)
"#;
