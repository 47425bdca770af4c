"""What the agents of sessions in Python share: the socket, and builtins that no cell can replace."""

import _json
import _signal
import fcntl
import os
import posix
import sys

# Descriptors kept aside lie high, so that cells get the numbers they would get without us.
KEPT_DESCRIPTORS_FROM = 64
FORK_POINT = "/rollcage/session"
READ_AT_ONCE = 65536

# Kept, because a cell may replace what it finds in a module.
globals().update({name: it for name, it in vars(__builtins__).items() if not name.startswith("__")})
quote, read, write, dup2, getpid, leave = (
    _json.encode_basestring_ascii,
    posix.read,
    posix.write,
    posix.dup2,
    posix.getpid,
    posix._exit,
)
set_handler, SIGINT = _signal.signal, _signal.SIGINT
modules = sys.modules


def keep_aside(descriptor):
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, KEPT_DESCRIPTORS_FROM)


def stop_to_be_copied():
    """Where an interpreter stops whose copies sessions are: at a file that is never there."""
    try:
        posix.close(posix.open(FORK_POINT, posix.O_RDONLY))
    except OSError:
        pass


def make_branch(channel, kept):
    """Forks this process into a branch of its own, in which it returns True; the supervisor is told of either side."""
    try:
        posix.close(posix.open("/rollcage/branch/%d/%d/%d" % (channel.descriptor, *kept), posix.O_RDONLY))
    except OSError:
        return False  # It cannot be, and the supervisor has been told why.
    # A fork draws other numbers from then on; a branch draws those that its trunk would.
    random = modules.get("random")
    try:
        state = random.getstate()
    except Exception:
        random = None
    if posix.fork() != 0:
        channel.say(b"branched", b"")
        return False
    if random is not None:
        random.setstate(state)
    channel.inbox = b""
    channel.say(b"ready", b"")
    return True


def live(agent):
    """Runs cells until there are none. The end of an interpreter is no part of a session."""
    if agent.take_up():
        agent.serve()
    leave(0)


class Channel:
    """The socket, which arrives as standard input."""

    def __init__(self):
        self.descriptor = keep_aside(0)
        self.inbox = b""

    def line(self):
        """The words of the next line; None at the end."""
        while True:
            line, end, rest = self.inbox.partition(b"\n")
            if end:
                self.inbox = rest
                return line.decode().split(" ")
            if not self.more():
                return None

    def cells(self, branch):
        """Cells as they come: number, source and standard input. `branch` is called where one is asked for between them."""
        while (words := self.line()) is not None:
            if words[0] == "branch":
                branch()
                continue
            number, source, stdin = (int(word) for word in words[1:])
            yield number, self.bytes(source), self.bytes(stdin)

    def bytes(self, count):
        while len(self.inbox) < count and self.more():
            pass
        content, self.inbox = self.inbox[:count], self.inbox[count:]
        return content

    def more(self):
        chunk = read(self.descriptor, READ_AT_ONCE)
        self.inbox += chunk
        return bool(chunk)

    def say(self, kind, content):
        rest = b"%s %d\n%s" % (kind, len(content), content)
        while rest:
            rest = rest[write(self.descriptor, rest) :]


