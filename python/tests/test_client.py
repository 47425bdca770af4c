"""The clients against peers that refuse, break off and talk nonsense: what is tried again, and what is raised."""

from __future__ import annotations

import asyncio
import pickle
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Tuple

import pytest
from scripted import Peer, Received, chunked, refusal, reply, scored, unscorable

import rollcage
from rollcage import Scored, Unscorable
from rollcage._retry import CONNECTION_TRIES_MAX, Backoff, RetryPolicy

CASES = [("1\n", "2\n")]
Judge = Callable[[str], rollcage.Judgement]
Batch = Callable[[str, int], List[rollcage.Judgement]]


def judge_blocking(url: str) -> rollcage.Judgement:
    with rollcage.Client(url) as client:
        return client.judge("x", cases=CASES)


def judge_async(url: str) -> rollcage.Judgement:
    async def judge() -> rollcage.Judgement:
        async with rollcage.AsyncClient(url) as client:
            return await client.judge("x", cases=CASES)

    return asyncio.run(judge())


def batch_blocking(url: str, count: int) -> List[rollcage.Judgement]:
    with rollcage.Client(url) as client:
        return client.judge_batch([{"solution": str(n), "cases": CASES} for n in range(count)])


def batch_async(url: str, count: int) -> List[rollcage.Judgement]:
    async def judge() -> List[rollcage.Judgement]:
        async with rollcage.AsyncClient(url) as client:
            return await client.judge_batch([{"solution": str(n), "cases": CASES} for n in range(count)])

    return asyncio.run(judge())


both = pytest.mark.parametrize("judge", [judge_blocking, judge_async])
both_batch = pytest.mark.parametrize("batch", [batch_blocking, batch_async])


def per_item(received: Received) -> bytes:
    """Scores each item by its own text, in reverse order."""
    lines: List[Any] = [{**scored(at), "reason": item["solution"]} for at, item in enumerate(received.body["items"])]
    return chunked(*reversed(lines), {"done": True, "results": len(lines)})


@both
def test_a_judgement_comes_back(judge: Judge) -> None:
    with Peer(reply(scored(0))) as peer:
        judged = judge(peer.url)
    assert isinstance(judged, Scored) and judged.score == 1.0 and judged.accepted
    [request] = peer.requests
    assert request.path == "/v1/judge"
    assert request.body == {
        "language": "python",
        "solution": "x",
        "problem": {"cases": [{"stdin": "1\n", "expected": "2\n"}]},
    }


@both
@pytest.mark.parametrize(
    "status, code", [(429, "queue_full"), (503, "draining"), (504, "queue_deadline"), (500, "infrastructure")]
)
def test_what_may_help_is_tried_again(judge: Judge, status: int, code: str) -> None:
    with Peer(refusal(status, code, True, "Retry-After: 0\r\n"), reply(scored(0))) as peer:
        assert judge(peer.url).score_or(None) == 1.0
    assert len(peer.requests) == 2


@both
@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "bad_request", rollcage.BadRequest),
        (401, "unauthorized", rollcage.Unauthorized),
        (413, "too_large", rollcage.TooLarge),
        (422, "unknown_language", rollcage.UnknownLanguage),
        (422, "missing_toolchain", rollcage.MissingToolchain),
        (500, "infrastructure", rollcage.InfrastructureFailure),
        (429, "queue_full", rollcage.QueueFull),
    ],
)
def test_what_does_not_help_is_raised_at_once(judge: Judge, status: int, code: str, kind: type) -> None:
    with Peer(refusal(status, code, False)) as peer:
        with pytest.raises(kind) as raised:
            judge(peer.url)
    assert len(peer.requests) == 1
    copy = pickle.loads(pickle.dumps(raised.value))
    assert str(copy) == str(raised.value) == f"{code}: {code}!"


@both
def test_a_judgement_that_failed_on_our_side_is_tried_again(judge: Judge) -> None:
    with Peer(reply(unscorable(0, True)), reply(scored(0, 0.0))) as peer:
        assert judge(peer.url).score_or(None) == 0.0
    with Peer(reply(unscorable(0, True))) as peer:
        assert isinstance(judge(peer.url), Unscorable)
    assert len(peer.requests) == 1 + RetryPolicy().unscorable
    with Peer(reply(unscorable(0, False, "problem"))) as peer:
        assert isinstance(judge(peer.url), Unscorable)
    assert len(peer.requests) == 1


@both
def test_a_connection_that_breaks_is_made_again_within_bounds(judge: Judge) -> None:
    with Peer(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", reply(scored(0)), close_after=True) as peer:
        assert judge(peer.url).score_or(None) == 1.0
    with Peer(b"", close_after=True) as peer:
        with pytest.raises(rollcage.ConnectionFailed):
            judge(peer.url)
    assert len(peer.requests) == CONNECTION_TRIES_MAX


@both
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0\r\n\r\n",
        reply({"language": "python"}),
        reply([]),
        reply({**scored(0), "score": 1.5}),
        reply({**scored(0), "score": True}),
        reply({**scored(0), "verdict": "fine"}),
        reply({**scored(0), **unscorable(0, False)}),
        reply({**unscorable(0, False), "error": {"blame": "solution", "reason": "", "retryable": False}}),
        b'HTTP/1.1 200 OK\r\nContent-Length: 58\r\n\r\n{"language":"python","verdict":"accepted","score":NaN     }',
    ],
)
def test_nonsense_is_never_a_judgement(judge: Judge, answer: bytes) -> None:
    with Peer(answer) as peer:
        with pytest.raises(rollcage.ProtocolError):
            judge(peer.url)


