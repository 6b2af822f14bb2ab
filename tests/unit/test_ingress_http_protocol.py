"""The connection's deadlines and bounds, on a fake transport and a loop whose time the test moves."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from producers.ingress.http import framing
from producers.ingress.http import protocol as http_protocol

pytestmark = pytest.mark.unit

BOUNDS = http_protocol.HttpBounds(
    deadline_seconds=10, head_bytes_max=200, linger_seconds=2, connections_max=2, retry_after_seconds=3
)
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


class FakeTransport(asyncio.Transport):
    """Keeps what is written; closes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.half_closed = self.aborted = False
        self.reading = True
        self.unsent = 0

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = self.closed = True


class HeldLoop:
    """A loop whose timers go off when the test says so; tasks are real."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Any, list[bool]]] = []

    def create_task(self, work: Any) -> Any:
        return asyncio.get_running_loop().create_task(work)

    def call_later(self, seconds: float, callback: Any, *arguments: Any) -> Any:
        cancelled = [False]
        self.timers.append((self.now + seconds, functools.partial(callback, *arguments), cancelled))

        class Handle:
            def cancel(self) -> None:
                cancelled[0] = True

        return Handle()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for _, callback, cancelled in due:
            if not cancelled[0]:
                callback()


class Held:
    """One protocol under test."""

    def __init__(self, app: Any, protocol: Any = None) -> None:
        made: Any = protocol or http_protocol.protocol_class(BOUNDS)
        config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, http=made)
        config.load()
        self.loop = HeldLoop()
        self.transport = FakeTransport()
        self.state = ServerState()
        self.protocol: Any = config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=self.state, app_state={}, _loop=self.loop
        )
        self.protocol.connection_made(self.transport)

    async def feed(self, *data: bytes) -> None:
        for piece in data:
            self.protocol.data_received(piece)
            await self.process()

    async def process(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def answer_after_body(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await answer(scope, receive, send)


async def test_a_silent_connection_is_closed_without_a_word() -> None:
    held = Held(answer)
    held.loop.pass_time(9.9)
    assert not held.transport.closed
    held.loop.pass_time(0.2)
    assert (held.transport.half_closed, held.transport.closed, held.transport.written) == (True, False, b"")
    held.loop.pass_time(2)
    assert held.transport.closed


async def test_a_dripped_head_gets_408_at_the_deadline_however_it_drips() -> None:
    held = Held(answer)
    for byte in GET[:9]:
        await held.feed(bytes([byte]))
        held.loop.pass_time(1)
    held.loop.pass_time(1)
    assert held.transport.written.startswith(b"HTTP/1.1 408 ")
    assert held.transport.half_closed
    assert not held.transport.closed
    await held.feed(b"still talking")
    held.loop.pass_time(2)
    assert held.transport.closed


async def test_the_deadline_starts_anew_with_each_request_and_rests_between() -> None:
    held = Held(answer)
    await held.feed(GET)
    held.loop.pass_time(4)
    await held.feed(b"G")
    held.loop.pass_time(9)
    await held.feed(GET[1:])
    assert held.transport.written.count(b"HTTP/1.1 200 ") == 2
    await held.feed(b"\r\n")
    held.loop.pass_time(9.9)
    await held.feed(b"\r\n")
    assert not held.transport.closed
    held.loop.pass_time(0.2)
    assert held.transport.half_closed
    assert held.transport.written.count(b"HTTP/1.1 ") == 2


async def test_an_early_answer_lingers_over_the_unread_body_then_closes() -> None:
    held = Held(answer)
    await held.feed(POST + b"ab")
    assert held.transport.written.startswith(b"HTTP/1.1 200 ")
    assert held.transport.half_closed
    await held.feed(b"cdGET /smuggled HTTP/1.1\r\n\r\n")
    assert held.transport.written.count(b"HTTP/1.1 ") == 1
    held.loop.pass_time(2)
    assert held.transport.closed


async def test_a_closing_answer_with_its_body_read_closes_at_once() -> None:
    held = Held(answer_after_body)
    await held.feed(POST.replace(b"Host: a", b"Host: a\r\nConnection: close"), b"abcd")
    assert held.transport.closed
    assert not held.transport.half_closed


async def test_a_broken_request_behind_a_good_one_lets_it_be_answered_first() -> None:
    held = Held(answer_after_body)
    held.protocol.data_received(POST + b"abcd" + b"BROKEN\r\n\r\n")
    assert held.transport.written == b""
    await held.process()
    assert [part[:3] for part in held.transport.written.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
    assert held.transport.half_closed


async def test_a_broken_body_behind_a_good_request_is_refused_after_its_answer() -> None:
    held = Held(answer_after_body)
    chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    held.protocol.data_received(POST + b"abcd" + chunked)
    await held.process()
    assert [part[:3] for part in held.transport.written.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
    assert held.transport.half_closed


async def test_a_request_that_is_refused_in_its_body_is_not_answered_again() -> None:
    seen: list[str] = []

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()).get("more_body"):
            pass
        seen.append(message["type"])
        await answer(scope, receive, send)

    held = Held(listening)
    await held.feed(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"Z")
    assert seen == ["http.disconnect"]
    assert [part[:3] for part in held.transport.written.split(b"HTTP/1.1 ")[1:]] == [b"400"]


async def test_what_follows_a_whole_request_waits_and_reading_is_paused() -> None:
    release = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await release.wait()
        await answer(scope, receive, send)

    held = Held(slow)
    held.protocol.data_received(POST + b"abcd" + GET * 5 + b"GET /z HT")
    await held.process()
    assert (held.transport.reading, held.transport.written) == (False, b"")
    held.loop.pass_time(60)
    assert held.transport.written == b"", "waiting for us is not the sender's slowness"
    release.set()
    for _ in range(8):
        await held.process()
    assert held.transport.written.count(b"HTTP/1.1 200 ") == 6
    assert held.transport.reading
    held.loop.pass_time(10)
    assert held.transport.written.endswith(b"}")
    assert b"HTTP/1.1 408 " in held.transport.written


@pytest.mark.parametrize("step", [1, 2, 3, 7, 31, 64, 1000])
async def test_requests_are_kept_apart_wherever_the_reads_are_cut(step: int) -> None:
    held = Held(answer_after_body)
    chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\nt: x\r\n\r\n"
    sent = (chunked + GET + POST + b"\r\n\r\n") * 3 + GET
    for at in range(0, len(sent), step):
        held.protocol.data_received(sent[at : at + step])
        for _ in range(2 if step < 100 else 12):
            await held.process()
    assert held.transport.written.count(b"HTTP/1.1 200 ") == 10
    assert held.transport.written.count(b"HTTP/1.1 ") == 10


async def test_fields_are_counted_as_they_come() -> None:
    held = Held(answer)
    few = b"GET /x HTTP/1.1\r\n" + b"a:\r\n" * 2
    await held.feed(few)
    held.protocol.bounds = dataclasses.replace(BOUNDS, head_fields_max=4)
    await held.feed(b"a:\r\n" * 4)
    assert held.transport.written.startswith(b"HTTP/1.1 431 ")


async def test_trailers_without_end_are_refused() -> None:
    held = Held(answer_after_body)
    await held.feed(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nt: ")
    for _ in range(30):
        await held.feed(b"x" * 10)
    assert held.transport.written.startswith(b"HTTP/1.1 431 ")


async def test_an_answer_that_is_not_read_ends_the_connection() -> None:
    held = Held(answer)
    await held.feed(GET)
    held.transport.unsent = 1000
    held.protocol.pause_writing()
    held.transport.unsent = 700
    held.loop.pass_time(10.1)
    assert not held.transport.aborted, "it is being read, slowly"
    held.loop.pass_time(10.1)
    assert held.transport.aborted


async def test_an_answer_that_is_read_in_time_ends_nothing() -> None:
    held = Held(answer)
    await held.feed(GET)
    held.transport.unsent = 1000
    held.protocol.pause_writing()
    held.protocol.resume_writing()
    held.loop.pass_time(10.1)
    assert not held.transport.aborted


@pytest.mark.parametrize(
    "head",
    [
        b"GET /x HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET /x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/0.9\r\nHost: a\r\n\r\n",
    ],
)
async def test_a_head_that_http_does_not_allow_is_refused(head: bytes) -> None:
    held = Held(answer)
    await held.feed(head)
    assert held.transport.written.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host", [b"a", b"", b"pay.example:443", b"[::1]:80", b"127.0.0.1", b"a_b.example"])
async def test_a_host_that_is_one_is_taken(host: bytes) -> None:
    held = Held(answer)
    await held.feed(b"GET /x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert held.transport.written.startswith(b"HTTP/1.1 200 ")


async def test_a_dripped_head_behind_a_request_in_work_lets_it_be_answered_first() -> None:
    release = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await release.wait()
        await answer(scope, receive, send)

    held = Held(slow)
    await held.feed(GET + b"GET /y HT")
    held.loop.pass_time(11)
    assert held.transport.written == b""
    release.set()
    await held.process()
    held.loop.pass_time(11)
    assert [part[:3] for part in held.transport.written.split(b"HTTP/1.1 ")[1:]] == [b"200", b"408"]


@pytest.mark.parametrize("pieces", [1, 7, 300])
async def test_a_head_over_its_bound_is_refused_however_it_comes(pieces: int) -> None:
    held = Held(answer)
    request = b"GET /x HTTP/1.1\r\nHost: " + b"a" * 300
    step = max(1, len(request) // pieces)
    await held.feed(*(request[at : at + step] for at in range(0, len(request), step)))
    await held.feed(b"\r\n\r\n")
    assert held.transport.written.startswith(b"HTTP/1.1 431 ")
    assert held.transport.written.count(b"HTTP/1.1 ") == 1


async def test_connections_over_their_bound_are_shed() -> None:
    protocol = http_protocol.protocol_class(BOUNDS)
    held = [Held(answer, protocol) for _ in range(3)]
    assert [one.transport.written[:13] for one in held] == [b"", b"", b"HTTP/1.1 503 "]
    assert b"retry-after: 3" in held[2].transport.written


async def test_a_lost_connection_leaves_no_timer() -> None:
    held = Held(answer)
    await held.feed(b"G")
    held.protocol.connection_lost(None)
    held.loop.pass_time(100)
    assert held.transport.written == b""


@pytest.mark.parametrize(
    ("headers", "version", "upgrade"),
    [
        ([(b"content-length", b"1"), (b"content-length", b"1")], "1.1", False),
        ([(b"content-length", b"1"), (b"transfer-encoding", b"chunked")], "1.1", False),
        ([(b"transfer-encoding", b"chunked")], "1.0", False),
        ([(b"transfer-encoding", b"chunked")], "1.1", True),
        ([(b"content-length", b"1")], "1.1", True),
    ],
)
def test_ambiguous_framing_is_reported(headers: Any, version: str, *, upgrade: bool) -> None:
    with pytest.raises(framing.MalformedHeadError):
        framing.need_one_framing(headers, version, upgrade=upgrade)


def test_clear_framing_passes() -> None:
    framing.need_one_framing([(b"content-length", b"0"), (b"x", b"y")], "1.1", upgrade=True)
    framing.need_one_framing([(b"transfer-encoding", b"chunked")], "1.1", upgrade=False)
