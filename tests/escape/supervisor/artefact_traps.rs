//! Files that block or never end when read: pipes, sockets, a terabyte of holes, a pit of directories.

use rollcage_types::ByteSize;

use crate::harness::{Held, Probe, Risk, Workspace};

pub(crate) const PROBE: Probe = Probe {
    workspace: Workspace::Collected,
    limits: |limits| limits.file_size = ByteSize::gib(2048),
    held: Held::Outcome(|outcome| {
        let bytes: usize = outcome.files.iter().map(|file| file.content.len()).sum();
        let traps = ["pipe-", "socket", "holes"];
        let taken =
            outcome.files.iter().find(|file| traps.iter().any(|trap| file.path.as_str().starts_with(trap)));
        match taken {
            Some(file) => Err(format!("took {}", file.path)),
            None if bytes > 1 << 20 || outcome.files.len() > 1024 || outcome.files_omitted < 900 => Err(
                format!("{} files, {bytes} bytes, {} omitted", outcome.files.len(), outcome.files_omitted),
            ),
            None => Ok(format!("{} files taken, {} omitted", outcome.files.len(), outcome.files_omitted)),
        }
    }),
    ..Probe::new("artefact_traps", Risk::Supervisor, ATTACK)
};

const ATTACK: &str = r#"
import socket

for number in range(3):
    os.mkfifo(f"pipe-{number}")
try:
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
except OSError:
    # Some cages have no sockets with names.
    pass
with open("holes", "wb") as file:
    os.ftruncate(file.fileno(), 1 << 40)
for number in range(100):
    os.mkdir("pit")
    os.chdir("pit")
os.chdir(WORKSPACE)
# And one whose bottom no path is long enough to name.
for number in range(40):
    os.mkdir("n" * 255)
    os.chdir("n" * 255)
os.chdir(WORKSPACE)
for number in range(2000):
    os.close(os.open(f"many-{number}", os.O_CREAT | os.O_WRONLY))
os.close(os.open("unreadable", os.O_CREAT | os.O_WRONLY, 0))
"#;
