"""What the blocking client and the one for asyncio have in common: settings, and the check of the isolation level."""

from __future__ import annotations

from typing import Optional, Sequence

from ._endpoint import Settings, endpoint
from ._retry import RetryPolicy
from ._transport import Transport
from .errors import ConfigurationError

# A server says something at the latest when a cage has ended; the longest limit in common use is minutes.
SILENCE_S = 1800.0


class Core:
    """A client's settings and connections."""

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        token: Optional[str] = None,
        isolation: Optional[str] = None,
        binary: Optional[str] = None,
        server_args: Sequence[str] = (),
        retry: Optional[RetryPolicy] = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        settings = Settings(url, token, isolation, binary, tuple(server_args)).with_environment()
        self._share(Transport(endpoint(settings), silence_s), settings, retry or RetryPolicy())

    def _share(self, transport: Transport, settings: Settings, retry: RetryPolicy) -> None:
        self._transport = transport
        self._settings = settings
        self._retry = retry

    @property
    def _isolation_unchecked(self) -> bool:
        # A server started here was given the level, and refuses to start without it.
        return (
            self._settings.isolation is not None
            and self._settings.url is not None
            and not self._transport.isolation_checked
        )

    def _isolation_found(self, level: str) -> None:
        wanted = self._settings.isolation
        if wanted is not None and level != wanted:
            raise ConfigurationError(
                f"isolation level `{wanted}` is insisted on (isolation= or ROLLCAGE_ISOLATION), "
                f"but the server at {self._settings.url} has `{level}`"
            )
        self._transport.isolation_checked = True
