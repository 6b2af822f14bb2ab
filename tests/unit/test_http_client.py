from __future__ import annotations

import asyncio
import datetime as dt
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from outside import Outside, outside

from runtime.http import (
    HttpAnswer,
    HttpClient,
    HttpRequest,
    HttpUnavailableError,
    need_available,
    retry_after_seconds,
)
from runtime.settings import HttpSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

BOUNDS = HttpSettings(total_timeout_seconds=0.5, connect_timeout_seconds=0.5, response_bytes_max=1000)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
async def world() -> AsyncIterator[Outside]:
    async with outside() as open_world:
        yield open_world


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient(BOUNDS) as open_client:
        yield open_client


async def test_answers_of_any_status_are_answers_and_redirects_are_not_followed(world: Outside, client: HttpClient):
    assert (await client.send(HttpRequest("GET", f"{world.url}/nothing"))).status == 404
    world.fail("/moved", 302, headers={"Location": f"{world.url}/v1/charges/x"})
    assert (await client.send(HttpRequest("GET", f"{world.url}/moved"))).status == 302
    assert world.asked("/charges") == 0
    world.fail("/busy", 429, headers={"Retry-After": "7"}, body="later")
    assert await client.send(HttpRequest("GET", f"{world.url}/busy")) == HttpAnswer(429, b"later", 7.0)
    assert world.calls[0][2]["Accept-Encoding"] == "identity"


async def test_slow_dropped_and_oversized_answers_say_nothing(world: Outside, client: HttpClient):
    release = asyncio.Event()
    world.fail("/slow", 200, holds=release)
    async with HttpClient(BOUNDS.model_copy(update={"total_timeout_seconds": 0.1})) as hasty:
        with pytest.raises(HttpUnavailableError, match=r"did not answer in 0.1 s") as slow:
            await hasty.send(HttpRequest("POST", f"{world.url}/slow"))
    release.set()
    world.fail("/drop", drops=True)
    with pytest.raises(HttpUnavailableError, match="broke the connection") as dropped:
        await client.send(HttpRequest("POST", f"{world.url}/drop"))
    world.fail("/large", 200, body="x" * 1001)
    with pytest.raises(HttpUnavailableError, match="more than 1000 bytes"):
        await client.send(HttpRequest("GET", f"{world.url}/large"))
    world.fail("/full", 200, body="x" * 1000)
    assert len((await client.send(HttpRequest("GET", f"{world.url}/full"))).body) == 1000
    assert (slow.value.sent, dropped.value.sent) == (True, True)
    assert slow.value.transient


async def test_no_connection_means_that_nothing_was_sent(client: HttpClient, unused_tcp_port: int):
    with pytest.raises(HttpUnavailableError, match="took no connection") as refused:
        await client.send(HttpRequest("POST", f"http://127.0.0.1:{unused_tcp_port}/?secret=1"))
    assert not refused.value.sent
    assert "secret" not in str(refused.value)


ANSWER_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"


@pytest.mark.parametrize("head", [b"", ANSWER_HEAD], ids=["unanswered", "in the answer"])
async def test_a_connection_that_is_reset_may_have_brought_the_request(client: HttpClient, head: bytes):
    asked: list[bytes] = []

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(head)
        await writer.drain()
        own: socket.socket = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends RST
        writer.close()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(HttpUnavailableError, match="broke the connection") as error:
            await client.send(HttpRequest("POST", f"http://127.0.0.1:{port}/messages", body=b"To=1"))
    assert (error.value.sent, len(asked)) == (True, 1)


async def test_a_host_that_takes_no_connection_in_time_was_sent_nothing():
    """Whose queue of connections is full says nothing; that is not the silence of one that may have what we sent."""
    bounds = HttpSettings(total_timeout_seconds=5.0, connect_timeout_seconds=0.1)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        async with HttpClient(bounds) as hasty:
            queued = [await asyncio.to_thread(_connect, full.getsockname()) for _ in range(2)]
            with pytest.raises(HttpUnavailableError, match="took no connection") as error:
                await hasty.send(HttpRequest("POST", f"http://127.0.0.1:{full.getsockname()[1]}/", body=b"To=1"))
            for one in queued:
                one.close()
    assert not error.value.sent


def _connect(place: tuple[str, int]) -> socket.socket:
    own = socket.socket()
    own.setblocking(False)
    own.connect_ex(place)
    return own


async def test_neither_proxies_of_the_environment_nor_cookies_are_used(
    world: Outside, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
):
    """A proxy would see keys and phone numbers; a cookie of one call would speak for the next, of another account."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    world.fail("/first", 200, headers={"Set-Cookie": "session=theirs; Path=/"})
    by_name = world.url.replace("127.0.0.1", "localhost")  # cookies of a bare address are never kept
    async with HttpClient(BOUNDS) as own:
        assert (await own.send(HttpRequest("GET", f"{by_name}/first"))).status == 200
        assert (await own.send(HttpRequest("GET", f"{by_name}/second"))).status == 404
    assert ["Cookie" in headers for _, _, headers, _ in world.calls] == [False, False]


async def test_a_body_stays_as_it_was_packed(world: Outside, client: HttpClient):
    """Unpacked, a few bytes may be more than the bound before anybody counts."""
    world.fail("/packed", 200, headers={"Content-Encoding": "gzip"}, body="packed, to whoever looks")
    assert (await client.send(HttpRequest("GET", f"{world.url}/packed"))).body == b"packed, to whoever looks"


async def test_certificate_is_checked(client: HttpClient, world: Outside):
    with pytest.raises(HttpUnavailableError, match=r"took no connection|broke the connection"):
        await client.send(HttpRequest("GET", world.url.replace("http:", "https:")))


def test_statuses_that_may_pass_are_kept_apart_from_those_that_stay():
    for status in (408, 425, 429, 500, 502, 503, 599):
        with pytest.raises(HttpUnavailableError, match=f"api answered {status}") as error:
            need_available(HttpAnswer(status, b"", 3.0), "api")
        assert error.value.retry_after_seconds == 3.0
    for status in (200, 301, 400, 401, 404, 422):
        assert need_available(HttpAnswer(status, b""), "api").status == status


def test_retry_after_is_seconds_or_a_date_or_nothing():
    assert retry_after_seconds(None, NOW) is None
    assert retry_after_seconds(" 120 ", NOW) == 120
    assert retry_after_seconds("9" * 50, NOW) == 999_999_999
    assert retry_after_seconds("Thu, 01 Jan 2026 00:01:00 GMT", NOW) == 60
    assert retry_after_seconds("Thu, 01 Jan 2026 00:01:00 -0000", NOW) == 60
    assert retry_after_seconds("Wed, 31 Dec 2025 00:00:00 GMT", NOW) == 0
    for bad in ("", "soon", "-5", "1.5", "٣", "1 Jan 99999999999999 00:00:00 GMT", "1 Jan 9999999999 00:00:00 GMT"):
        assert retry_after_seconds(bad, NOW) is None


async def test_retry_after_is_bounded(world: Outside):
    async with HttpClient(HttpSettings(retry_after_seconds_max=30)) as client:
        world.fail("/busy", 503, headers={"Retry-After": "86400"})
        assert (await client.send(HttpRequest("GET", f"{world.url}/busy"))).retry_after_seconds == 30


def test_requests_show_no_secret():
    shown = repr(HttpRequest("POST", "http://api/?To=%2B4915", {"Authorization": "Bearer s"}, b"To=+4915"))
    assert shown == "HttpRequest(method='POST')"
