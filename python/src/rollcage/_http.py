"""HTTP/1.1 without a socket: the bytes of a request, and a reader that is fed the bytes of its answer.

The blocking and the asyncio client drive the same code. Every length is bounded, because the other end may be anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

from .errors import ProtocolError

# A status line and headers; ours are below 1 KiB, a proxy may add cookies.
HEAD_BYTES_MAX = 64 * 1024
# Results of one request held in memory; 100,000 judged cases are about 20 MB.
BODY_BYTES_MAX = 1024 * 1024 * 1024
# The line with a chunk's size; extensions are legal and unused.
CHUNK_LINE_BYTES_MAX = 4 * 1024


@dataclass(frozen=True)
class Request:
    """What is sent."""

    method: str
    path: str
    body: bytes = b""
    accept: str = "application/json"

    def to_bytes(self, host: str, token: Optional[str]) -> bytes:
        """The request as sent to `host`, with `token` as the bearer's."""
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"Host: {host}",
            f"Accept: {self.accept}",
            "User-Agent: rollcage-python",
        ]
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        if self.method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer."""

    status: int
    #: By lower-case name; of a repeated one the last.
    headers: Dict[str, str]

    @property
    def retry_after_s(self) -> Optional[float]:
        """The seconds of `Retry-After`; its other form, a date, is not read."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isascii() and value.isdigit() else None


class ResponseReader:
    """Reads one answer from the bytes it is fed. `head` comes first, then `take` gives what has arrived of the body."""

    def __init__(self) -> None:
        self.head: Optional[Head] = None
        #: Whether the body has ended.
        self.complete = False
        #: Whether the connection may carry another request once `complete`.
        self.keep_alive = False
        self._buffer = bytearray()
        self._body: List[bytes] = []
        self._received = 0
        # Bytes left of the body or of the present chunk; `None` where the end of the connection ends the body.
        self._left: Optional[int] = None
        self._chunked = False
        self._chunk_state = "size"

    def feed(self, data: bytes) -> None:
        """Takes what was received; no bytes mean that the other end has closed."""
        if not data:
            self._end_of_file()
            return
        self._buffer += data
        if self.head is None:
            self._read_head()
        if self.head is not None:
            self._read_body()

    def take(self) -> bytes:
        """What arrived of the body since it was last asked."""
        taken = b"".join(self._body)
        self._body.clear()
        return taken

    def _end_of_file(self) -> None:
        if self.head is not None and not self._chunked and self._left is None:
            self.complete = True
        elif not self.complete:
            raise EOFError("the server closed the connection before its answer was whole")

    def _read_head(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise ProtocolError(f"no end of headers within {HEAD_BYTES_MAX} bytes")
            return
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = lines[0].partition(" ")
        status = rest[:3]
        if version not in ("HTTP/1.0", "HTTP/1.1") or not status.isdigit():
            raise ProtocolError(f"not an HTTP answer: {lines[0][:100]!r}")
        if status.startswith("1"):
            # An interim answer; the one that counts follows.
            self._read_head()
            return
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        self._start_body(Head(int(status), headers), version)

    def _start_body(self, head: Head, version: str) -> None:
        self.head = head
        self.keep_alive = version == "HTTP/1.1" and head.headers.get("connection", "").lower() != "close"
        self._chunked = head.headers.get("transfer-encoding", "").lower() == "chunked"
        if self._chunked:
            return
        if head.status in (204, 304):
            self._left = 0
        elif "content-length" in head.headers:
            length = head.headers["content-length"]
            if not length.isascii() or not length.isdigit():
                raise ProtocolError(f"not a length: {length[:100]!r}")
            self._left = int(length)
        else:
            self.keep_alive = False

    def _read_body(self) -> None:
        if self._chunked:
            while not self.complete and self._read_chunk():
                pass
        elif self._left is None:
            self._give(len(self._buffer))
        else:
            self._left -= self._give(min(self._left, len(self._buffer)))
            self.complete = self._left == 0
        if self.complete and self._buffer:
            # Nothing was asked for that this could answer.
            self.keep_alive = False

    def _read_chunk(self) -> bool:
        """One step; false where more bytes are needed."""
        if self._chunk_state == "data":
            left = self._left or 0
            self._left = left - self._give(min(left, len(self._buffer)))
            if self._left == 0:
                self._chunk_state = "end"
            return self._left == 0
        line = self._line()
        if line is None:
            return False
        if self._chunk_state == "size":
            digits = line.split(b";")[0].strip()
            try:
                self._left = int(digits, 16)
            except ValueError:
                raise ProtocolError(f"not the size of a chunk: {bytes(digits[:100])!r}") from None
            self._chunk_state = "data" if self._left else "trailer"
        elif self._chunk_state == "end":
            self._chunk_state = "size"
        elif not line:
            self.complete = True
        return True

    def _line(self) -> Optional[bytes]:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > CHUNK_LINE_BYTES_MAX:
                raise ProtocolError("a line between chunks does not end")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _give(self, count: int) -> int:
        if count:
            self._received += count
            if self._received > BODY_BYTES_MAX:
                raise ProtocolError(f"the answer is larger than {BODY_BYTES_MAX} bytes")
            self._body.append(bytes(self._buffer[:count]))
            del self._buffer[:count]
        return count


class Lines:
    """Cuts a body into lines as it arrives."""

    def __init__(self) -> None:
        self._rest: List[bytes] = []

    def feed(self, data: bytes) -> List[bytes]:
        """The lines that `data` completes, without their ends; empty ones are left out."""
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join([*self._rest, whole[0]])
            self._rest = []
        if rest:
            self._rest.append(rest)
        return [line for line in whole if line.strip()]
