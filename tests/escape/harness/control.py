# PID 1 of the throw-away machine: runs the companion, then the attack, and says how that ended. Like the supervisor of a
# cage it holds a descriptor for reports and takes in what was left behind; unlike it, it expects no harm.
import fcntl
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys

order = json.load(sys.stdin)


def demote():
    if order["user"] == "nobody":
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)


def collect():
    """Reads every file; an exception is the harm that came of it."""

    def give_up(error):
        raise error

    def wake(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, wake)
    taken = []
    for directory, _, names in os.walk("/ws/work", onerror=give_up):
        for entry in names:
            path = f"{directory}/{entry}"
            taken.append(path)
            if len(taken) > MANY:
                raise OverflowError(f"more than {MANY} files")
            if path in ("/ws/work/attack.py", "/ws/work/companion.py"):
                continue
            signal.alarm(1)
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size > LARGE:
                    raise MemoryError(f"more than {LARGE} bytes in {path}")
                content = file.read(LARGE)
            signal.alarm(0)
            if len(content) == LARGE:
                raise MemoryError(f"{path} has no end")
            if b"ESCAPE-SECRET" in content:
                raise PermissionError(f"{path} is the secret")
    listing = "\n".join(taken)
    if len(listing.encode().split(b"\n")) != len(taken):
        raise ValueError("one file looks like two")


# A careless collector that has taken this much has been harmed enough.
LARGE, MANY = 256 << 20, 5000

# SIOCSIFFLAGS with IFF_UP on lo, so that the control's own loopback works.
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))

environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "ESCAPE_SECRET_PATH": order["secret_path"]}
environment["ESCAPE_UNCONFINED"] = "1"
for name in ("attack", "companion"):
    with open(f"/ws/work/{name}.py", "w") as file:
        file.write(order[name])
if order["setup"]:
    exec(order["setup"])
arguments = []
companion = None
if order["companion"]:
    companion = subprocess.Popen(
        ["python3", "/ws/work/companion.py"], env=environment, stdout=subprocess.PIPE, preexec_fn=demote
    )
    words = companion.stdout.readline().decode().split()
    arguments = [str(companion.pid), *words[1:]]
    if order["earlier"]:
        companion.wait()
# A descriptor that a careless supervisor might leave open.
secret = os.open(order["secret_path"], os.O_RDONLY)
reports, reporter = os.pipe()
attack = subprocess.Popen(
    ["python3", "/ws/work/attack.py", *arguments],
    env=environment,
    stdin=subprocess.DEVNULL,
    pass_fds=[secret, reporter],
    preexec_fn=demote,
)
status = attack.wait()
# Our own as well, and whoever holds a stream may have made it another kind.
os.set_blocking(1, True)
os.set_blocking(reports, False)
try:
    # On a line of its own, whatever the attack printed last.
    print("\nBREACHED a careless supervisor was told", os.read(reports, 64), flush=True)
except BlockingIOError:
    pass
if order["collect"]:
    try:
        collect()
    except Exception as harm:
        print("\nBREACHED a careless collector:", repr(harm)[:200], flush=True)
print("END", status, flush=True)
