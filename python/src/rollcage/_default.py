"""The client behind the package's functions: made on first use, one for each process and its forked children."""

from __future__ import annotations

import os
import threading
from typing import Optional, Sequence

from ._endpoint import Settings
from ._retry import RetryPolicy
from .client import Client
from .errors import ConfigurationError

_lock = threading.Lock()
_client: Optional[Client] = None
_settings = Settings()
_retry: Optional[RetryPolicy] = None


def client() -> Client:
    """The default client. Its server is started when it is first asked something."""
    global _client
    with _lock:
        if _client is None:
            _client = Client(
                _settings.url,
                token=_settings.token,
                isolation=_settings.isolation,
                binary=_settings.binary,
                server_args=_settings.server_args,
                retry=_retry,
            )
        return _client


def configure(
    url: Optional[str] = None,
    *,
    token: Optional[str] = None,
    isolation: Optional[str] = None,
    binary: Optional[str] = None,
    server_args: Sequence[str] = (),
    retry: Optional[RetryPolicy] = None,
) -> None:
    """Settings of the default client, before its first use; what is left out is taken from the environment.

    `url` and `token` (`ROLLCAGE_URL`, `ROLLCAGE_TOKEN`) name a server that runs already. Without one, `rollcage
    serve` is started with `server_args`. `isolation` (`ROLLCAGE_ISOLATION`) is the level of its cages; a server that
    cannot give it, or has another, is refused.
    """
    global _settings, _retry
    settings = Settings(url, token, isolation, binary, tuple(server_args))
    with _lock:
        if _client is not None and (settings, retry) != (_settings, _retry):
            raise ConfigurationError("the default client is in use already; call rollcage.shutdown() first")
        # Mistakes are told here, not at the first request.
        settings.with_environment()
        _settings, _retry = settings, retry


def shutdown() -> None:
    """Ends the default client and the server it started, as leaving the interpreter does. The next use starts anew."""
    global _client
    with _lock:
        ended, _client = _client, None
    if ended is not None:
        ended.close()


def share_server() -> str:
    """Starts the default client's server now and lets every process that is started from here on use it.

    Its address and token are put into `ROLLCAGE_URL` and `ROLLCAGE_TOKEN` of this process's environment, which spawned
    workers inherit. The server ends with this process all the same. Returns the address.
    """
    current = client()
    address, token = current._transport.endpoint.locate()
    os.environ["ROLLCAGE_URL"] = str(address)
    if token is not None:
        os.environ["ROLLCAGE_TOKEN"] = token
    return str(address)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
