"""Results that cannot be misread."""

from __future__ import annotations

import pickle

import pytest

import rollcage
from rollcage import Scored, Unscorable, _wire

EXEC = {
    "termination": {"kind": "exited", "code": 0},
    "stdout": {"text": "42\n", "bytes_total": 3, "truncated": False},
    "stderr": {"text": "", "bytes_total": 0, "truncated": False},
    "start": "fork",
    "usage": {"cpu_ms": 1.5, "wall_ms": 2.0, "memory_bytes": 4096, "processes": 1},
    "enforcement": {"level": "full", "mechanisms": [{"mechanism": "landlock", "state": "full", "why": None}]},
}


def test_an_unscorable_has_no_number_in_it() -> None:
    judged = Unscorable("infrastructure", "out of memory", True, "python")
    for name in ("score", "accepted", "verdict"):
        with pytest.raises(rollcage.UnscorableError, match="infrastructure: out of memory") as raised:
            getattr(judged, name)
        assert pickle.loads(pickle.dumps(raised.value)).retryable is True
    for misread in (lambda: bool(judged), lambda: float(judged), lambda: sum([judged])):  # type: ignore[arg-type, list-item]
        with pytest.raises(TypeError):
            misread()
    assert judged.score_or(None) is None


def test_a_scored_is_no_truth_value() -> None:
    judged = Scored("wrong_answer", 0.0, "python")
    with pytest.raises(TypeError, match="ask .accepted or .score"):
        bool(judged)
    assert judged.score == 0.0 == judged.score_or(None) and not judged.accepted


def test_a_run_is_read() -> None:
    value = {
        "status": "ran",
        "compile": None,
        "run": EXEC,
        "files": {"a": "text", "b": {"base64": "/w=="}},
        "queue_ms": 0.5,
    }
    result = _wire.run_result(value)
    assert (result.ok, result.stdout, result.stderr, result.exit_code) == (True, "42\n", "", 0)
    assert result.files == {"a": b"text", "b": b"\xff"}
    assert result.execution.start == "fork"
    assert result.execution.enforcement.mechanisms == {"landlock": "full"}
    with pytest.raises(TypeError):
        bool(result)


@pytest.mark.parametrize(
    "termination, text",
    [
        ({"kind": "signaled", "signal": 11}, "signaled: 11"),
        ({"kind": "limit_exceeded", "limit": "memory"}, "limit_exceeded: memory"),
        ({"kind": "cancelled"}, "cancelled"),
        ({"kind": "exited", "code": 1}, "exited: 1"),
    ],
)
def test_ends_that_are_no_success(termination: object, text: str) -> None:
    run = {**EXEC, "termination": termination}
    result = _wire.run_result({"status": "ran", "compile": None, "run": run, "files": {}, "queue_ms": 0})
    assert not result.ok and str(result.execution.termination) == text


def test_what_never_ran_has_no_output() -> None:
    failed = {
        **EXEC,
        "termination": {"kind": "exited", "code": 1},
        "stderr": {"text": "syntax", "bytes_total": 6, "truncated": False},
    }
    result = _wire.run_result({"status": "compile_failed", "compile": failed, "run": None, "files": {}, "queue_ms": 0})
    assert not result.ok
    for ask in (lambda: result.stdout, lambda: result.stderr, lambda: result.exit_code):
        with pytest.raises(rollcage.CompileFailed, match="syntax"):
            ask()
