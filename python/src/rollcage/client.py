"""The blocking client."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Callable, Generator, Iterable, List, Mapping, Optional, Sequence, Type, TypeVar

from . import _wire
from ._batch import AnyItem, Batch, Item
from ._core import Core
from ._http import Head, Lines, Request
from ._problems import Bytes, Cases
from ._retry import Backoff
from .errors import ConnectionFailed, RequestError, RollcageError
from .results import Health, Judgement, Language, RunResult, Unscorable

T = TypeVar("T")


class Client(Core):
    """Talks to one server; the one at `url`, or one that it starts on first use and ends with `close`.

    Safe for threads, which share its connections, and for use after a fork. Settings are those of `configure`.
    """

    def run(
        self,
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
        request = _wire.execute_request(code, language, stdin, args, files, limits, collect)
        return self._call(request, _wire.run_result)

    def judge(
        self,
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

        `stop="run_all"` runs every case, and a failing solution earns its share of passed ones; otherwise the first
        failure ends it and it earns nothing. Without a language it is the problem's, else Python.
        """
        item = Item(solution, completion, answer, problem, cases)
        request = Batch([item], language=language, stop=stop, limits=limits).only_request()
        backoff = Backoff(self._retry)
        for _ in range(self._retry.unscorable):
            judged = self._call(request, _wire.judgement)
            if not isinstance(judged, Unscorable) or not judged.retryable:
                return judged
            self._sleep(backoff.next())
        return self._call(request, _wire.judgement)

    def judge_batch(
        self,
        items: Iterable[AnyItem],
        *,
        problems: Optional[Mapping[str, object]] = None,
        language: Optional[str] = None,
        stop: Optional[str] = None,
        limits: Optional[Mapping[str, Any]] = None,
    ) -> List[Judgement]:
        """Judges many solutions at once, in the order of `items`. One mistake in the request refuses it whole."""
        stream = self.judge_stream(items, problems=problems, language=language, stop=stop, limits=limits)
        return sorted(stream, key=lambda judged: judged.index)

    def judge_stream(
        self,
        items: Iterable[AnyItem],
        *,
        problems: Optional[Mapping[str, object]] = None,
        language: Optional[str] = None,
        stop: Optional[str] = None,
        limits: Optional[Mapping[str, Any]] = None,
    ) -> Generator[Judgement, None, None]:
        """Yields judgements as they finish, each with its `index` among `items`; closing it early ends what runs."""
        return self._stream(Batch(items, problems, language, stop, limits, self._retry.unscorable))

    def languages(self) -> List[Language]:
        """The languages the server knows."""
        return self._call(Request("GET", "/v1/languages"), _wire.languages)

    def health(self) -> Health:
        """What the server says of itself."""
        return self._call(Request("GET", "/health"), _wire.health)

    def close(self) -> None:
        """Closes idle connections, and ends the server if this client started it."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: object, trace: object) -> None:
        self.close()

    def _call(self, request: Request, decode: Callable[[Any], T]) -> T:
        backoff = Backoff(self._retry)
        while True:
            try:
                self._check_isolation()
                return _wire.read(b"".join(self._body(request)), decode)
            except (ConnectionFailed, RequestError) as error:
                self._wait_or_raise(backoff, error)

    def _stream(self, batch: Batch) -> Generator[Judgement, None, None]:
        backoff = Backoff(self._retry)
        while True:
            if batch.is_retry:
                self._sleep(backoff.next())
            request = batch.next_request()
            if request is None:
                return
            try:
                self._check_isolation()
                lines = Lines()
                with closing(self._body(request)) as body:
                    for data in body:
                        for line in lines.feed(data):
                            judged = batch.take(line)
                            backoff.progress()
                            if judged is not None:
                                yield judged
                batch.end()
            except (ConnectionFailed, RequestError) as error:
                self._wait_or_raise(backoff, error)

    def _body(self, request: Request) -> Generator[bytes, None, None]:
        """The body of an answer with status 200, as it arrives; another status is its error."""
        exchange = self._transport.exchange(request)
        head: Optional[Head] = None
        refusal: List[bytes] = []
        try:
            for piece in exchange:
                if isinstance(piece, Head):
                    head = piece
                elif head is not None and head.status == 200:
                    yield piece
                else:
                    refusal.append(piece)
        finally:
            exchange.close()
        if head is not None and head.status != 200:
            raise _wire.failure(head, b"".join(refusal))

    def _check_isolation(self) -> None:
        if self._isolation_unchecked:
            health = _wire.read(b"".join(self._body(Request("GET", "/health"))), _wire.health)
            self._isolation_found(health.isolation)

    def _wait_or_raise(self, backoff: Backoff, error: RollcageError) -> None:
        wait_s = backoff.after(error)
        if wait_s is None:
            raise error
        time.sleep(wait_s)

    @staticmethod
    def _sleep(wait_s: Optional[float]) -> None:
        if wait_s is not None:
            time.sleep(wait_s)
