"""Rollcage runs and judges the code that language models write, each program in a cage of its own.

    >>> import rollcage
    >>> rollcage.run("print(6 * 7)").stdout
    '42\\n'
    >>> rollcage.judge("print(int(input()) + 1)", cases=[("1\\n", "2\\n")]).score
    1.0

The functions here use one client for the process. It asks the server at `ROLLCAGE_URL`, or starts one that ends with
the interpreter. `rollcage.aio` has the same to await; `rollcage.trl`, `rollcage.verl` and `rollcage.verifiers` have
reward functions.
"""

from __future__ import annotations

from typing import Any, Generator, Iterable, List, Mapping, Optional, Sequence

from . import aio
from ._batch import AnyItem, Item
from ._default import client as default_client
from ._default import configure, share_server, shutdown
from ._problems import Bytes, Case, Cases, File, ProblemError
from ._retry import RetryPolicy
from .aio import AsyncClient
from .client import Client
from .errors import (
    BadRequest,
    BinaryNotFound,
    CompileFailed,
    ConfigurationError,
    ConnectionFailed,
    Draining,
    InfrastructureFailure,
    MissingToolchain,
    ProtocolError,
    QueueDeadline,
    QueueFull,
    RequestError,
    RollcageError,
    ServerStartError,
    TooLarge,
    Unauthorized,
    UnknownLanguage,
    UnscorableError,
)
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

__all__ = [
    "VERDICTS",
    "AsyncClient",
    "BadRequest",
    "BinaryNotFound",
    "Case",
    "CaseResult",
    "Client",
    "CompileFailed",
    "ConfigurationError",
    "ConnectionFailed",
    "Draining",
    "Enforcement",
    "Execution",
    "File",
    "Health",
    "InfrastructureFailure",
    "Item",
    "Judgement",
    "Language",
    "MissingToolchain",
    "ProblemError",
    "ProtocolError",
    "QueueDeadline",
    "QueueFull",
    "RequestError",
    "RetryPolicy",
    "RollcageError",
    "RunResult",
    "Scored",
    "ServerStartError",
    "Stream",
    "Termination",
    "TooLarge",
    "Unauthorized",
    "UnknownLanguage",
    "Unscorable",
    "UnscorableError",
    "Usage",
    "aio",
    "configure",
    "default_client",
    "judge",
    "judge_batch",
    "judge_stream",
    "run",
    "share_server",
    "shutdown",
]


def run(
    code: Bytes,
    language: str = "python",
    *,
    stdin: Bytes = "",
    args: Sequence[str] = (),
    files: Optional[Mapping[str, object]] = None,
    limits: Optional[Mapping[str, Any]] = None,
    collect: Sequence[str] = (),
) -> RunResult:
    """Runs a program in a cage. `limits` are in seconds and bytes; `collect` names files to bring back."""
    return default_client().run(code, language, stdin=stdin, args=args, files=files, limits=limits, collect=collect)


def judge(
    solution: Optional[str] = None,
    *,
    answer: Optional[str] = None,
    completion: Optional[str] = None,
    cases: Optional[Cases] = None,
    problem: Optional[object] = None,
    language: Optional[str] = None,
    stop: Optional[str] = None,
    limits: Optional[Mapping[str, Any]] = None,
) -> Judgement:
    """Judges a whole program, what a model said (`answer`), or what continues a problem's prefix (`completion`).

    `stop="run_all"` runs every case, and a failing solution earns its share of passed ones; otherwise the first failure
    ends it and it earns nothing. Without a language it is the problem's, else Python.
    """
    return default_client().judge(
        solution,
        answer=answer,
        completion=completion,
        cases=cases,
        problem=problem,
        language=language,
        stop=stop,
        limits=limits,
    )


def judge_batch(
    items: Iterable[AnyItem],
    *,
    problems: Optional[Mapping[str, object]] = None,
    language: Optional[str] = None,
    stop: Optional[str] = None,
    limits: Optional[Mapping[str, Any]] = None,
) -> List[Judgement]:
    """Judges many solutions at once, in the order of `items`. One mistake in the request refuses it whole."""
    return default_client().judge_batch(items, problems=problems, language=language, stop=stop, limits=limits)


def judge_stream(
    items: Iterable[AnyItem],
    *,
    problems: Optional[Mapping[str, object]] = None,
    language: Optional[str] = None,
    stop: Optional[str] = None,
    limits: Optional[Mapping[str, Any]] = None,
) -> Generator[Judgement, None, None]:
    """Yields judgements as they finish, each with its `index` among `items`; closing it early ends what runs."""
    return default_client().judge_stream(items, problems=problems, language=language, stop=stop, limits=limits)
