"""What a connection holds is given back, and what the bounds say holds for it: places, deadlines, heads, writing."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from producers.ingress.access_log import AccessLog
from producers.ingress.answers import Answer, send_answer
from producers.ingress.http import connection_places
from producers.ingress.http import protocol as http_protocol
from tests.unit.test_ingress_http_protocol import BOUNDS, GET, POST, Held, answer, answer_after_body

pytestmark = pytest.mark.unit

CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def bounded(**changed: Any) -> Any:
    return http_protocol.protocol_class(dataclasses.replace(BOUNDS, **changed))


def is_shed(held: Held) -> bool:
    return held.transport.written.startswith(b"HTTP/1.1 503 ")


async def test_who_leaves_gives_its_place_back_and_who_was_refused_had_none() -> None:
    protocol = bounded(connections_max=2)
    first, second = Held(answer, protocol), Held(answer, protocol)
    refused = Held(answer, protocol)
    assert [is_shed(one) for one in (first, second, refused)] == [False, False, True]
    refused.protocol.connection_lost(None)
    assert is_shed(Held(answer, protocol)), "it had no place to give back"
    first.protocol.connection_lost(ConnectionResetError())
    await second.feed(GET)
    second.protocol.connection_lost(None)
    assert [is_shed(Held(answer, protocol)) for _ in range(3)] == [False, False, True]


async def test_who_lingers_no_more_leaves_that_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_places, "LINGERING_MAX", 2)
    protocol = bounded(connections_max=1)
    Held(answer, protocol)
    lingering = [Held(answer, protocol) for _ in range(3)]
    assert [(one.transport.half_closed, one.transport.closed) for one in lingering] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    for one in lingering:
        one.protocol.connection_lost(None)
    assert [Held(answer, protocol).transport.half_closed for _ in range(3)] == [True, True, False]


async def test_one_that_may_not_linger_gets_no_protocol_and_an_answer_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_places, "LINGERING_MAX", 0)
    connections = http_protocol.HttpConnections(dataclasses.replace(BOUNDS, connections_max=1))
    assert connections.refusal_of("192.0.2.1", ()) is None, "it has a place"
    Held(answer, connections._bounded)
    refused = connections.refusal_of("192.0.2.1", ((b"date", b"today"),))
    assert refused is not None
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 3\r\n" in refused
    assert b"date: today\r\n" in refused


async def test_where_it_is_crowded_a_head_and_a_rest_have_less_time() -> None:
    protocol = bounded(connections_max=2, crowded_deadline_seconds=3.0)
    early, late = Held(answer, protocol), Held(answer, protocol)
    late.loop.pass_time(2.9)
    assert not late.transport.half_closed
    late.loop.pass_time(0.2)
    assert late.transport.half_closed
    early.loop.pass_time(3.1)
    assert not early.transport.half_closed, "it came before the crowd"
    await early.feed(GET)
    early.loop.pass_time(3.1)
    assert early.transport.closed, "it may not rest for five seconds now"


async def test_where_there_is_room_a_connection_may_rest() -> None:
    held = Held(answer, bounded(connections_max=2, crowded_deadline_seconds=3.0))
    await held.feed(GET)
    held.loop.pass_time(4.9)
    assert not held.transport.closed
    held.loop.pass_time(0.2)
    assert held.transport.closed


async def test_content_is_no_head_however_much_comes_in_chunks() -> None:
    held = Held(answer_after_body)
    await held.feed(CHUNKED, *[b"40\r\n" + b"x" * 64 + b"\r\n"] * 20, b"0\r\n\r\n")
    assert held.transport.written.startswith(b"HTTP/1.1 200 ")
    await held.feed(CHUNKED, *[b"1\r\nx\r\n"] * 60, b"0\r\n\r\n")
    assert held.transport.written.count(b"HTTP/1.1 200 ") == 2


async def test_a_trailer_is_no_header() -> None:
    """What a sender adds when the request is under way must not be taken for what was read before."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.extend(scope["headers"])
        await answer(scope, receive, send)

    held = Held(app)
    await held.feed(CHUNKED, b"1\r\nx\r\n", b"0\r\nx-forwarded-for: 10.0.0.1\r\n\r\n")
    assert held.transport.written.startswith(b"HTTP/1.1 200 ")
    assert sorted(name for name, _ in seen) == [b"host", b"transfer-encoding"]


async def test_who_does_not_read_is_answered_no_further_until_it_does() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_answer(send, Answer(200, b"{}"))

    held = Held(AccessLog(app, 3))
    held.protocol.pause_writing()
    await held.feed(GET)
    assert held.transport.written == b""
    held.protocol.resume_writing()
    await held.process()
    assert held.transport.written.startswith(b"HTTP/1.1 200 ")


async def test_a_lost_connection_is_aborted_by_no_timer() -> None:
    held = Held(answer)
    await held.feed(GET)
    held.transport.unsent = 1000
    held.protocol.pause_writing()
    held.protocol.connection_lost(None)
    held.loop.pass_time(60)
    assert not held.transport.aborted


async def test_a_refusal_before_a_request_has_the_servers_own_headers() -> None:
    held = Held(answer)
    held.state.default_headers = [(b"date", b"today")]
    await held.feed(b"BROKEN\r\n\r\n")
    assert b"date: today\r\n" in held.transport.written
    assert held.transport.written.startswith(b"HTTP/1.1 400 ")


async def test_an_application_learns_that_its_sender_left() -> None:
    heard: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            pass
        heard.append(message["type"])

    held = Held(app)
    await held.feed(POST + b"ab")
    held.protocol.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert heard == ["http.disconnect"]
