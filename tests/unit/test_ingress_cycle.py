"""A whole answer goes out in one write, and says what ASGI's messages would have sent."""

from __future__ import annotations

from typing import Any

import pytest

from producers.ingress.access_log import AccessLog, line_of
from producers.ingress.answers import CLOSE, Answer, head_of, send_answer
from producers.ingress.http import uvicorn_parts
from tests.unit.test_ingress_http_protocol import GET, POST, Held

pytestmark = pytest.mark.unit

TAKEN = Answer(202, b'{"accepted":1}', headers=((b"ratelimit", b'"unverified";r=9;t=60'),))


def answering(answer: Answer, seen: list[Any]) -> AccessLog:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_answer(send, answer)
        seen.append(line_of(scope).status)

    return AccessLog(app, 3)


async def written(raw: bytes, answer: Answer, *, whole: bool = True) -> tuple[list[bytes], Held]:
    seen: list[Any] = []
    held = Held(answering(answer, seen))
    held.state.default_headers = [(b"date", b"Mon, 23 Nov 2026 00:00:00 GMT")]
    writes: list[bytes] = []
    held.protocol._cycle_transport.write = writes.append
    if not whole:
        held.protocol._new_cycle = without_whole(held.protocol._new_cycle)
    await held.feed(raw)
    assert seen == [answer.status]
    return writes, held


def without_whole(new_cycle: Any) -> Any:
    def made(http_version: str) -> Any:
        found = new_cycle(http_version)
        found._can_go_at_once = lambda _: False
        return found

    return made


def without_id(raw: bytes) -> list[bytes]:
    return sorted(line for line in raw.split(b"\r\n") if not line.startswith(b"x-request-id: "))


async def test_it_is_one_write_and_says_the_same_as_messages() -> None:
    once, held = await written(GET, TAKEN)
    parts, _ = await written(GET, TAKEN, whole=False)
    assert (len(once), len(parts)) == (1, 2)
    assert once[0].endswith(b"\r\n\r\n" + TAKEN.body)
    assert without_id(once[0]) == without_id(b"".join(parts))
    assert once[0].count(b"x-request-id: ") == 1
    await held.feed(GET)
    assert len(once) == 2, "the connection goes on"


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (GET.replace(b"GET", b"HEAD"), TAKEN),
        (GET.replace(b"Host: a", b"Host: a\r\nConnection: close"), TAKEN),
        (GET.replace(b"1.1", b"1.0"), TAKEN),
        (GET, Answer(413, b"{}", headers=(CLOSE,))),
    ],
)
async def test_what_ends_the_connection_or_has_no_body_goes_by_messages(raw: bytes, answer: Answer) -> None:
    writes, held = await written(raw, answer)
    assert b"".join(writes).endswith(b"\r\n\r\n" + (b"" if raw.startswith(b"HEAD") else answer.body))
    assert held.transport.closed is (not raw.startswith(b"HEAD"))


async def test_a_sender_that_is_gone_is_written_nothing() -> None:
    held = Held(answering(TAKEN, []))
    held.protocol.data_received(POST + b"abcd")
    held.protocol.connection_lost(None)
    await held.process()
    assert held.transport.written == b""


@pytest.mark.parametrize("header", [(b"x", b"a\r\nset-cookie: b"), (b"x\ny", b"a"), (b"x", b"\x00")])
async def test_a_header_that_would_end_its_line_is_never_sent(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="control character"):
        head_of("application/json", 0, (header,))
    held = Held(AccessLog(_sending(Answer(200, b"", headers=(header,))), 3))
    await held.feed(GET)
    assert held.transport.written.startswith(b"HTTP/1.1 503 ")
    assert b"set-cookie" not in held.transport.written


def _sending(answer: Answer) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_answer(send, answer)

    return app


def test_the_date_is_joined_once_a_second() -> None:
    uvicorn_parts.own_lines.cache_clear()
    for _ in range(3):
        assert uvicorn_parts.own_lines(((b"date", b"x"), (b"a", b"b"))) == b"date: x\r\na: b\r\n"
    assert uvicorn_parts.own_lines.cache_info().misses == 1
