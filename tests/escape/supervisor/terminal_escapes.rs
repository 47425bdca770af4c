//! Output that acts on the terminal it reaches: it must arrive as the bytes it is.

use crate::harness::{Held, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    held: Held::Outcome(|outcome| {
        let expected = b"\x1b]0;title\x07\x1b[2J\x9b31m\r\x08\0\xff\xfe\n";
        if outcome.stdout.head == expected {
            Ok("bytes, untouched".to_owned())
        } else {
            Err("changed".to_owned())
        }
    }),
    ..Probe::new("terminal_escapes", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
os.write(1, b"\x1b]0;title\x07\x1b[2J\x9b31m\r\x08\0\xff\xfe\n")
if UNCONFINED:
    breached("unconfined, they reach the terminal")
"#;
