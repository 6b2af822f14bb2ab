"""One connection, or one address, against all others: what it can hold of memory, places and time."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import TYPE_CHECKING

import pytest
from ingress_process import MIB, Attacked, ingress, peak_rss, send_for
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.integration, pytest.mark.slow]

GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE_ANSWER = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
BARE = b"GET / HTTP/1.1\r\n\r\n"
UNREAD_SECONDS = 2


@pytest.fixture
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    bounds = {"INGRESS__WRITE_DEADLINE_SECONDS": str(UNREAD_SECONDS), "LOG__LEVEL": "warning"}
    with ingress(tmp_path_factory.mktemp("attacked"), **bounds) as running:
        yield running


@pytest.fixture
def many() -> Iterator[contextlib.ExitStack]:
    """Give a test what closes its connections."""
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("request_bytes", [GET, BARE], ids=["whole", "bare"])
def test_a_million_pipelined_requests_hold_less_than_16_mib(
    attacked: Attacked, record_figure: Callable[..., None], request_bytes: bytes
) -> None:
    before = attacked.rss()
    with attacked.connect() as sender:
        sent = send_for([sender], request_bytes * 5000, len(request_bytes) * 1_000_000, seconds=15)
        most = peak_rss(attacked, 1)
        assert attacked.lives()
    record_figure(sent_mib=sent / MIB, grown_mib=most - before)
    assert most - before < 16


def test_pipelined_requests_are_all_answered_in_order(attacked: Attacked) -> None:
    count = 2000
    with attacked.connect() as sender:
        sender.sendall(b"".join(b"GET /none-%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count - 1)))
        sender.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: sender.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 404 ") == count - 1
    assert answers.rpartition(b"HTTP/1.1 ")[2].startswith(b"200 ")


def test_forty_connections_that_read_nothing_are_closed_and_hold_little(
    attacked: Attacked, record_figure: Callable[..., None], many: contextlib.ExitStack
) -> None:
    before = attacked.rss()
    senders = [many.enter_context(attacked.connect()) for _ in range(40)]
    sent = send_for(senders, LARGE_ANSWER * 500, 5 * MIB, seconds=15)
    most = peak_rss(attacked, 1)
    connected = attacked.process.net_connections
    wait_until(
        lambda: not [one for one in connected() if one.status == "ESTABLISHED"], within_seconds=UNREAD_SECONDS * 10
    )
    record_figure(sent_mib=sent / MIB, grown_mib=most - before)
    assert most - before < 40


@pytest.mark.parametrize("field", [b"a:\r\n", b"a:" + b"x" * 60 + b"\r\n"], ids=["many", "long"])
def test_unfinished_heads_hold_no_more_than_their_bound(
    attacked: Attacked, record_figure: Callable[..., None], many: contextlib.ExitStack, field: bytes
) -> None:
    before = attacked.rss()
    head = b"GET /livez HTTP/1.1\r\nHost: a\r\n" + field * (64 * 1024 // len(field))
    for _ in range(200):
        sender = many.enter_context(attacked.connect())
        with contextlib.suppress(OSError):
            sender.sendall(head[: 63 * 1024])
    most = peak_rss(attacked, 1)
    assert attacked.lives()
    record_figure(grown_mib=most - before)
    assert most - before < 16


def test_trailers_without_end_are_refused(attacked: Attacked, record_figure: Callable[..., None]) -> None:
    before = attacked.rss()
    with attacked.connect() as sender:
        sender.sendall(b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: ")
        sent = send_for([sender], b"x" * MIB, 64 * MIB, seconds=5)
    most = peak_rss(attacked, 0.5)
    record_figure(sent_mib=sent / MIB, grown_mib=most - before)
    assert most - before < 16


def test_five_thousand_connections_of_one_address_leave_the_others_theirs(
    attacked: Attacked, record_figure: Callable[..., None], many: contextlib.ExitStack
) -> None:
    held = 0
    for _ in range(5000):
        with contextlib.suppress(OSError):
            many.enter_context(attacked.connect())
            held += 1
    seconds = []
    for _ in range(50):
        began = time.perf_counter()
        assert attacked.lives()
        seconds.append(time.perf_counter() - began)
    record_figure(held=held, median_ms=statistics.median(seconds) * 1000, slowest_ms=max(seconds) * 1000)
    open_ones = [one for one in attacked.process.net_connections() if one.status == "ESTABLISHED"]
    assert len(open_ones) <= 256 + 64, "one address has its share, and few refused ones linger"
