"""What comes back: the outcome of a run, and the judgement of a solution.

A judgement is `Scored` or `Unscorable`. Only the first has a score; asking the second for one raises, and neither
can be used as a truth value, so our own failure cannot be mistaken for a wrong answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, NoReturn, Optional, Tuple, TypeVar, Union

from .errors import CompileFailed, UnscorableError

T = TypeVar("T")

#: Every verdict, in the order reports print them.
VERDICTS: Tuple[str, ...] = (
    "accepted",
    "wrong_answer",
    "partially_correct",
    "time_limit_exceeded",
    "memory_limit_exceeded",
    "output_limit_exceeded",
    "runtime_error",
    "compile_error",
    "policy_violation",
)


@dataclass(frozen=True)
class Termination:
    """How a program ended."""

    #: `exited`, `signaled`, `limit_exceeded` or `cancelled`.
    kind: str
    #: The exit code, if it exited.
    code: Optional[int] = None
    #: The signal's number, if a signal that no limit explains ended it.
    signal: Optional[int] = None
    #: The limit that ended it, such as `cpu_time` or `memory`.
    limit: Optional[str] = None

    def __str__(self) -> str:
        detail = {"exited": self.code, "signaled": self.signal, "limit_exceeded": self.limit}.get(self.kind)
        return self.kind if detail is None else f"{self.kind}: {detail}"


@dataclass(frozen=True)
class Stream:
    """What a program wrote to one stream."""

    #: What was kept, invalid UTF-8 replaced and a cut stated in place.
    text: str
    #: All bytes written.
    bytes_total: int
    #: Whether `text` lacks some of them.
    truncated: bool


@dataclass(frozen=True)
class Usage:
    """What a program used."""

    cpu_ms: float
    wall_ms: float
    #: Peak memory.
    memory_bytes: int
    #: Most processes alive at once; 0 where the host cannot tell.
    processes: int


@dataclass(frozen=True)
class Enforcement:
    """What confined a program."""

    #: The isolation level.
    level: str
    #: Each mechanism, and whether it was in force: `full`, `partial` or `absent`, as the server names it.
    mechanisms: Dict[str, str]


@dataclass(frozen=True)
class Execution:
    """One process tree in one cage: a program, or its compiler."""

    termination: Termination
    stdout: Stream
    stderr: Stream
    usage: Usage
    enforcement: Enforcement
    #: How it began: `cold`, or `fork` of an interpreter that waited.
    start: str = "cold"


@dataclass(frozen=True)
class RunResult:
    """What became of a program."""

    #: `ran` or `compile_failed`.
    status: str
    #: The compiler, in a language that compiles.
    compile: Optional[Execution]
    #: The program, if it compiled.
    run: Optional[Execution]
    #: The files asked for that there were.
    files: Dict[str, bytes]
    #: Time waited for a cage.
    queue_ms: float

    @property
    def ok(self) -> bool:
        """Whether it ran and exited with code 0."""
        return self.run is not None and self.run.termination == Termination("exited", code=0)

    @property
    def execution(self) -> Execution:
        """The program's; raises `CompileFailed` with the compiler's words if it never ran."""
        if self.run is not None:
            return self.run
        said = "" if self.compile is None else self.compile.stderr.text or self.compile.stdout.text
        raise CompileFailed(f"the program did not compile, so it has no output:\n{said}")

    @property
    def stdout(self) -> str:
        """What the program wrote to standard output; raises `CompileFailed` if it never ran."""
        return self.execution.stdout.text

    @property
    def stderr(self) -> str:
        """What the program wrote to standard error; raises `CompileFailed` if it never ran."""
        return self.execution.stderr.text

    @property
    def exit_code(self) -> Optional[int]:
        """The program's exit code, `None` if a signal or a limit ended it; raises `CompileFailed` if it never ran."""
        return self.execution.termination.code

    def __bool__(self) -> NoReturn:
        raise TypeError("a RunResult is neither true nor false; ask .ok, .status or .exit_code")


@dataclass(frozen=True)
class CaseResult:
    """What happened in one case."""

    #: Which case, counted from 0.
    index: int
    #: The verdict on this case alone.
    verdict: str
    #: Why it did not pass.
    reason: Optional[str]
    cpu_ms: float
    wall_ms: float
    memory_bytes: int


@dataclass(frozen=True)
class Scored:
    """A solution that was tried, and what it deserves."""

    #: One of `VERDICTS`.
    verdict: str
    #: From 0 to 1.
    score: float
    language: str
    #: Why it was not accepted.
    reason: Optional[str] = None
    #: The cases that decided: all of them, or those up to the first failure.
    cases: Tuple[CaseResult, ...] = field(default=(), repr=False)
    #: As given with the item.
    id: Optional[str] = None
    #: Which of a batch, counted from 0.
    index: int = 0

    @property
    def accepted(self) -> bool:
        """Whether every case passed."""
        return self.verdict == "accepted"

    def score_or(self, otherwise: T) -> Union[float, T]:
        """The score. `otherwise` is what an `Unscorable` gives in its place."""
        return self.score

    def __bool__(self) -> NoReturn:
        raise TypeError("a judgement is neither true nor false; ask .accepted or .score")


@dataclass(frozen=True)
class Unscorable:
    """A solution that could not be tried, and is not to blame. It holds no number to mistake for a score."""

    #: `problem`: it cannot judge anything. `infrastructure`: we failed.
    blame: str
    #: What went wrong.
    reason: str
    #: Whether judging again may give a score.
    retryable: bool
    language: str
    #: As given with the item.
    id: Optional[str] = None
    #: Which of a batch, counted from 0.
    index: int = 0

    @property
    def error(self) -> UnscorableError:
        """This as an exception."""
        return UnscorableError(self.blame, self.reason, self.retryable)

    @property
    def score(self) -> NoReturn:
        """Raises `UnscorableError`."""
        raise self.error

    @property
    def verdict(self) -> NoReturn:
        """Raises `UnscorableError`."""
        raise self.error

    @property
    def accepted(self) -> NoReturn:
        """Raises `UnscorableError`."""
        raise self.error

    def score_or(self, otherwise: T) -> Union[float, T]:
        """`otherwise`, because there is no score: what the caller has decided that this means."""
        return otherwise

    def __bool__(self) -> NoReturn:
        raise TypeError("a judgement is neither true nor false; an Unscorable has no score")


#: The end of judging one solution.
Judgement = Union[Scored, Unscorable]


@dataclass(frozen=True)
class Language:
    """A language the server knows."""

    name: str
    #: What people call it.
    display: str
    #: Other names that are understood.
    aliases: Tuple[str, ...]
    #: Whether its toolchain is on the server's host.
    present: bool
    #: What the toolchain says of itself.
    version: Optional[str]


@dataclass(frozen=True)
class Health:
    """What the server says of itself."""

    #: `ok` or `draining`.
    status: str
    #: Cages that run at once.
    slots: int
    #: Requests in work.
    running: int
    #: Requests that wait.
    queued: int
    version: str
    #: The isolation level of its cages.
    isolation: str
