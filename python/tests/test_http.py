"""The reader of answers: whatever way bytes arrive, and whatever nonsense they are."""

from __future__ import annotations

import random

import pytest

from rollcage._http import BODY_BYTES_MAX, HEAD_BYTES_MAX, Lines, Request, ResponseReader
from rollcage.errors import ProtocolError

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN
UNTIL_CLOSED = b"HTTP/1.0 200 OK\r\n\r\nhello"


def read(data: bytes, sizes: "list[int]", closed: bool) -> ResponseReader:
    reader, position = ResponseReader(), 0
    for size in sizes:
        if position < len(data):
            reader.feed(data[position : position + size])
        position += size
    if position < len(data):
        reader.feed(data[position:])
    if closed:
        reader.feed(b"")
    return reader


@pytest.mark.parametrize("data, keep_alive", [(PLAIN, True), (CHUNKED, True), (INTERIM, True), (UNTIL_CLOSED, False)])
def test_an_answer_is_the_same_however_it_arrives(data: bytes, keep_alive: bool) -> None:
    rng = random.Random(7)
    for _ in range(200):
        sizes = [rng.randint(1, 9) for _ in range(rng.randint(0, len(data)))]
        reader = read(data, sizes, closed=not keep_alive)
        assert (reader.complete, reader.keep_alive, reader.take()) == (True, keep_alive, b"hello")
        assert reader.head is not None and reader.head.status == 200


def test_an_answer_that_is_cut_is_never_complete() -> None:
    for whole in (PLAIN, CHUNKED, INTERIM):
        for end in range(len(whole)):
            with pytest.raises(EOFError):
                read(whole[:end], [], closed=True)


def test_what_follows_an_answer_ends_the_connection() -> None:
    reader = read(PLAIN + b"HTTP/1.1 200 OK\r\n", [], closed=False)
    assert reader.complete and not reader.keep_alive and reader.take() == b"hello"


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000,
        b"x" * (HEAD_BYTES_MAX + 1),
    ],
)
def test_nonsense_is_named(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data, [], closed=False)


def test_a_body_is_bounded() -> None:
    reader = ResponseReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    reader._received = BODY_BYTES_MAX
    with pytest.raises(ProtocolError):
        reader.feed(b"x")


def test_lines_come_whole() -> None:
    lines = Lines()
    fed = [lines.feed(part) for part in (b'{"a"', b":1}\n\n{", b"}", b"\n[]\n")]
    assert fed == [[], [b'{"a":1}'], [], [b"{}", b"[]"]]


def test_a_request_carries_its_token_and_length() -> None:
    sent = Request("POST", "/v1/judge", b"{}").to_bytes("h:1", "secret")
    assert b"Authorization: Bearer secret\r\n" in sent and b"Content-Length: 2\r\n" in sent
    assert sent.endswith(b"\r\n\r\n{}")
    assert b"Authorization" not in Request("GET", "/health").to_bytes("h", None)
