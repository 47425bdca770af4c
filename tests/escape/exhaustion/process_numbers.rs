//! Process numbers, used up as fast as they can be, so that one of them is soon somebody else's.

use std::time::Duration;

use crate::harness::{Exception, Expectation, Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    exceptions: &[Exception {
        modes: "process/",
        expectation: Expectation::NotApplicable,
        reason: "process numbers are the machine's where there is no pid namespace",
    }],
    held: Held::Outcome(|outcome| {
        let printed = String::from_utf8_lossy(&outcome.stdout.head);
        match printed.trim().parse::<u32>() {
            Ok(last) if outcome.termination.is_success() && last < 3000 => {
                Ok(format!("its own numbers, up to {last}"))
            }
            Ok(_) | Err(_) => Err("not a number of its own".to_owned()),
        }
    }),
    // It is to come to its end, on a busy machine too.
    limits: |limits| {
        limits.cpu_time = Duration::from_secs(60);
        limits.wall_time = Duration::from_secs(120);
    },
    ..Probe::new("process_numbers", Risk::Exhaustion, ATTACK)
};

const ATTACK: &str = r#"
count = 1500
numbers = []
for _ in range(count):
    child = os.fork()
    if child == 0:
        os._exit(0)
    numbers.append(child)
    os.waitpid(child, 0)
# A process number of its own namespace is as small as there are processes in it, and the machine's do not move.
if UNCONFINED and len(set(numbers)) == count:
    breached(f"{count} process numbers of this machine")
print(max(numbers))
"#;
