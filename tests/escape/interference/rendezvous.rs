//! A word with the cage next door, by whatever outlives or crosses a process: System V, message queues, sockets, locks.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("rendezvous", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
import fcntl
import socket

found = []
for label, call in (("shared memory", libc.shmget), ("semaphore", libc.semget), ("queue", lambda key, *_: libc.msgget(key, 0))):
    if call(0x726F6C6C, 1, 0) >= 0:
        found.append(label)
if libc.mq_open(b"/rendezvous", os.O_RDONLY) >= 0:
    found.append("POSIX queue")
try:
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect("\0rendezvous")
        found.append("abstract socket")
except OSError:
    pass
# A lock on a file both see is a bit, and many are a channel.
with open("/usr/bin/env", "rb") as shared:
    try:
        fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass
if found:
    breached(", ".join(found))
held("nothing of the neighbour's is there")
"#;

const COMPANION: &str = r#"
import socket

libc.shmget(0x726F6C6C, 4096, 0o1666)
libc.semget(0x726F6C6C, 1, 0o1666)
libc.msgget(0x726F6C6C, 0o1666)
libc.mq_open(b"/rendezvous", os.O_CREAT | os.O_RDWR, 0o666, None)
try:
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0rendezvous")
    server.listen()
except OSError:
    pass
ready()
while True:
    libc.pause()
"#;
