"""Where a client's server is: somewhere else, or started here on first use and shared with forked children."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from typing import List, Optional, Protocol, Tuple

from ._binary import find_binary
from ._pool import Address, parse_address
from ._server import LocalServer
from .errors import ConfigurationError, ServerStartError

# A server that keeps dying has a fault that starting it once more does not mend.
STARTS_MAX = 5
ISOLATION_LEVELS = ("full", "rootless", "process")


@dataclass(frozen=True)
class Settings:
    """How a client finds its server. What is left out is taken from the environment when the client is made."""

    #: A server that runs already, as `http://HOST:PORT` or `unix:/PATH` (`ROLLCAGE_URL`). Without one, one is started.
    url: Optional[str] = None
    #: What requests to `url` carry (`ROLLCAGE_TOKEN`).
    token: Optional[str] = None
    #: The isolation level that is insisted on: `full`, `rootless` or `process` (`ROLLCAGE_ISOLATION`).
    isolation: Optional[str] = None
    #: The command that is started (`ROLLCAGE_BINARY`).
    binary: Optional[str] = None
    #: Further options of `rollcage serve`, for a server that is started here.
    server_args: Tuple[str, ...] = ()

    def with_environment(self) -> "Settings":
        """The same with what the environment says where nothing was given."""
        env = os.environ
        settings = Settings(
            self.url or env.get("ROLLCAGE_URL") or None,
            self.token or env.get("ROLLCAGE_TOKEN") or None,
            self.isolation or env.get("ROLLCAGE_ISOLATION") or None,
            self.binary,
            tuple(self.server_args),
        )
        if settings.isolation is not None and settings.isolation not in ISOLATION_LEVELS:
            raise ConfigurationError(
                f"`{settings.isolation}` is no isolation level; there are {', '.join(ISOLATION_LEVELS)}"
            )
        if settings.url is not None and settings.server_args:
            raise ConfigurationError(
                f"server_args are for a server started here, but {settings.url} is asked (url= or ROLLCAGE_URL)"
            )
        return settings


class Endpoint(Protocol):
    """A server, wherever it is."""

    def locate(self) -> Tuple[Address, Optional[str]]:
        """Its address and token. Starts it where that is ours to do, which blocks for as long as that takes."""

    def is_located(self) -> bool:
        """Whether `locate` returns at once."""

    def unreachable(self, address: Address) -> None:
        """Told that nobody listens at `address`: `locate` names another where it can. May block."""

    def close(self) -> None:
        """Ends what was started."""


class Remote:
    """A server that someone else started."""

    def __init__(self, url: str, token: Optional[str]) -> None:
        self._address = parse_address(url)
        self._token = token

    def locate(self) -> Tuple[Address, Optional[str]]:
        return self._address, self._token

    def is_located(self) -> bool:
        return True

    def unreachable(self, address: Address) -> None:
        pass

    def close(self) -> None:
        pass


class Local:
    """A server started on first use. A forked child shares it, and starts one of its own once it is gone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._server: Optional[LocalServer] = None
        self._starts = 0
        _LOCALS.add(self)

    def locate(self) -> Tuple[Address, Optional[str]]:
        with self._lock:
            if self._server is not None and not self._server.is_alive():
                self._server.stop()
                self._server = None
            if self._server is None:
                if self._starts >= STARTS_MAX:
                    raise ServerStartError(f"the server was started {self._starts} times and is gone again")
                self._starts += 1
                binary = find_binary(self._settings.binary)
                self._server = LocalServer(binary, self._settings.isolation, self._settings.server_args)
            return Address(self._server.socket_path), self._server.token

    def is_located(self) -> bool:
        server = self._server
        return server is not None and server.is_alive()

    def unreachable(self, address: Address) -> None:
        with self._lock:
            if self._server is not None and self._server.socket_path == address.path:
                self._server.stop()
                self._server = None

    def close(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.stop()
                self._server = None

    def after_fork(self) -> None:
        """In the child, with the lock held: the server stays, the pipe goes."""
        self._lock = threading.Lock()
        if self._server is not None:
            self._server.after_fork()


_LOCALS: "weakref.WeakSet[Local]" = weakref.WeakSet()
_HELD_OVER_FORK: List[Local] = []


def _before_fork() -> None:
    # A server half started would have a pipe that the child inherits and nobody there knows of.
    for local in list(_LOCALS):
        local._lock.acquire()
        _HELD_OVER_FORK.append(local)


def _after_fork_in_parent() -> None:
    while _HELD_OVER_FORK:
        _HELD_OVER_FORK.pop()._lock.release()


def _after_fork_in_child() -> None:
    while _HELD_OVER_FORK:
        _HELD_OVER_FORK.pop().after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def endpoint(settings: Settings) -> Endpoint:
    """Where `settings` say that the server is."""
    return Remote(settings.url, settings.token) if settings.url is not None else Local(settings)
