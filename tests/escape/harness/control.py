# PID 1 of the throw-away machine: runs the companion, then the attack, and says how that ended.
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys

order = json.load(sys.stdin)


def demote():
    if order["user"] == "nobody":
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)


# SIOCSIFFLAGS with IFF_UP on lo, so that the control's own loopback works.
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))

environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "ESCAPE_SECRET_PATH": order["secret_path"]}
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
attack = subprocess.Popen(
    ["python3", "/ws/work/attack.py", *arguments],
    env=environment,
    stdin=subprocess.DEVNULL,
    pass_fds=[secret],
    preexec_fn=demote,
)
print("END", attack.wait(), flush=True)
