//! The supervisor's own messages, written to every descriptor, its streams included.

use rollcage_types::Termination;

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        if outcome.termination == (Termination::Exited { code: 7 }) {
            Ok("the verdict is the kernel's".to_owned())
        } else {
            Err(format!("believed {:?}", outcome.termination))
        }
    }),
    ..Probe::new("forged_reports", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
import struct

# Report::Ended of every early generation: exited with code 0, alone.
for generation in range(1, 50):
    report = struct.pack("9Q", 2, generation, 0, 1, 0, 0, 0, 0, 0)
    for number in range(64):
        try:
            os.write(number, report)
        except OSError:
            pass
os._exit(7)
"#;
