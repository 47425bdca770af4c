//! A process of the last program in the same slot, which had the same user: it waits with an open ear.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Earlier(COMPANION),
    ..Probe::new("earlier_processes", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import socket

found = []
try:
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect("\0waiting")
        found.append("it answers")
except OSError:
    pass
for pid in range(2, 33000):
    # Its own children would be fair; it has none.
    if pid != os.getpid() and system_call(62, pid, 0)[0] == 0:
        found.append(f"process {pid}")
if int(sys.argv[2]) != os.getuid():
    print("another uid than the earlier run", flush=True)
    os._exit(1)
if found:
    breached(f"found {found}")
held("nobody is left")
"#;

const COMPANION: &str = r#"
import signal
import socket

try:
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0waiting")
    server.listen()
except OSError:
    pass
if os.fork() == 0:
    os.setsid()
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if os.fork() == 0:
        # Its streams are closed: nobody can wait for their end.
        for number in range(3):
            os.close(number)
        while True:
            libc.pause()
    os._exit(0)
ready(os.getuid())
os._exit(0)
"#;
