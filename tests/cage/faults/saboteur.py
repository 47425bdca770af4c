"""Lets chosen system calls of a program fail, one at a time and when told to.

`launch SOCKET CALLS PROGRAM ARGUMENT…` takes on a filter that hands every call of CALLS, a list of numbers, to whoever
listens on SOCKET, and becomes the program.

`listen SOCKET` answers for those calls, and does what it is told on standard input, a line at a time:

    arm ERRNO STEPS   the call that takes the last step fails; then all is as before
    hold STEPS        the call that takes the last step waits
    release           it goes on
    rest              nothing fails or waits any more
    ask               how many calls have failed, and the process that waits, or 0
    root              the process that last became the program

Steps are taken in turn, by any process: `5/0=1/1&6*2;7|8` is the third call of number 5 with a first argument of 1 and
both bits of 6 in the second, and then one of number 7 or 8. `!` asks for none of the bits. A step that begins with `@` is
one of the process that took the step before it.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import sys

# linux/seccomp.h and linux/bpf_common.h
SYS_SECCOMP, SET_MODE_FILTER = 317, 1
# With the second, which Linux has since 5.19, no signal makes a call that was told of start again.
NEW_LISTENER, WAIT_KILLABLE = 8, 32
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
RECEIVE, SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
NOTICE = struct.Struct("=QIIiIQ6Q")
ANSWER = struct.Struct("=QqiI")
NUMBER_AT, FIRST_ARGUMENT_AT = 0, 16
SET_NO_NEW_PRIVS = 38
SYS_SENDMSG = 46
# Where a launcher keeps its way to the listener: a number that no other descriptor has.
OWN = 900


def launch(path, calls, arguments):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.connect(path)
    os.dup2(listener.fileno(), OWN, inheritable=False)
    listener.close()
    calls = [int(call) for call in calls.split(",")]
    # The message that hands the filter's descriptor over cannot wait for an answer.
    program = [
        (LOAD, 0, 0, NUMBER_AT), (JUMP_EQUAL, 0, 3, SYS_SENDMSG),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT), (JUMP_EQUAL, 0, 1, OWN), (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, NUMBER_AT),
    ]
    for index, call in enumerate(calls):
        program.append((JUMP_EQUAL, len(calls) - index, 0, call))
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, NOTIFY)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    described = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    notices = libc.syscall(SYS_SECCOMP, SET_MODE_FILTER, NEW_LISTENER | WAIT_KILLABLE, described)
    if notices < 0:
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    socket.send_fds(socket.socket(fileno=OWN), [b"%d" % os.getpid()], [notices])
    os.set_inheritable(notices, False)
    os.execv(arguments[0], arguments)


class Step:
    def __init__(self, text):
        self.is_same_process = text.startswith("@")
        text, _, skip = text.removeprefix("@").partition("*")
        self.skip = int(skip or 0)
        self.ways = [self.parse(way) for way in text.split("|")]

    @staticmethod
    def parse(way):
        number, *conditions = way.split("/")
        return int(number), [(int(c[0]), c[1], int(c[2:])) for c in conditions]

    def is_taken_by(self, is_same_process, call, arguments):
        def holds(condition):
            index, kind, value = condition
            given = arguments[index]
            if kind == "=":
                # Most are of half the width of a register.
                return given & 0xFFFFFFFF == value
            return given & value == (value if kind == "&" else 0)

        if self.is_same_process and not is_same_process:
            return False
        if not any(call == number and all(map(holds, conditions)) for number, conditions in self.ways):
            return False
        self.skip -= 1
        return self.skip < 0


class Listener:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.listen()
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLIN)
        self.poll.register(0, select.POLLIN)
        self.steps, self.errno = [], 0
        self.failed, self.held, self.root = 0, None, 0
        self.last = 0

    def serve(self):
        while True:
            for descriptor, event in self.poll.poll():
                if descriptor == 0:
                    line = sys.stdin.buffer.raw.readline()
                    if not line:
                        return
                    print(self.obey(line.decode().split()), flush=True)
                elif descriptor == self.socket.fileno():
                    connection, _ = self.socket.accept()
                    text, (notices,), _, _ = socket.recv_fds(connection, 64, 1)
                    self.root = int(text)
                    self.poll.register(notices, select.POLLIN)
                elif event & select.POLLIN:
                    self.hear(descriptor)
                else:
                    self.poll.unregister(descriptor)
                    os.close(descriptor)

    def obey(self, words):
        match words:
            case ["arm", errno, steps]:
                self.errno = int(errno)
            case ["hold", steps]:
                self.errno = 0
            case ["release"]:
                if self.held:
                    self.answer(*self.held[:2], 0)
                self.held, steps = None, ""
            case ["rest"]:
                steps = ""
            case ["ask"]:
                return f"{self.failed} {self.held[2] if self.held else 0}"
            case ["root"]:
                return str(self.root)
        self.steps = [Step(step) for step in steps.split(";") if step]
        return "ok"

    def hear(self, descriptor):
        buffer = bytearray(NOTICE.size)
        try:
            fcntl.ioctl(descriptor, RECEIVE, buffer)
        except FileNotFoundError:
            # Killed in the meantime.
            return
        notice, pid, _flags, call, _architecture, _at, *arguments = NOTICE.unpack(buffer)
        if not self.steps or not self.steps[0].is_taken_by(pid == self.last, call, arguments):
            return self.answer(descriptor, notice, 0)
        self.steps.pop(0)
        self.last = pid
        if self.steps:
            self.answer(descriptor, notice, 0)
        elif self.errno:
            self.failed += self.answer(descriptor, notice, self.errno)
        else:
            self.held = descriptor, notice, pid

    @staticmethod
    def answer(descriptor, notice, errno):
        try:
            fcntl.ioctl(descriptor, SEND, ANSWER.pack(notice, 0, -errno, 0 if errno else CONTINUE))
            return True
        except OSError:
            # Whoever asked is dead.
            return False


if sys.argv[1] == "launch":
    launch(sys.argv[2], sys.argv[3], sys.argv[4:])
else:
    Listener(sys.argv[2]).serve()
