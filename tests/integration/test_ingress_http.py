"""The ingress over HTTP: what it takes, what it refuses, and that the bytes arrive as they were sent."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import running_ingress as running

from producers.ingress.publishing.records import digest
from runtime.health import metrics_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
DEADLINE_SECONDS = 0.6


@pytest.fixture(scope="module")
async def ingress(stack: Any) -> AsyncIterator[running.RunningIngress]:
    """Open one ingress for all: Kafka serves it, so its spool needs no table."""
    bounds = {"receipt_deadline_seconds": DEADLINE_SECONDS, "header_bytes_max": 8192, "linger_seconds": 0.5}
    async with running.open_ingress(stack.kafka, stack.dsn, **bounds) as opened:
        yield opened


@pytest.fixture(scope="module")
async def tail(stack: Any) -> AsyncIterator[running.Tail]:
    async with running.tail(stack.kafka) as following:
        yield following


async def test_a_webhook_arrives_byte_for_byte_with_its_attributes(
    ingress: running.RunningIngress, tail: running.Tail
) -> None:
    event_id, body = running.event()
    body = body.replace(b'"pad"', b'  "p\\u00e4d"')
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    before = time.time()
    status, answer, headers = await ingress.post(body, "/webhooks/stripe/ACME", traceparent=trace)
    assert (status, answer) == (202, b'{"accepted":1}')
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers
    record = await tail.find(event_id)
    assert record.value == body
    assert record.key == f"pi_{event_id[4:]}".encode()
    attributes = {name: value.decode() for name, value in record.headers}
    received = attributes.pop("ce_time")
    assert attributes == {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": "stripe/acme",
        "ce_type": "payment_intent.succeeded",
        "content-type": "application/octet-stream",
        "ce_ratchettrust": "verified",
        "traceparent": trace,
    }
    assert received >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before))


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"id": 7}', b"\xff\x00\xfe"])
async def test_a_genuine_request_is_taken_whatever_it_holds(
    ingress: running.RunningIngress, tail: running.Tail, body: bytes
) -> None:
    body += b"" if not body else b" " * (time.time_ns() % 5000)
    assert (await ingress.post(body))[:2] == (202, b'{"accepted":1}')
    record = await tail.find("7" if b"7" in body else digest(body))
    assert record.value == body


async def test_a_forged_request_leaves_nothing(ingress: running.RunningIngress, tail: running.Tail) -> None:
    forged_id, forged = running.event()
    status, answer, headers = await ingress.post(forged, **running.signature(forged, secret="whsec_other"))
    assert (status, headers["Content-Type"]) == (401, "application/problem+json")
    assert json.loads(answer)["type"] == "urn:ratchet:problem:signature-rejected"
    stale_id, stale = running.event()
    assert (await ingress.post(stale, **running.signature(stale, at=time.time() - 301)))[0] == 401
    good_id, good = running.event()
    assert (await ingress.post(good))[0] == 202
    await tail.find(good_id)
    assert forged_id not in tail.ids()
    assert stale_id not in tail.ids()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/webhooks/adyen", 404),
        ("POST", "/webhooks/nobody", 404),
        ("POST", "/webhooks/stripe/unknown", 404),
        ("POST", "/webhooks/stripe/acme/more", 404),
        ("POST", "/webhooks/", 404),
        ("GET", "/webhooks/stripe", 405),
        ("PUT", "/webhooks/stripe", 405),
        ("POST", "/livez", 405),
        ("GET", "/nothing", 404),
    ],
)
async def test_what_is_not_there_is_a_problem(
    ingress: running.RunningIngress, method: str, path: str, status: int
) -> None:
    async with ingress.client.request(method, ingress.url + path, data=b"{}") as response:
        document = json.loads(await response.read())
        assert (response.status, document["status"]) == (status, status)
        assert response.content_type == "application/problem+json"
        assert ("Allow" in response.headers) == (status == 405)


async def test_exactly_one_mebibyte_passes_and_one_more_does_not(
    ingress: running.RunningIngress, tail: running.Tail
) -> None:
    event_id, body = running.event(size=MIB)
    assert len(body) == MIB
    assert (await ingress.post(body))[0] == 202
    assert (await tail.find(event_id)).value == body
    status, answer, headers = await ingress.post(body + b" ")
    assert (status, json.loads(answer)["type"]) == (413, "urn:ratchet:problem:body-too-large")
    assert headers["Connection"] == "close"


async def test_an_oversized_chunked_body_is_refused_and_its_sender_reads_the_answer(
    ingress: running.RunningIngress,
) -> None:
    chunk = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
    head = running.raw_request(b"", "Transfer-Encoding: chunked", length=False)
    answer = await running.exchange(ingress.address, head, *[chunk] * 24, b"0\r\n\r\n")
    assert running.statuses(answer) == [413]


async def test_a_chunked_body_without_length_is_taken(ingress: running.RunningIngress, tail: running.Tail) -> None:
    event_id, body = running.event(size=200_000)
    head = running.raw_request(body, "Transfer-Encoding: chunked", "Connection: close", length=False)[: -len(body)]
    pieces = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
    chunks = [b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in pieces]
    assert running.statuses(await running.exchange(ingress.address, head, *chunks, b"0\r\n\r\n")) == [202]
    assert (await tail.find(event_id)).value == body


async def drip(ingress: running.RunningIngress, start: bytes, drop: bytes) -> tuple[bytes, float]:
    """Send `start`, then a drop every 20 ms until the ingress closes; return its answer and how long it took."""
    async with asyncio.timeout(10), running.connection(ingress.address) as (reader, writer):
        started = time.monotonic()
        writer.write(start)
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(drop)
            await asyncio.wait({answer}, timeout=0.02)
        return await answer, time.monotonic() - started


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nX-Drip: ", b"x"),
        (b"POST /webhooks/stripe HTTP/1.1\r\n", b"A: b\r\n"),
        (b"PO", b""),
        (b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", b"x"),
        (b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", b""),
    ],
)
async def test_a_request_that_only_drips_is_ended_at_the_deadline(
    ingress: running.RunningIngress, start: bytes, drop: bytes
) -> None:
    answer, seconds = await drip(ingress, start, drop)
    assert running.statuses(answer) == [408]
    assert b"receipt-timeout" in answer
    assert DEADLINE_SECONDS * 0.9 <= seconds < DEADLINE_SECONDS + 3


@pytest.mark.parametrize(("start", "drop"), [(b"", b""), (b"\r\n", b"\r\n")])
async def test_a_connection_that_says_nothing_is_closed(
    ingress: running.RunningIngress, start: bytes, drop: bytes
) -> None:
    answer, seconds = await drip(ingress, start, drop)
    assert answer == b""
    assert seconds < DEADLINE_SECONDS + 3


async def test_an_idle_kept_connection_can_not_be_dripped_alive(ingress: running.RunningIngress) -> None:
    live = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    answer, seconds = await drip(ingress, live, b"\r\n")
    assert running.statuses(answer) == [200]
    assert seconds < DEADLINE_SECONDS + 3


@pytest.mark.parametrize("size", [9_000, 300_000])
async def test_a_head_over_its_bound_is_refused(ingress: running.RunningIngress, size: int) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Big: " + b"x" * size
    assert running.statuses(await running.exchange(ingress.address, request + b"\r\n\r\n")) == [431]
    dripped = [request[at : at + 1000] for at in range(0, len(request), 1000)]
    assert running.statuses(await running.exchange(ingress.address, *dripped)) == [431]


SMUGGLED = b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b" Transfer-Encoding: chunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
        b"X: y\rContent-Length: 5\r\n",
        b"Content-Length : 5\r\n",
    ],
)
async def test_ambiguous_framing_is_refused_and_nothing_after_it_is_read(
    ingress: running.RunningIngress, head: bytes
) -> None:
    request = b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n0\r\n\r\n" + SMUGGLED
    answer = await running.exchange(ingress.address, request)
    assert running.statuses(answer) == [400], answer
    assert b"malformed-request" in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GARBAGE\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhooks/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_400(ingress: running.RunningIngress, request_bytes: bytes) -> None:
    assert running.statuses(await running.exchange(ingress.address, request_bytes)) == [400]


async def test_pipelined_requests_are_answered_in_order(ingress: running.RunningIngress, tail: running.Tail) -> None:
    sent = [running.event() for _ in range(3)]
    requests = b"".join(running.raw_request(body) for _, body in sent)
    answer = await running.exchange(ingress.address, requests + b"BROKEN\r\n\r\n")
    assert running.statuses(answer) == [202, 202, 202, 400]
    for event_id, _ in sent:
        await tail.find(event_id)


async def test_an_upgrade_is_answered_as_plain_http_and_takes_no_body(ingress: running.RunningIngress) -> None:
    upgrade = b"Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    bare = b"GET /livez HTTP/1.1\r\n" + upgrade + b"\r\n"
    assert running.statuses(await running.exchange(ingress.address, bare)) == [200]
    with_body = b"POST /webhooks/stripe HTTP/1.1\r\n" + upgrade + b"Content-Length: 2\r\n\r\n{}"
    assert running.statuses(await running.exchange(ingress.address, with_body)) == [400]


async def test_expect_continue_is_asked_for_the_body(ingress: running.RunningIngress) -> None:
    _, body = running.event()
    head = running.raw_request(body, "Expect: 100-continue", "Connection: close")[: -len(body)]
    async with asyncio.timeout(5), running.connection(ingress.address) as (reader, writer):
        writer.write(head)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(body)
        assert running.statuses(await reader.read()) == [202]


async def test_one_canonical_line_a_request(ingress: running.RunningIngress, capsys: Any) -> None:
    import structlog

    with structlog.testing.capture_logs() as lines:
        _, body = running.event()
        await ingress.post(body, "/webhooks/stripe/acme?token=querysecret")
        await ingress.post(body, **running.signature(body, secret="whsec_x"))
        await running.until(lambda: sum(line["event"] == "request" for line in lines) == 2)
    taken, refused = [line for line in lines if line["event"] == "request"]
    assert taken["path"] == "/webhooks/{provider}/{account}"
    assert (taken["provider"], taken["account"], taken["outcome"]) == ("stripe", "acme", "accepted")
    assert (taken["events"], taken["bytes"], taken["status"]) == (1, len(body), 202)
    assert (refused["outcome"], refused["reason"], refused["status"]) == ("refused", "bad_signature", 401)
    assert "querysecret" not in json.dumps(lines)


def scraped(ingress: running.RunningIngress) -> dict[str, float]:
    """Return the samples that a scrape of the probe port gives, by name and labels."""
    text = metrics_page(ingress.probe).decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_refusals_are_counted_by_reason_and_senders_make_no_series(ingress: running.RunningIngress) -> None:
    before = scraped(ingress)
    _, forged = running.event()
    assert (await ingress.post(forged, **running.signature(forged, secret="whsec_other")))[0] == 401
    assert (await ingress.post(b"{}", "/webhooks/invented"))[0] == 404
    _, good = running.event()
    assert (await ingress.post(good))[0] == 202
    after = scraped(ingress)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown('ratchet_ingress_refusals_total{provider="stripe",reason="bad_signature"}') == 1
    assert grown('ratchet_ingress_events_total{durability="kafka",provider="stripe"}') == 1
    assert grown('ratchet_ingress_requests_total{outcome="refused",provider="none"}') == 1
    assert not any("invented" in name for name in after)
    async with aiohttp.ClientSession() as session, session.get(f"{ingress.url}/metrics") as answer:
        assert answer.status == 404, "figures are for the probe port alone"
