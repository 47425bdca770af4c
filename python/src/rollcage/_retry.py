"""When a request is tried again: only if the server says that this may help, and within bounds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Optional

from .errors import ConnectionFailed, RequestError, RollcageError

# The first wait without a word from the server; doubled with each further one.
FIRST_WAIT_S = 0.1
# A queue of ordinary programs moves on in this time.
WAIT_S_MAX = 10.0
# A connection that breaks, or is refused, again and again is no accident; these tries take some seconds in all.
CONNECTION_TRIES_MAX = 7


@dataclass(frozen=True)
class RetryPolicy:
    """How long a call keeps trying."""

    #: What all waits of one call may add up to.
    total_s: float = 300.0
    #: How often an item is judged again whose judgement failed on our side, where that may help.
    unscorable: int = 2


class Backoff:
    """The waits of one call."""

    def __init__(self, policy: RetryPolicy, rng: Optional[random.Random] = None) -> None:
        self._left_s = policy.total_s
        self._rng = rng or random.Random()
        self._tries = 0
        self._connection_tries = 0

    def after(self, error: RollcageError) -> Optional[float]:
        """Seconds to wait before the next try; `None` if there shall be none."""
        asked_s = 0.0
        if isinstance(error, ConnectionFailed):
            self._connection_tries += 1
            if self._connection_tries >= CONNECTION_TRIES_MAX:
                return None
        elif isinstance(error, RequestError) and error.retryable:
            asked_s = error.retry_after_s or 0.0
        else:
            return None
        return self.next(asked_s)

    def next(self, asked_s: float = 0.0) -> Optional[float]:
        """The next wait: what was asked for, and a random part that spreads clients which were refused together."""
        random_s: float = self._rng.uniform(0, min(WAIT_S_MAX, FIRST_WAIT_S * 2.0**self._tries))
        self._tries += 1
        wait_s = min(asked_s, WAIT_S_MAX) + random_s
        if wait_s > self._left_s:
            return None
        self._left_s -= wait_s
        return wait_s

    def progress(self) -> None:
        """Told that results came: what follows is a new difficulty."""
        self._connection_tries = 0
