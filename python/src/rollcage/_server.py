"""A server of our own: a `rollcage serve` on a socket in a private directory, which ends with its owner.

Its life hangs on a pipe to its standard input that only the owner holds. Whatever ends the owner closes the pipe,
and at end of file the server finishes and exits. It has a session of its own, so Ctrl-C reaches Python and not it.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import secrets
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import List, Optional, Sequence

from .errors import ServerStartError

# Its first cages are ready in well under a second; a host that is very busy gets this much.
START_S_MAX = 60.0
# At end of file it finishes what it has. What takes longer is ended.
STOP_S_MAX = 10.0
# The end of its log that an error shows.
LOG_TAIL_BYTES = 4 * 1024
# The line that says where it listens.
LISTENING_LINE_BYTES_MAX = 4 * 1024
# `sun_path` holds 108 bytes, one of them a NUL (unix(7)).
SOCKET_PATH_BYTES_MAX = 107
DIRECTORY_PREFIX = "rollcage-python-"
# A directory without a held lock is left over, unless its owner was about to take the lock.
ABANDONED_AFTER_S = 60.0


class LocalServer:
    """A server that runs until `stop`, or until the process that started it ends."""

    def __init__(self, binary: Path, isolation: Optional[str], arguments: Sequence[str]) -> None:
        self.owner_pid = os.getpid()
        #: What a request must carry, so that a socket others can reach is of no use to them.
        self.token = secrets.token_urlsafe(32)
        self._directory = _make_directory()
        self.socket_path = str(self._directory / "s")
        self._lock_file = os.open(self._directory / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        command = [str(binary), "serve", "--listen", f"unix:{self.socket_path}", "--exit-with-stdin"]
        if isolation is not None:
            command += ["--isolation", isolation]
        try:
            self._process = self._start([*command, *arguments])
        except BaseException:
            self._discard()
            raise
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix:{self.socket_path}"

    def is_alive(self) -> bool:
        """Whether its process has not ended. Only the owner can tell; others learn it by connecting."""
        return os.getpid() != self.owner_pid or self._process.poll() is None

    def stop(self) -> None:
        """Lets it finish what it has, and ends it. Does nothing in a forked child."""
        if os.getpid() != self.owner_pid:
            return
        atexit.unregister(self.stop)
        _end(self._process)
        self._discard()

    def after_fork(self) -> None:
        """In the child: lets go of the pipe and the lock, so that the server's life is the owner's alone."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        # Another process's child: nothing to wait for, nothing to warn about.
        self._process.returncode = 0
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    def _start(self, command: List[str]) -> "subprocess.Popen[bytes]":
        with open(self._log_path, "wb") as log:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    env={**os.environ, "ROLLCAGE_TOKEN": self.token},
                    start_new_session=True,
                )
            except OSError as error:
                raise ServerStartError(f"cannot execute {command[0]}: {error}") from error
        try:
            line = _first_line(process, time.monotonic() + START_S_MAX)
            if "listening" not in json.loads(line):
                raise ValueError(line)
        except BaseException as error:
            status = process.poll()
            _end(process)
            if not isinstance(error, ValueError):
                raise
            how = "did not say where it listens" if status is None else f"ended with status {status}"
            raise ServerStartError(f"`{' '.join(command)}` {how}; it said:\n{self._log_tail()}") from None
        return process

    @property
    def _log_path(self) -> Path:
        return self._directory / "server.log"

    def _log_tail(self) -> str:
        with open(self._log_path, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace").strip() or "(nothing)"

    def _discard(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1


def _first_line(process: "subprocess.Popen[bytes]", deadline: float) -> str:
    """The first line of standard output; what there is of it if the process ends or the time does."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    line = b""
    while not line.endswith(b"\n") and len(line) < LISTENING_LINE_BYTES_MAX:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poller.poll(left_s * 1000):
            break
        data = os.read(descriptor, LISTENING_LINE_BYTES_MAX)
        if not data:
            process.wait(timeout=STOP_S_MAX)
            break
        line += data
    return line.decode("utf-8", "replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
    for then in (process.terminate, process.kill):
        try:
            process.wait(timeout=STOP_S_MAX)
            break
        except subprocess.TimeoutExpired:
            then()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _make_directory() -> Path:
    """A directory that only this user can enter, with a path short enough for a socket in it."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        if len(os.fsencode(parent)) + len(DIRECTORY_PREFIX) + 16 <= SOCKET_PATH_BYTES_MAX:
            _remove_abandoned(Path(parent))
            return Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir=parent))
    raise ServerStartError("no temporary directory has a path short enough for a socket")


def _remove_abandoned(parent: Path) -> None:
    """Removes what owners left that were killed: directories of this user's whose lock nobody holds."""
    for directory in parent.glob(f"{DIRECTORY_PREFIX}*"):
        try:
            status = directory.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < ABANDONED_AFTER_S:
                continue
            lock = os.open(directory / "owner.lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        except OSError:
            # Its owner lives.
            pass
        finally:
            os.close(lock)
