//! A file of the host by a descriptor that only names it, opened again by every way that leads from one to the other.

use crate::harness::{Probe, Risk};

pub(crate) const PROBE: Probe = Probe::new("path_descriptors", Risk::Reading, ATTACK);

const ATTACK: &str = r#"
def named(path, flags=os.O_PATH):
    return os.open(path, flags)


def read(descriptor):
    return SECRET in os.read(descriptor, 1 << 16)


def openat2(directory, path, resolve):
    how = ctypes.create_string_buffer(bytes(16) + resolve.to_bytes(8, "little"), 24)
    result, code = system_call(437, directory, path, how, 24)
    if result < 0:
        raise OSError(getattr(errno, code), code)
    return read(result)


def walk_up():
    directory = named(WORKSPACE, os.O_PATH | os.O_DIRECTORY)
    for _ in range(12):
        directory = os.open("..", os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
        os.fchdir(directory)
    return openat2(directory, SECRET_PATH[1:].encode(), 0)


here, file = os.path.dirname(SECRET_PATH), os.path.basename(SECRET_PATH)
expect_refusal(
    "host file",
    [
        ("through /proc", lambda: has_secret(f"/proc/self/fd/{named(SECRET_PATH)}")),
        ("through /dev/fd", lambda: has_secret(f"/dev/fd/{named(SECRET_PATH)}")),
        ("from its directory", lambda: openat2(named(here), file.encode(), 0)),
        ("from below its directory", lambda: openat2(named(here), file.encode(), 0x08)),
        ("as if from the root", lambda: openat2(named("/"), SECRET_PATH.encode(), 0x10)),
        ("from its directory, entered", lambda: (os.fchdir(named(here)), has_secret(file))[1]),
        ("from the working directory up", walk_up),
        ("executed", lambda: os.execve(named(SECRET_PATH), ["secret"], {})),
        ("truncated", lambda: os.truncate(named(SECRET_PATH), 0)),
        ("listed", lambda: os.listdir(named(here, os.O_RDONLY))),
    ],
)
"#;
