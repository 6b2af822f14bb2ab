"""What strangers leave behind: who asked is named, malformed bytes make no traceback, and quotas hold before work."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
import running_ingress as signed
from ingress_process import Attacked, ingress
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.slow]

QUOTA = 20
SECRET = "whsec_0123456789abcdef01234567"
KEY = "sk_shop_0123456789abcdef"


@pytest.fixture
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    settings = {"LIMITS__UNVERIFIED_REQUESTS_MAX": str(QUOTA), "API_KEYS": f'{{"shop": "{KEY}"}}'}
    with ingress(tmp_path_factory.mktemp("attacked"), **settings) as running:
        yield running


def answer(attacked: Attacked, request: bytes, sender: str = "127.0.0.1") -> int:
    """Send what there is of a request; return the status, without waiting for the end."""
    with attacked.connect(sender) as connection:
        connection.settimeout(20)
        connection.sendall(request)
        return int(connection.recv(64)[9:12])


def webhook(body: bytes, headers: dict[str, str], length: int | None = None) -> bytes:
    head = ["POST /webhooks/stripe HTTP/1.1", "Host: a", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode() + body


def asked(key: str) -> bytes:
    return (
        f"POST /payment-intents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_malformed_chunks_make_one_line_each_and_no_failure(attacked: Attacked) -> None:
    before = attacked.log.stat().st_size
    for _ in range(200):
        with attacked.connect() as connection:
            connection.sendall(b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZ")
            connection.shutdown(socket.SHUT_WR)
            answered = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answered.startswith(b"HTTP/1.1 400 ")
        assert answered.count(b"HTTP/1.1 ") == 1
    wait_until(lambda: attacked.log.read_text().count('"event":"request"') >= 200)
    assert "Traceback" not in attacked.log.read_text()
    assert {line["outcome"] for line in attacked.lines() if line.get("event") == "request"} <= {"refused", "answered"}
    assert attacked.log.stat().st_size - before < 200 * 1000


def test_an_address_over_its_quota_is_answered_before_a_large_body_is_read(attacked: Attacked) -> None:
    forged = webhook(b"{}", {"Stripe-Signature": f"t={int(time.time())},v1=00"})
    statuses = [answer(attacked, forged) for _ in range(QUOTA + 5)]
    assert set(statuses[:QUOTA]) == {401}
    assert set(statuses[-3:]) == {429}
    began = time.monotonic()
    assert answer(attacked, webhook(b"", {"Stripe-Signature": "t=1,v1=00"}, length=1024 * 1024)) == 429
    assert time.monotonic() - began < 5, "the body was not waited for"
    _, small = signed.event()
    assert answer(attacked, webhook(small, signed.signature(small, SECRET))) == 503, "genuine: only storage is away"
    _, large = signed.event(size=100_000)
    elsewhere = answer(attacked, webhook(large, signed.signature(large, SECRET)), sender="127.0.0.7")
    assert elsewhere == 503
    assert answer(attacked, webhook(large, signed.signature(large, SECRET))) == 503, "it has sent something genuine"


def test_wrong_keys_are_counted_limited_and_named(attacked: Attacked) -> None:
    statuses = [answer(attacked, asked(f"sk_none_{number:016}")) for number in range(QUOTA + 5)]
    assert set(statuses[:QUOTA]) == {401}
    assert set(statuses[-3:]) == {429}
    assert answer(attacked, asked(KEY)) == 400, "the right key is known, whatever the address; only its key is missing"
    wait_until(lambda: attacked.log.read_text().count('"event":"request"') >= QUOTA + 6)
    lines = [line for line in attacked.lines() if line.get("path") == "/payment-intents"]
    assert {line["sender"] for line in lines} == {"127.0.0.1"}
    assert lines[-1]["client"] == "shop"
