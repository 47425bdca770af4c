"""One request and its answer on a pooled connection, blocking or for asyncio.

Whatever ends an exchange early (an error, a cancelled task, a closed generator, Ctrl-C) closes its connection, by which
the server learns that nobody waits any more, and ends the cages.
"""

from __future__ import annotations

import asyncio
import socket
from typing import AsyncGenerator, Generator, Iterator, Optional, Tuple, Union

from ._endpoint import Endpoint
from ._http import Head, Request, ResponseReader
from ._pool import Address, Pool, Refused
from .errors import ConnectionFailed

RECEIVE_BYTES = 256 * 1024

#: The head, and then the body in pieces.
Piece = Union[Head, bytes]


class Transport:
    """Sends requests to one server."""

    def __init__(self, endpoint: Endpoint, silence_s: float) -> None:
        self.endpoint = endpoint
        # How long a server may be silent within an exchange.
        self._silence_s = silence_s
        self._pool = Pool()
        #: Whether the server was found to have the level that its clients insist on.
        self.isolation_checked = False

    def exchange(self, request: Request) -> Generator[Piece, None, None]:
        """Sends `request` and yields the answer's head, then its body as it arrives."""
        address, token = self.endpoint.locate()
        data = request.to_bytes(address.host_header, token)
        idle = self._pool.idle(address)
        while True:
            connection = idle or self._connect(address)
            reader = ResponseReader()
            try:
                connection.settimeout(self._silence_s)
                connection.sendall(data)
                while not reader.complete:
                    yield from _feed(reader, connection.recv(RECEIVE_BYTES))
                self._finish(address, connection, reader)
                return
            except (OSError, EOFError) as error:
                self._pool.close(connection)
                if _is_foreign(error):
                    raise
                if idle is None or reader.head is not None or isinstance(error, socket.timeout):
                    raise self._broken(address, error) from error
                # The server ended an idle connection just as it was to be used again.
                idle = None
            except BaseException:
                self._pool.close(connection)
                raise

    async def exchange_async(self, request: Request) -> AsyncGenerator[Piece, None]:
        """The same for asyncio. Whoever stops early must `aclose` it."""
        address, token = await self._locate_async()
        data = request.to_bytes(address.host_header, token)
        loop = asyncio.get_running_loop()
        idle = self._pool.idle(address)
        while True:
            connection = idle or await self._connect_async(address)
            connection.setblocking(False)
            reader = ResponseReader()
            watchdog = _Watchdog(loop, connection, self._silence_s)
            try:
                await loop.sock_sendall(connection, data)
                while not reader.complete:
                    received = await loop.sock_recv(connection, RECEIVE_BYTES)
                    watchdog.heard()
                    for piece in _feed(reader, received):
                        yield piece
                    watchdog.heard()
                watchdog.stop()
                self._finish(address, connection, reader)
                return
            except (OSError, EOFError) as error:
                self._pool.close(connection)
                if idle is None or reader.head is not None or watchdog.barked:
                    cause = socket.timeout("timed out") if watchdog.barked else error
                    raise self._broken(address, cause) from error
                idle = None
            except BaseException:
                self._pool.close(connection)
                raise
            finally:
                watchdog.stop()

    def close(self) -> None:
        """Ends idle connections, and the server if it is ours."""
        self._pool.close_idle()
        self.endpoint.close()

    def _connect(self, address: Address) -> socket.socket:
        try:
            return self._pool.connect(address)
        except Refused:
            self.endpoint.unreachable(address)
            raise

    async def _connect_async(self, address: Address) -> socket.socket:
        try:
            return await self._pool.connect_async(address)
        except Refused:
            await asyncio.get_running_loop().run_in_executor(None, self.endpoint.unreachable, address)
            raise

    async def _locate_async(self) -> Tuple[Address, Optional[str]]:
        if self.endpoint.is_located():
            return self.endpoint.locate()
        return await asyncio.get_running_loop().run_in_executor(None, self.endpoint.locate)

    def _finish(self, address: Address, connection: socket.socket, reader: ResponseReader) -> None:
        if reader.keep_alive:
            self._pool.release(address, connection)
        else:
            self._pool.close(connection)

    def _broken(self, address: Address, error: Exception) -> ConnectionFailed:
        if isinstance(error, socket.timeout):
            return ConnectionFailed(f"{address} was silent for {self._silence_s:.0f} s")
        return ConnectionFailed(f"the connection to {address} broke: {error or type(error).__name__}")


def _feed(reader: ResponseReader, received: bytes) -> Iterator[Piece]:
    """Gives the reader what was received, and yields what is new: the head once, and pieces of the body."""
    had_head = reader.head is not None
    reader.feed(received)
    if reader.head is not None:
        if not had_head:
            yield reader.head
        body = reader.take()
        if body:
            yield body


def _is_foreign(error: Exception) -> bool:
    """Whether it is a `TimeoutError` of a signal's handler, by which callers bound a call, and no socket's."""
    return isinstance(error, TimeoutError) and error.errno is None and str(error) != "timed out"


class _Watchdog:
    """Shuts a connection down on which nothing was heard for too long. No task and no timer for each read."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, silence_s: float) -> None:
        self.barked = False
        self._loop = loop
        self._connection = connection
        self._silence_s = silence_s
        self._last = loop.time()
        self._timer = loop.call_later(silence_s, self._look)

    def heard(self) -> None:
        self._last = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self._last + self._silence_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
            return
        self.barked = True
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
