"""What the agents of sessions in Python share: the socket, and builtins that no cell can replace."""

import _json
import _signal
import _thread
import fcntl
import os
import posix
import sys

# Descriptors kept aside lie high, so that cells get the numbers they would get without us.
KEPT_DESCRIPTORS_FROM = 64
FORK_POINT = "/rollcage/session"
READ_AT_ONCE = 65536
# The supervisor hears no longer message.
CONTENT_MAX = 16 << 20
# Times that something is raised in the middle of one message. An error of the socket is, whatever is done.
RAISED_MAX = 100

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
    channel.forget()
    channel.say(b"ready", b"")
    return True


def live(agent):
    """Runs cells until there are none. The end of an interpreter is no part of a session."""
    if agent.take_up():
        agent.serve()
    leave(0)


class Channel:
    """The socket, which arrives as standard input.

    Between any two steps here something may be raised: by an interrupt, or by another handler that a cell installed. A message
    that is begun is said to its end all the same, and what was read is not lost. Threads of a cell speak in turn.
    """

    def __init__(self):
        self.descriptor = keep_aside(0)
        self.inbox = []
        # Answers that are still to come: one for whoever asks, and others for those who did not wait.
        self.owed = 0
        self.make_locks()
        posix.register_at_fork(after_in_child=self.make_locks)

    def make_locks(self):
        """Where those were held by threads that are not there."""
        self.saying, self.asking = _thread.RLock(), _thread.RLock()
        self.later = []

    def line(self):
        """The words of the next line; None at the end."""
        while True:
            line, end, rest = b"".join(self.inbox).partition(b"\n")
            if end:
                self.inbox[:] = [rest]
                return line.decode().split(" ")
            if not self.more():
                return None

    def order(self, branch):
        """The next cell: its number, source and standard input; None at the end. It stays where it is until all of it has come.
        `branch` is called where one is asked for before it."""
        while True:
            line, end, rest = b"".join(self.inbox).partition(b"\n")
            words = line.decode().split(" ")
            sizes = [int(word) for word in (words[2:] if words[0] == "cell" else words[1:2])] if end else []
            if not end or len(rest) < sum(sizes):
                if not self.more():
                    return None
            elif words[0] == "cell":
                number, size, both = int(words[1]), sizes[0], sum(sizes)
                self.inbox[:] = [rest[both:]]
                self.owed = 0
                return number, rest[:size], rest[size:both]
            else:
                # Or an answer, to somebody who was interrupted.
                self.inbox[:] = [rest[sum(sizes) :]]
                if words[0] == "branch":
                    branch()

    def ask(self, question):
        """What is answered; None if that is refused."""
        if self.asking._is_owned() or self.saying._is_owned():
            raise RuntimeError("a handler cannot ask for input here")
        with self.asking:
            written = []
            self.owed += 1
            try:
                self.say(b"input", question, written)
            except BaseException:
                # What is begun is said. What is not is not answered.
                if not written:
                    self.owed -= 1
                raise
            while True:
                kind, answer = self.answer()
                if self.owed == 0:
                    return answer if kind == b"answer" else None

    def answer(self):
        """The next answer, which stays where it is until all of it has come."""
        while True:
            line, end, rest = b"".join(self.inbox).partition(b"\n")
            if end:
                kind, _, count = line.partition(b" ")
                missing = int(count) - len(rest)
                if missing <= 0:
                    self.inbox[:] = [rest[int(count) :]]
                    self.owed -= 1
                    return kind, rest[: int(count)]
            if not self.more():
                leave(0)

    def more(self):
        # By the list itself, so that nothing is raised between the reading and its being kept.
        self.inbox.extend(map(read, (self.descriptor,), (READ_AT_ONCE,)))
        return bool(self.inbox[-1])

    def forget(self):
        self.inbox.clear()
        self.owed = 0

    def say(self, kind, content, written=None):
        """All of it, once it is begun: when there is anything in `written`, the counts of bytes."""
        if len(content) > CONTENT_MAX:
            content = b""  # Which is nothing that can be shown, and is counted.
        message = b"%s %d\n%s" % (kind, len(content), content)
        if self.saying._is_owned():
            # By a handler, in the middle of another.
            self.later.append(message)
            return
        written = [] if written is None else written
        with self.saying:
            try:
                # As above: what was written is known at once.
                written.extend(map(write, (self.descriptor,), (message,)))
            finally:
                if sum(written) < len(message):
                    self.say_rest(message, written)
                while self.later:
                    self.say_rest(self.later.pop(0), [])

    def say_rest(self, message, written):
        for _ in range(RAISED_MAX):
            try:
                while (at := sum(written)) < len(message):
                    written.extend(map(write, (self.descriptor,), (message[at:],)))
                return
            except BaseException as error:
                raised = [error]
        raise raised.pop()
