"""Connections to servers: addresses, idle connections that are used again, and what a fork must not share.

Sockets are plain, so that one pool serves threads and event loops alike. A forked child closes its copies of all of
them: a connection belongs to the process that opened it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import weakref
from dataclasses import dataclass
from typing import List, Optional, Set, Tuple
from urllib.parse import urlsplit

from .errors import ConfigurationError, ConnectionFailed

# A server that lives answers a SYN at once; a lost host would take minutes to be noticed.
CONNECT_S_MAX = 10.0
# A server accepts hundreds of connections in this time.
BACKLOG_WAIT_S = 0.005
# More are closed after use. One for each of the threads a pool of workers usually has.
IDLE_CONNECTIONS_MAX = 64
# A host that vanished is noticed after 30 + 3 * 10 seconds, without a limit on how long an answer may take.
KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    #: The path of a socket, or `None`.
    path: Optional[str]
    host: str = "localhost"
    port: int = 0

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"http://{self.host_header}"

    @property
    def host_header(self) -> str:
        """The value of the `Host` header."""
        if self.path is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(url: str) -> Address:
    """Reads `http://host:port`, `host:port` or `unix:/path`."""
    if url.startswith("unix:"):
        path = url[len("unix:") :]
        path = path[2:] if path.startswith("//") else path
        if not path.startswith("/"):
            raise ConfigurationError(f"`{url}`: the path of a socket must be absolute, as in unix:/run/rollcage.sock")
        return Address(path)
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http":
        raise ConfigurationError(
            f"`{url}`: only http:// and unix: are spoken; for https, put a proxy or a tunnel on this side"
        )
    try:
        port = parts.port or 80
    except ValueError as error:
        raise ConfigurationError(f"`{url}`: {error}") from None
    if not parts.hostname or parts.username is not None or parts.query or parts.path not in ("", "/"):
        raise ConfigurationError(f"`{url}`: expected http://HOST:PORT and nothing after it")
    return Address(None, parts.hostname, port)


class Pool:
    """Connections of one client. Safe for threads; a connection is used by one request at a time."""

    def __init__(self) -> None:
        self._reset()
        _POOLS.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._idle: List[Tuple[Address, socket.socket]] = []
        self._open: Set[socket.socket] = set()

    def idle(self, address: Address) -> Optional[socket.socket]:
        """A connection that was used before and still seems to live."""
        while True:
            with self._lock:
                at = next((i for i in reversed(range(len(self._idle))) if self._idle[i][0] == address), None)
                if at is None:
                    return None
                _, connection = self._idle.pop(at)
            if _is_quiet(connection):
                return connection
            self.close(connection)

    def connect(self, address: Address) -> socket.socket:
        """A new connection."""
        try:
            if address.path is not None:
                # Blocking without a limit: a local socket refuses, or its server is about to accept.
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    connection.connect(address.path)
                except BaseException:
                    connection.close()
                    raise
            else:
                connection = socket.create_connection((address.host, address.port), timeout=CONNECT_S_MAX)
        except OSError as error:
            raise _failed(address, error) from error
        return self._opened(connection)

    async def connect_async(self, address: Address) -> socket.socket:
        """A new connection, made without blocking the event loop."""
        try:
            return self._opened(await asyncio.wait_for(_connect_async(address), CONNECT_S_MAX))
        except asyncio.TimeoutError:
            raise ConnectionFailed(f"cannot connect to {address}: no answer in {CONNECT_S_MAX:.0f} s") from None
        except OSError as error:
            raise _failed(address, error) from error

    def release(self, address: Address, connection: socket.socket) -> None:
        """Keeps a connection whose answer was whole."""
        with self._lock:
            keep = len(self._idle) < IDLE_CONNECTIONS_MAX and connection in self._open
            if keep:
                self._idle.append((address, connection))
        if not keep:
            self.close(connection)

    def close(self, connection: socket.socket) -> None:
        """Ends a connection. The server takes this for the end of its client, and ends what runs for it."""
        with self._lock:
            self._open.discard(connection)
        try:
            # A child forked meanwhile may hold a copy, which would keep the connection open.
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()

    def close_idle(self) -> None:
        """Ends every connection that no request uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            self.close(connection)

    def after_fork(self) -> None:
        """In the child: gives up the parent's connections without ending them."""
        inherited = list(self._open)
        self._reset()
        for connection in inherited:
            connection.close()

    def _opened(self, connection: socket.socket) -> socket.socket:
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE:
                # Not every system has every one.
                if hasattr(socket, name):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        with self._lock:
            self._open.add(connection)
        return connection


class Refused(ConnectionFailed):
    """Nobody listens there any more."""


def _failed(address: Address, error: OSError) -> ConnectionFailed:
    kind = Refused if isinstance(error, (ConnectionRefusedError, FileNotFoundError)) else ConnectionFailed
    return kind(f"cannot connect to {address}: {error}")


async def _connect_async(address: Address) -> socket.socket:
    loop = asyncio.get_running_loop()
    if address.path is not None:
        return await _connect_unix(address.path)
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("the name has no address")
    for family, _, _, _, place in found:
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, place)
            return connection
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
    raise failure


async def _connect_unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        while True:
            try:
                connection.connect(path)
                return connection
            except BlockingIOError:
                # The server's backlog is full. No descriptor tells when it is not (connect(2): EAGAIN).
                await asyncio.sleep(BACKLOG_WAIT_S)
    except BaseException:
        connection.close()
        raise


def _is_quiet(connection: socket.socket) -> bool:
    """Whether an idle connection is open and has nothing to say, as one must that was asked nothing."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


_POOLS: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pool in list(_POOLS):
        pool.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
