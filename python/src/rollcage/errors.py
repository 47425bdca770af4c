"""What goes wrong on our side: one hierarchy under `RollcageError`.

What a program did is never in here: a crash or a wrong answer is a result. Every error can be pickled, so it survives
the way back from a worker process.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple, Type


class RollcageError(Exception):
    """We could not do what was asked. Says nothing about any program."""


class ConfigurationError(RollcageError):
    """Settings that contradict each other, or that came too late."""


class BinaryNotFound(RollcageError):
    """The `rollcage` command is not where it was looked for."""


class ServerStartError(RollcageError):
    """A server of our own did not start; the message ends with what it said."""


class ConnectionFailed(RollcageError):
    """The server cannot be reached, or the connection broke before the answer was whole."""


class ProtocolError(RollcageError):
    """The server's answer is not what its wire format says. Client and server may be of different versions."""


class CompileFailed(RollcageError):
    """Output of a program was asked for that never ran, because it did not compile."""


class UnscorableError(RollcageError):
    """A score was asked for where there is none."""

    def __init__(self, blame: str, reason: str, retryable: bool) -> None:
        super().__init__(blame, reason, retryable)
        #: `problem` or `infrastructure`; never the solution.
        self.blame = blame
        #: What went wrong.
        self.reason = reason
        #: Whether judging again may give a score.
        self.retryable = retryable

    def __str__(self) -> str:
        return f"there is no score; to blame is the {self.blame}: {self.reason}"


class RequestError(RollcageError):
    """The server refused a request. Nothing was run, or what was run has no result."""

    def __init__(self, status: int, body: Dict[str, Any], retry_after_s: Optional[float] = None) -> None:
        super().__init__(status, body, retry_after_s)
        #: The HTTP status.
        self.status = status
        #: The kind of failure, such as `bad_request`.
        self.code = str(body.get("code", f"http_{status}"))
        #: What happened; a mistake in a request begins with its field.
        self.message = str(body.get("message", ""))
        #: What to do about it.
        self.hint: Optional[str] = body.get("hint")
        #: Whether the same request may succeed later.
        self.retryable = body.get("retryable") is True
        #: How long the server asks to wait.
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        hint = f"\nhint: {self.hint}" if self.hint else ""
        return f"{self.code}: {self.message}{hint}"


class BadRequest(RequestError):
    """The request cannot be read, or asks for what cannot be: a mistake in what we were given."""


class TooLarge(BadRequest):
    """The request is larger than the server takes (its `--body-limit`)."""


class UnknownLanguage(BadRequest):
    """No language has this name."""


class MissingToolchain(BadRequest):
    """The language's compiler or interpreter is not on the server's host."""


class Unauthorized(RequestError):
    """The token is missing or wrong."""


class QueueFull(RequestError):
    """As many requests wait as may, and waiting did not help."""


class QueueDeadline(RequestError):
    """No cage became free in time, and trying again did not help."""


class Draining(RequestError):
    """The server is ending."""


class InfrastructureFailure(RequestError):
    """The server failed."""


_BY_CODE: Dict[str, Type[RequestError]] = {
    "bad_request": BadRequest,
    "too_large": TooLarge,
    "unsupported_media_type": BadRequest,
    "not_found": BadRequest,
    "method_not_allowed": BadRequest,
    "unknown_language": UnknownLanguage,
    "missing_toolchain": MissingToolchain,
    "unauthorized": Unauthorized,
    "queue_full": QueueFull,
    "queue_deadline": QueueDeadline,
    "draining": Draining,
    "infrastructure": InfrastructureFailure,
}
# What another server or a proxy in between answers has a status, but none of our codes.
_BY_STATUS: Dict[int, Tuple[Type[RequestError], bool]] = {
    401: (Unauthorized, False),
    413: (TooLarge, False),
    429: (QueueFull, True),
    502: (InfrastructureFailure, True),
    503: (Draining, True),
    504: (QueueDeadline, True),
}


def request_error(status: int, body: object, retry_after_s: Optional[float]) -> RequestError:
    """The error for an answer that is none: `body` is its JSON, or `None` where it held something else."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        kind = _BY_CODE.get(str(error.get("code")), RequestError)
        return kind(status, error, retry_after_s)
    kind, retryable = _BY_STATUS.get(status, (BadRequest if 400 <= status < 500 else InfrastructureFailure, False))
    message = f"the answer has status {status} and is not ours; is something else listening there?"
    return kind(status, {"message": message, "retryable": retryable}, retry_after_s)
