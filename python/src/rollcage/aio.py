"""The client for asyncio, and `run`, `judge` and their kin to await.

Cancelling a call closes its connection, and the server ends the cages that ran for it. One client serves several event
loops, one after the other or at once; the functions here share the server of the blocking ones.
"""

from __future__ import annotations

import asyncio
from typing import Any, AsyncGenerator, Callable, Iterable, List, Mapping, Optional, Sequence, Type, TypeVar

from . import _default, _wire
from ._batch import AnyItem, Batch, Item
from ._core import Core
from ._http import Head, Lines, Request
from ._problems import Bytes, Cases
from ._retry import Backoff
from .client import Client
from .errors import ConnectionFailed, RequestError, RollcageError
from .results import Health, Judgement, Language, RunResult, Unscorable

T = TypeVar("T")


class AsyncClient(Core):
    """What `Client` is, to await."""

    @classmethod
    def sharing(cls, client: Client) -> "AsyncClient":
        """One with the server and the connections of `client`, which keeps the duty to close them."""
        shared = cls.__new__(cls)
        shared._share(client._transport, client._settings, client._retry)
        return shared

    async def run(
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
        return await self._call(request, _wire.run_result)

    async def judge(
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
            judged = await self._call(request, _wire.judgement)
            if not isinstance(judged, Unscorable) or not judged.retryable:
                return judged
            await self._sleep(backoff.next())
        return await self._call(request, _wire.judgement)

    async def judge_batch(
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
        return sorted([judged async for judged in stream], key=lambda judged: judged.index)

    def judge_stream(
        self,
        items: Iterable[AnyItem],
        *,
        problems: Optional[Mapping[str, object]] = None,
        language: Optional[str] = None,
        stop: Optional[str] = None,
        limits: Optional[Mapping[str, Any]] = None,
    ) -> AsyncGenerator[Judgement, None]:
        """Yields judgements as they finish, each with its `index` among `items`; `aclose` early ends what runs."""
        return self._stream(Batch(items, problems, language, stop, limits, self._retry.unscorable))

    async def languages(self) -> List[Language]:
        """The languages the server knows."""
        return await self._call(Request("GET", "/v1/languages"), _wire.languages)

    async def health(self) -> Health:
        """What the server says of itself."""
        return await self._call(Request("GET", "/health"), _wire.health)

    async def aclose(self) -> None:
        """Closes idle connections, and ends the server if this client started it."""
        await asyncio.get_running_loop().run_in_executor(None, self._transport.close)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: object, trace: object) -> None:
        await self.aclose()

    async def _call(self, request: Request, decode: Callable[[Any], T]) -> T:
        backoff = Backoff(self._retry)
        while True:
            try:
                await self._check_isolation()
                return _wire.read(await self._whole(request), decode)
            except (ConnectionFailed, RequestError) as error:
                await self._wait_or_raise(backoff, error)

    async def _stream(self, batch: Batch) -> AsyncGenerator[Judgement, None]:
        backoff = Backoff(self._retry)
        while True:
            if batch.is_retry:
                await self._sleep(backoff.next())
            request = batch.next_request()
            if request is None:
                return
            try:
                await self._check_isolation()
                lines = Lines()
                body = self._body(request)
                try:
                    async for data in body:
                        for line in lines.feed(data):
                            judged = batch.take(line)
                            backoff.progress()
                            if judged is not None:
                                yield judged
                finally:
                    await body.aclose()
                batch.end()
            except (ConnectionFailed, RequestError) as error:
                await self._wait_or_raise(backoff, error)

    async def _whole(self, request: Request) -> bytes:
        return b"".join([data async for data in self._body(request)])

    async def _body(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The body of an answer with status 200, as it arrives; another status is its error."""
        exchange = self._transport.exchange_async(request)
        head: Optional[Head] = None
        refusal: List[bytes] = []
        try:
            async for piece in exchange:
                if isinstance(piece, Head):
                    head = piece
                elif head is not None and head.status == 200:
                    yield piece
                else:
                    refusal.append(piece)
        finally:
            await exchange.aclose()
        if head is not None and head.status != 200:
            raise _wire.failure(head, b"".join(refusal))

    async def _check_isolation(self) -> None:
        if self._isolation_unchecked:
            health = _wire.read(await self._whole(Request("GET", "/health")), _wire.health)
            self._isolation_found(health.isolation)

    async def _wait_or_raise(self, backoff: Backoff, error: RollcageError) -> None:
        wait_s = backoff.after(error)
        if wait_s is None:
            raise error
        await asyncio.sleep(wait_s)

    @staticmethod
    async def _sleep(wait_s: Optional[float]) -> None:
        if wait_s is not None:
            await asyncio.sleep(wait_s)


def default_client() -> AsyncClient:
    """The one behind the functions here. It shares the server of the blocking default client."""
    return AsyncClient.sharing(_default.client())


async def run(
    code: Bytes,
    language: str = "python",
    *,
    stdin: Bytes = "",
    args: Sequence[str] = (),
    files: Optional[Mapping[str, object]] = None,
    limits: Optional[Mapping[str, Any]] = None,
    collect: Sequence[str] = (),
) -> RunResult:
    """`AsyncClient.run` of the default client."""
    return await default_client().run(
        code, language, stdin=stdin, args=args, files=files, limits=limits, collect=collect
    )


async def judge(
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
    """`AsyncClient.judge` of the default client."""
    return await default_client().judge(
        solution,
        answer=answer,
        completion=completion,
        cases=cases,
        problem=problem,
        language=language,
        stop=stop,
        limits=limits,
    )


async def judge_batch(
    items: Iterable[AnyItem],
    *,
    problems: Optional[Mapping[str, object]] = None,
    language: Optional[str] = None,
    stop: Optional[str] = None,
    limits: Optional[Mapping[str, Any]] = None,
) -> List[Judgement]:
    """`AsyncClient.judge_batch` of the default client."""
    return await default_client().judge_batch(items, problems=problems, language=language, stop=stop, limits=limits)


def judge_stream(
    items: Iterable[AnyItem],
    *,
    problems: Optional[Mapping[str, object]] = None,
    language: Optional[str] = None,
    stop: Optional[str] = None,
    limits: Optional[Mapping[str, Any]] = None,
) -> AsyncGenerator[Judgement, None]:
    """`AsyncClient.judge_stream` of the default client."""
    return default_client().judge_stream(items, problems=problems, language=language, stop=stop, limits=limits)
