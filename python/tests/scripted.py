"""A peer that answers as told, for what a real server does only when something is wrong."""

from __future__ import annotations

import json
import socket
import threading
from types import TracebackType
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Type, Union

#: What is sent for one request: bytes as they are, and then the connection's end unless told otherwise.
Answer = Union[bytes, Callable[["Received"], bytes]]


class Received(NamedTuple):
    """One request."""

    path: str
    headers: Dict[str, str]
    body: Any


class Peer:
    """Answers the n-th request with the n-th of `answers`, and the last one again. Connections are kept open."""

    def __init__(self, *answers: Answer, close_after: bool = False) -> None:
        self.requests: List[Received] = []
        self.connections = 0
        self._answers = answers
        self._close_after = close_after
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: List[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            stream = connection.makefile("rb")
            while True:
                received = _read(stream)
                if received is None:
                    return
                with self._lock:
                    answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
                    self.requests.append(received)
                connection.sendall(answer(received) if callable(answer) else answer)
                if self._close_after:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
        except OSError:
            return


def _read(stream: Any) -> Optional[Received]:
    line = stream.readline()
    if not line:
        return None
    headers = {}
    while True:
        header = stream.readline().decode("latin-1").strip()
        if not header:
            break
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    return Received(line.split()[1].decode("ascii"), headers, json.loads(body) if body else None)


def reply(value: Any, status: int = 200, headers: str = "") -> bytes:
    """An answer with a JSON body."""
    body = json.dumps(value).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def refusal(status: int, code: str, retryable: bool, headers: str = "") -> bytes:
    """An answer that is an error."""
    return reply({"error": {"code": code, "message": f"{code}!", "retryable": retryable}}, status, headers)


def chunked(*lines: Any, end: bool = True) -> bytes:
    """An answer in chunks, each value on a line of its own; without `end` one that was cut."""
    parts = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
    for line in lines:
        data = json.dumps(line).encode() + b"\n"
        parts.append(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    return b"".join(parts) + (b"0\r\n\r\n" if end else b"")


def scored(index: int, score: float = 1.0) -> Dict[str, Any]:
    """A judgement on the wire."""
    verdict = "accepted" if score == 1.0 else "wrong_answer"
    return {"index": index, "language": "python", "verdict": verdict, "score": score, "cases": []}


def unscorable(index: int, retryable: bool, blame: str = "infrastructure") -> Dict[str, Any]:
    """A failure of ours on the wire."""
    error = {"blame": blame, "reason": "the host is out of memory", "retryable": retryable}
    return {"index": index, "language": "python", "error": error}
