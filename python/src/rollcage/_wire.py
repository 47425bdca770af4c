"""The server's wire, version 1, without a connection: bodies of requests, and results from answers."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, TypeVar

from ._http import Head, Request
from ._problems import Bytes, bytes_value, file_value, limits_value
from .errors import ProtocolError, RequestError, request_error
from .results import (
    VERDICTS,
    CaseResult,
    Enforcement,
    Execution,
    Health,
    Judgement,
    Language,
    RunResult,
    Scored,
    Stream,
    Termination,
    Unscorable,
    Usage,
)

T = TypeVar("T")
NDJSON = "application/x-ndjson"
# What of an answer that is not ours an error shows.
SHOWN_BYTES_MAX = 200
_TERMINATIONS = ("exited", "signaled", "limit_exceeded", "cancelled")
_BLAMES = ("problem", "infrastructure")


def to_json(value: object) -> bytes:
    """A body. Numbers that JSON lacks are refused, not sent."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def execute_request(
    code: Bytes,
    language: str,
    stdin: Bytes,
    args: Sequence[str],
    files: Optional[Mapping[str, object]],
    limits: Optional[Mapping[str, Any]],
    collect: Sequence[str],
) -> Request:
    """`POST /v1/execute`."""
    body: Dict[str, Any] = {"language": language, "code": bytes_value(code, "code")}
    if stdin:
        body["stdin"] = bytes_value(stdin, "stdin")
    if args:
        body["args"] = list(args)
    if files:
        body["files"] = {path: file_value(value, f"files.{path}") for path, value in files.items()}
    if limits:
        body["limits"] = limits_value(limits)
    if collect:
        body["collect"] = list(collect)
    return Request("POST", "/v1/execute", to_json(body))


def failure(head: Head, body: bytes) -> RequestError:
    """The error in an answer whose status is not 200."""
    try:
        parsed: object = json.loads(body)
    except ValueError:
        parsed = None
    return request_error(head.status, parsed, head.retry_after_s)


def read(body: bytes, decode: Callable[[Any], T]) -> T:
    """The result in a body; a `ProtocolError` where it is not as it should be."""
    try:
        return decode(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        shown = body[:SHOWN_BYTES_MAX].decode("utf-8", "replace")
        raise ProtocolError(f"the server's answer cannot be read ({type(error).__name__}: {error}): {shown}") from error


def run_result(value: Dict[str, Any]) -> RunResult:
    """The reply to `/v1/execute`."""
    status = _one_of(value["status"], ("ran", "compile_failed"))
    run = _optional(value["run"], _execution)
    if (status == "ran") != (run is not None):
        raise ValueError(f"status {status} does not fit what ran")
    files = {path: _file(content) for path, content in value["files"].items()}
    return RunResult(status, _optional(value["compile"], _execution), run, files, float(value["queue_ms"]))


def judgement(value: Dict[str, Any]) -> Judgement:
    """The reply to `/v1/judge`, or one of a batch."""
    language, item_id, index = str(value["language"]), value.get("id"), int(value.get("index", 0))
    error = value.get("error")
    if error is not None:
        if "score" in value or "verdict" in value:
            raise ValueError("it has both an error and a score")
        retryable = error["retryable"]
        if not isinstance(retryable, bool):
            raise ValueError("`retryable` is not a truth value")
        return Unscorable(_one_of(error["blame"], _BLAMES), str(error["reason"]), retryable, language, item_id, index)
    score = value["score"]
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0.0 <= score <= 1.0:
        raise ValueError(f"not a score: {score!r}")
    cases = tuple(_case_result(case) for case in value.get("cases", ()))
    return Scored(
        _one_of(value["verdict"], VERDICTS), float(score), language, value.get("reason"), cases, item_id, index
    )


def languages(value: Dict[str, Any]) -> List[Language]:
    """The reply to `/v1/languages`."""
    return [
        Language(row["name"], row["display"], tuple(row["aliases"]), row["present"], row.get("version"))
        for row in value["languages"]
    ]


def health(value: Dict[str, Any]) -> Health:
    """The reply to `/health`."""
    return Health(
        _one_of(value["status"], ("ok", "draining")),
        int(value["slots"]),
        int(value["running"]),
        int(value["queued"]),
        str(value["version"]),
        str(value["isolation"]),
    )


def _execution(value: Dict[str, Any]) -> Execution:
    usage, enforcement = value["usage"], value["enforcement"]
    return Execution(
        _termination(value["termination"]),
        _stream(value["stdout"]),
        _stream(value["stderr"]),
        Usage(float(usage["cpu_ms"]), float(usage["wall_ms"]), int(usage["memory_bytes"]), int(usage["processes"])),
        Enforcement(str(enforcement["level"]), {row["mechanism"]: row["state"] for row in enforcement["mechanisms"]}),
        str(value["start"]),
    )


def _termination(value: Dict[str, Any]) -> Termination:
    kind = _one_of(value["kind"], _TERMINATIONS)
    return Termination(
        kind,
        code=int(value["code"]) if kind == "exited" else None,
        signal=int(value["signal"]) if kind == "signaled" else None,
        limit=str(value["limit"]) if kind == "limit_exceeded" else None,
    )


def _stream(value: Dict[str, Any]) -> Stream:
    return Stream(str(value["text"]), int(value["bytes_total"]), bool(value["truncated"]))


def _case_result(value: Dict[str, Any]) -> CaseResult:
    return CaseResult(
        int(value["index"]),
        _one_of(value["verdict"], VERDICTS),
        value.get("reason"),
        float(value["cpu_ms"]),
        float(value["wall_ms"]),
        int(value["memory_bytes"]),
    )


def _file(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if "base64" in value:
        return base64.b64decode(value["base64"], validate=True)
    return str(value["text"]).encode("utf-8")


def _optional(value: Any, decode: Callable[[Any], T]) -> Optional[T]:
    return None if value is None else decode(value)


def _one_of(value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")
    return str(value)
