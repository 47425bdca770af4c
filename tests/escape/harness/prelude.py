# What every attack and companion starts with.
import ctypes
import errno
import os
import sys

SECRET_PATH = os.environ.get("ESCAPE_SECRET_PATH", "")
SECRET = b"ESCAPE-SECRET"
# Files an attack leaves outside carry this name, so that they can be looked for.
MARKER = "rollcage-escape-marker"
# Whether this is the control, for attacks whose harm is done to somebody it does not have.
UNCONFINED = "ESCAPE_UNCONFINED" in os.environ
WORKSPACE = os.getcwd()
# Who made the cage: its first process, and the one that started this program.
MAKERS = sorted({1, os.getppid()} - {0})
TEMPORARY = os.environ.get("TMPDIR", "/tmp")
libc = ctypes.CDLL(None, use_errno=True)


def breached(detail):
    # On a line of its own, whatever was printed before.
    print("\nBREACHED", detail, flush=True)
    os._exit(0)


def held(detail):
    print("\nHELD", detail, flush=True)
    os._exit(0)


def ready(*words):
    # The name is what the supervisor's side sees of a program in a cage.
    libc.prctl(15, b"escape-ready", 0, 0, 0)
    print("ready", *words, flush=True)


def name(code):
    return errno.errorcode.get(code, str(code))


def system_call(number, *arguments):
    """Returns (result, errno name)."""
    ctypes.set_errno(0)
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *passed)
    return result, name(ctypes.get_errno()) if result < 0 else "ok"


def expect_refusal(what, attempts):
    """Calls each of the (label, function) pairs; any that returns is a breach."""
    refusals = []
    for label, attempt in attempts:
        try:
            result = attempt()
        except OSError as error:
            refusals.append(name(error.errno))
        else:
            breached(f"{what}: {label} gave {result!r}")
    held(" ".join(sorted(set(refusals))))


def expect_call_refusal(what, calls, harmless=()):
    """As above for (label, number, arguments); errnos in `harmless` mean that the kernel did look at the call."""
    refusals = []
    for label, number, arguments in calls:
        result, code = system_call(number, *arguments)
        if result >= 0 or code in harmless:
            breached(f"{what}: {label} answered {code}")
        refusals.append(code)
    held(" ".join(sorted(set(refusals))))


def processes():
    """All process numbers but its own that can be found out, and those of its makers."""
    found = set(MAKERS)
    try:
        found |= {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    except OSError:
        found |= {pid for pid in range(1, 33000) if os.path.exists(f"/proc/{pid}")}
    return sorted(found - {os.getpid()})


def opens(path):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def has_secret(path):
    with open(path, "rb") as file:
        return SECRET in file.read(1 << 20)