@both
def test_an_answer_that_is_not_ours_is_named(judge: Judge) -> None:
    with Peer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n<h1>") as peer:
        with pytest.raises(rollcage.BadRequest, match="is something else listening there"):
            judge(peer.url)


@both_batch
def test_a_batch_comes_back_in_order(batch: Batch) -> None:
    with Peer(per_item) as peer:
        judged = batch(peer.url, 5)
    assert [(one.index, one.reason) for one in judged] == [(n, str(n)) for n in range(5)]
    [request] = peer.requests
    assert request.headers["accept"] == "application/x-ndjson"
    assert len(request.body["problems"]) == 1, "equal problems are sent once"


@both_batch
def test_a_batch_that_is_cut_asks_for_the_rest_only(batch: Batch) -> None:
    cut = chunked(scored(3), scored(0), end=False)
    with Peer(cut, per_item, close_after=True) as peer:
        judged = batch(peer.url, 5)
    assert [one.index for one in judged] == [0, 1, 2, 3, 4]
    assert [item["solution"] for item in peer.requests[1].body["items"]] == ["1", "2", "4"]


@both_batch
def test_items_that_failed_on_our_side_are_tried_again_alone(batch: Batch) -> None:
    first = chunked(scored(0), unscorable(1, True), unscorable(2, False), {"done": True, "results": 3})
    again = chunked(unscorable(0, True), {"done": True, "results": 1})
    with Peer(first, again) as peer:
        judged = batch(peer.url, 3)
    assert [type(one) for one in judged] == [Scored, Unscorable, Unscorable]
    assert [len(request.body["items"]) for request in peer.requests] == [3, 1, 1]


@both_batch
@pytest.mark.parametrize(
    "answer",
    [
        chunked(scored(0), {"done": True, "results": 1}),
        chunked(scored(0), scored(0)),
        chunked(scored(7)),
        chunked({"language": "python"}),
    ],
)
def test_a_batch_with_results_that_do_not_fit_is_refused(batch: Batch, answer: bytes) -> None:
    with Peer(answer) as peer:
        with pytest.raises(rollcage.ProtocolError):
            batch(peer.url, 2)


def test_an_empty_batch_asks_nobody() -> None:
    with Peer(b"") as peer:
        assert batch_blocking(peer.url, 0) == []
    assert peer.requests == []


def test_a_large_batch_is_sent_in_parts() -> None:
    big = "#" * (3 << 20)
    with Peer(per_item) as peer, rollcage.Client(peer.url) as client:
        judged = client.judge_batch([{"solution": big, "cases": CASES}] * 5)
    assert [one.index for one in judged] == [0, 1, 2, 3, 4]
    assert [len(request.body["items"]) for request in peer.requests] == [2, 2, 1]


def test_items_that_make_no_sense_are_named() -> None:
    with rollcage.Client("http://127.0.0.1:1") as client:
        wrong: List[Tuple[Dict[str, Any], str]] = [
            ({"cases": CASES}, r"items\[1\]: expected one of"),
            ({"solution": "", "answer": "", "cases": CASES}, r"items\[1\]: expected one of"),
            ({"solution": "", "sources": 1}, r"items\[1\]: .*sources"),
            ({"solution": ""}, r"items\[1\].problem"),
            ({"solution": "", "problem": "q"}, r"items\[1\].problem: expected JSON"),
        ]
        for item, message in wrong:
            with pytest.raises(rollcage.ProblemError, match=message):
                client.judge_batch([{"solution": "", "problem": "p"}, item], problems={"p": CASES})


def test_a_language_is_the_items_then_the_batchs_then_the_problems_then_python() -> None:
    problems = {"none": CASES, "lua": {"cases": CASES, "language": "lua"}}
    items = [
        {"solution": "", "problem": "none"},
        {"solution": "", "problem": "lua"},
        {"solution": "", "problem": "lua", "language": "c"},
    ]
    with Peer(per_item) as peer, rollcage.Client(peer.url) as client:
        client.judge_batch(items, problems=problems)
        client.judge_batch(items, problems=problems, language="bash")
    sent = [[item.get("language") for item in request.body["items"]] for request in peer.requests]
    assert sent == [["python", None, "c"], ["bash", "bash", "c"]]


def test_a_stream_closed_early_closes_its_connection() -> None:
    with Peer(chunked(scored(0), end=False)) as peer, rollcage.Client(peer.url) as client:
        stream = client.judge_stream([{"solution": "", "cases": CASES}] * 2)
        assert next(stream).index == 0
        [connection] = client._transport._pool._open
        stream.close()
        assert connection.fileno() == -1 and not client._transport._pool._open


