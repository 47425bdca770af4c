//! A signal to every process it may signal.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("signal_everybody", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import signal
import time

result, code = system_call(62, -1, signal.SIGTERM)
if result == 0:
    breached("somebody else got it")
held(code)
"#;

const COMPANION: &str = r#"
import signal

signal.signal(signal.SIGTERM, lambda *_: (print("HARMED", flush=True), os._exit(1)))
ready()
while True:
    signal.pause()
"#;
