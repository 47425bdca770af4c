//! A process of the last program in the same slot, which had the same user: it waits with an open ear.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Earlier(COMPANION),
    ..Probe::new("earlier_processes", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import socket

found = []
with socket.socket(socket.AF_UNIX) as ours:
    try:
        ours.connect("\0waiting")
        found.append("it answers")
    except OSError:
        pass
for pid in (entry for entry in os.listdir("/proc") if entry.isdigit()):
    try:
        if os.stat(f"/proc/{pid}").st_uid == os.getuid() and int(pid) != os.getpid():
            with open(f"/proc/{pid}/comm") as file:
                found.append(f"{pid} ({file.read().strip()})")
    except OSError:
        pass
if system_call(62, -1, 0)[0] == 0 and not UNCONFINED:
    found.append("somebody to signal")
if int(sys.argv[2]) != os.getuid():
    print("another uid than the earlier run", flush=True)
    os._exit(1)
if any("python" in entry or "answers" in entry for entry in found) or not UNCONFINED and found:
    breached(f"found {found}")
held("nobody is left")
"#;

const COMPANION: &str = r#"
import signal
import socket

server = socket.socket(socket.AF_UNIX)
server.bind("\0waiting")
server.listen()
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
