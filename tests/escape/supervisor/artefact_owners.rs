//! Files that their collector may not read, or should not: no mode at all, set-uid, sticky, locked, leased, still being written.

use crate::harness::{Held, Probe, Risk, Workspace};

pub(crate) const PROBE: Probe = Probe {
    workspace: Workspace::Collected,
    held: Held::Outcome(|outcome| {
        let surprising =
            outcome.files.iter().find(|file| file.content.len() > 64 && file.path.as_str() != "attack.py");
        match (surprising, outcome.termination.is_success()) {
            (None, true) => Ok(format!("{} files taken, none with a mode of its own", outcome.files.len())),
            (found, _) => Err(format!("took {:?}", found.map(|file| file.path.as_str()))),
        }
    }),
    ..Probe::new("artefact_owners", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
import fcntl
import stat

for mode in (0o000, 0o4755, 0o2755, 0o1777, 0o6777, 0o222):
    with open(f"mode-{mode:o}", "w") as file:
        file.write("x")
        try:
            os.fchmod(file.fileno(), mode)
        except OSError:
            pass
locked = os.open("locked", os.O_RDWR | os.O_CREAT)
fcntl.flock(locked, fcntl.LOCK_EX)
for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
    try:
        fcntl.fcntl(locked, fcntl.F_SETLEASE, kind)
    except OSError:
        pass
for node, kind, device in (("zero", stat.S_IFCHR, (1, 5)), ("disk", stat.S_IFBLK, (254, 0)), ("console", stat.S_IFCHR, (5, 1))):
    try:
        os.mknod(node, kind | 0o666, os.makedev(*device))
    except OSError:
        pass
os.mkdir("closed", 0)
for command in (1033, 1034):
    # Sealed, so that nobody changes its size under a reader.
    try:
        fcntl.fcntl(locked, command, 0xF)
    except OSError:
        pass
if os.fork() == 0:
    # Still there when the program has ended.
    with open("growing", "ab", buffering=0) as growing:
        while True:
            growing.write(b"x")
            growing.truncate(0)
"#;