def test_cancelling_closes_the_connection() -> None:
    async def cancel() -> None:
        with Peer(b"") as peer:
            client = rollcage.AsyncClient(peer.url)
            task = asyncio.create_task(client.run("while True: pass"))
            while not peer.requests:
                await asyncio.sleep(0)
            [connection] = client._transport._pool._open
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert connection.fileno() == -1
            await client.aclose()

    asyncio.run(cancel())


def test_silence_has_an_end() -> None:
    policy = RetryPolicy(total_s=0)
    with Peer(b"") as peer, rollcage.Client(peer.url, silence_s=0.05, retry=policy) as client:
        with pytest.raises(rollcage.ConnectionFailed, match="silent"):
            client.run("")

    async def wait(url: str) -> None:
        async with rollcage.AsyncClient(url, silence_s=0.05, retry=policy) as client:
            await client.run("")

    with Peer(b"") as peer:
        with pytest.raises(rollcage.ConnectionFailed, match="silent"):
            asyncio.run(wait(peer.url))


def test_an_alarm_of_the_callers_is_the_callers() -> None:
    def ring(_: int, __: object) -> None:
        raise TimeoutError("too slow")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with Peer(b"") as peer, rollcage.Client(peer.url) as client:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(TimeoutError, match="too slow"):
                client.run("")
            assert not client._transport._pool._open
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_connections_are_kept_and_not_shared() -> None:
    with Peer(reply(scored(0))) as peer, rollcage.Client(peer.url) as client:
        for _ in range(10):
            client.judge("x", cases=CASES)
        assert peer.connections == 1
        barrier = threading.Barrier(4)

        def call(_: int) -> None:
            barrier.wait()
            for _ in range(25):
                client.judge("x", cases=CASES)

        with ThreadPoolExecutor(4) as executor:
            list(executor.map(call, range(4)))
        assert peer.connections <= 4 and len(peer.requests) == 110


def test_an_idle_connection_that_ended_is_replaced() -> None:
    with Peer(reply(scored(0)), close_after=True) as peer, rollcage.Client(peer.url) as client:
        for _ in range(3):
            client.judge("x", cases=CASES)
        assert len(peer.requests) == peer.connections == 3


def test_one_async_client_serves_many_loops() -> None:
    with Peer(reply(scored(0))) as peer:
        client = rollcage.AsyncClient(peer.url)

        async def judge() -> None:
            await asyncio.gather(*(client.judge("x", cases=CASES) for _ in range(5)))

        for _ in range(3):
            asyncio.run(judge())
        assert peer.connections <= 5 and len(peer.requests) == 15
        asyncio.run(client.aclose())


def test_the_token_is_sent() -> None:
    with Peer(reply(scored(0))) as peer, rollcage.Client(peer.url, token="t0ken") as client:
        client.judge("x", cases=CASES)
    assert peer.requests[0].headers["authorization"] == "Bearer t0ken"


def test_a_server_with_another_level_is_refused() -> None:
    health = {"status": "ok", "slots": 1, "running": 0, "queued": 0, "isolation": "process", "version": "0"}
    with Peer(reply(health), reply(scored(0))) as peer:
        with rollcage.Client(peer.url, isolation="full") as client:
            with pytest.raises(rollcage.ConfigurationError, match="insisted on.*has `process`"):
                client.judge("x", cases=CASES)
        assert [request.path for request in peer.requests] == ["/health"]
    with Peer(reply(health), reply(scored(0))) as peer:
        with rollcage.Client(peer.url, isolation="process") as client:
            client.judge("x", cases=CASES)
            client.judge("x", cases=CASES)
        assert [request.path for request in peer.requests] == ["/health", "/v1/judge", "/v1/judge"]


@pytest.mark.parametrize(
    "url", ["https://h:1", "unix:relative", "http://", "http://u:p@h:1", "http://h:1/path", "http://h:99999", "ftp://h"]
)
def test_addresses_that_cannot_be_are_named(url: str) -> None:
    with pytest.raises(rollcage.ConfigurationError, match="`"):
        rollcage.Client(url)


def test_settings_that_contradict_are_refused() -> None:
    with pytest.raises(rollcage.ConfigurationError, match="no isolation level"):
        rollcage.Client(isolation="none")
    with pytest.raises(rollcage.ConfigurationError, match="server_args"):
        rollcage.Client("http://h:1", server_args=["--queue", "1"])


def test_waits_are_bounded_and_spread() -> None:
    error = rollcage.QueueFull(429, {"retryable": True}, 3.0)
    backoff = Backoff(RetryPolicy(total_s=60.0))
    waits = []
    while True:
        wait = backoff.after(error)
        if wait is None:
            break
        waits.append(wait)
    assert sum(waits) <= 60.0 and all(wait >= 3.0 for wait in waits)
    assert len(set(waits)) == len(waits) > 3
    assert Backoff(RetryPolicy()).after(rollcage.BadRequest(400, {})) is None
    assert Backoff(RetryPolicy()).after(rollcage.ProtocolError("")) is None
