"""A thousand forged requests that each name a certificate of PayPal's host: how often we ask that host."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from producers.ingress.access_log import AccessLog
from producers.ingress.clock_check import ClockCheck
from producers.ingress.publishing.publisher import Durability
from producers.ingress.rate_limits import RateLimits
from producers.ingress.verification.certificates import Certificates
from producers.ingress.webhooks import Webhooks
from runtime.clock import SystemClock
from runtime.http import HttpAnswer, HttpRequest
from runtime.redis import RedisLink
from runtime.settings import ProviderSettings, RedisSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

FORGED = 1000
ADDRESSES = 4
TOO_MANY = 429
VECTORS = Path(__file__).parent.parent / "contract" / "vectors" / "paypal.json"
GENUINE = next(
    one for one in json.loads(VECTORS.read_text())["cases"] if one["name"] == "event_payment_capture_completed"
)
((GENUINE_URL, PEM),) = GENUINE["config"]["certs"].items()


class PayPalsHost:
    """Counts who is asked for what; knows no certificate that a stranger makes up, or has had enough of us."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked: Counter[str] = Counter()
        self.rotated = GENUINE_URL

    async def send(self, request: HttpRequest) -> HttpAnswer:
        self.asked[request.url] += 1
        genuine = request.url in {GENUINE_URL, self.rotated}
        return HttpAnswer(200, PEM.encode()) if genuine else HttpAnswer(self.status, b"")


class GenuineTime:
    """The time at which the genuine delivery came."""

    def now(self) -> float:
        return float(GENUINE["now"])


class Taken:
    """Takes what is published."""

    async def publish(self, records: Any) -> Durability:
        assert records
        return Durability.KAFKA


def forged(number: int, path: str, address: str | None = None) -> dict[str, Any]:
    headers = {
        "paypal-transmission-id": f"t{number}",
        "paypal-transmission-time": "2026-09-21T00:00:00Z",
        "paypal-transmission-sig": "AAAA",
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-cert-url": f"https://api.paypal.com{path}",
    }
    return asked(headers, address or f"192.0.2.{number % ADDRESSES}")


def asked(headers: dict[str, str], address: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": "/webhooks/paypal",
        "raw_path": b"/webhooks/paypal",
        "query_string": b"",
        "client": (address, 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "state": {},
    }


async def post(webhooks: Webhooks, scope: dict[str, Any], body: bytes = b"{}") -> tuple[int, dict[bytes, bytes]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await AccessLog(webhooks, 1)(scope, receive, send)
    return int(sent[0]["status"]), dict(sent[0]["headers"])


def webhooks_beside(host: PayPalsHost, roots: Path | None = None) -> tuple[Webhooks, Settings]:
    paypal = ProviderSettings(secrets=(SecretStr(GENUINE["secrets"][0]),), trust_roots=roots)
    settings = Settings().model_copy(update={"providers": {"paypal": paypal}})
    certificates = Certificates(host, settings.ingress.certificates)
    rates = RateLimits(settings, RedisLink(RedisSettings()))
    publisher: Any = Taken()
    none: Any = None  # nothing gets as far as a queue of hints
    clock = SystemClock() if roots is None else GenuineTime()
    return Webhooks(settings, publisher, ClockCheck(clock), certificates, rates, none), settings


@pytest.mark.parametrize("status", [404, TOO_MANY])
async def test_a_thousand_forgeries_make_few_calls(status: int, record_figure: Callable[..., None]) -> None:
    host = PayPalsHost(status)
    webhooks, settings = webhooks_beside(host)
    statuses: Counter[int] = Counter()
    for number in range(FORGED):
        path = f"/v1/notifications/certs/CERT-{number}"
        statuses[(await post(webhooks, forged(number, path)))[0]] += 1
    calls = sum(host.asked.values())
    record_figure(
        forged=FORGED, calls=calls, refused_as_forged=statuses[401], over_their_share=statuses[TOO_MANY],
        asked_to_come_again=statuses[503],
    )  # fmt: skip
    assert statuses[202] == 0
    bounds = settings.ingress.certificates
    assert 0 < calls <= min(bounds.fetches_a_minute_max, ADDRESSES * bounds.fetches_per_address_a_minute_max)


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    file = tmp_path / "roots.pem"
    file.write_text("".join(GENUINE["config"]["trust_roots"]))
    return file


async def deliver(webhooks: Webhooks, address: str, certificate: str = GENUINE_URL) -> int:
    """Deliver the genuine event; what names its certificate is not signed."""
    headers = {name: certificate if value == GENUINE_URL else value for name, value in GENUINE["headers"].items()}
    status, _ = await post(webhooks, asked(headers, address), base64.b64decode(GENUINE["body_base64"]))
    return status


@pytest.mark.parametrize(
    ("addresses", "elsewhere"),
    [(["192.0.2.1"], "192.0.2.2"), ([f"2001:db8:0:1::{number:x}" for number in range(100)], "2001:db8:0:2::1")],
    ids=["an IPv4 address", "an IPv6 site"],
)
async def test_one_address_spends_its_own_share_alone(
    roots: Path, record_figure: Callable[..., None], addresses: list[str], elsewhere: str
) -> None:
    host = PayPalsHost(404)
    webhooks, settings = webhooks_beside(host, roots)
    share = settings.ingress.certificates.fetches_per_address_a_minute_max
    answers: Counter[int] = Counter()
    for number in range(100):
        path = f"/v1/notifications/certs/CERT-{number}"
        status, fields = await post(webhooks, forged(number, path, addresses[number % len(addresses)]))
        answers[status] += 1
    record_figure(forged=100, calls=sum(host.asked.values()), over_its_share=answers[TOO_MANY])
    assert sum(host.asked.values()) == share
    assert answers == {401: share, TOO_MANY: 100 - share}
    assert fields[b"retry-after"] == b"60"
    assert await deliver(webhooks, elsewhere) == 202, "whose certificate was not known yet"
    assert host.asked[GENUINE_URL] == 1
    assert await deliver(webhooks, addresses[0]) == 202, "what is known costs nobody's share"
    assert sum(host.asked.values()) == share + 1


@pytest.mark.parametrize(
    "path",
    ["/../x", "//evil.com/x", "/v1/notifications/certs/../../x", "/v1/notifications/certs/a/b", "/v1/x?u=https://evil"],
)
async def test_a_path_under_which_no_certificate_stands_is_asked_for_by_nobody(path: str) -> None:
    host = PayPalsHost(404)
    webhooks, _ = webhooks_beside(host)
    assert (await post(webhooks, forged(0, path)))[0] == 401
    assert not host.asked


@pytest.mark.parametrize("status", [404, TOO_MANY])
async def test_a_rotated_certificate_of_a_proven_sender_is_fetched_beside_forgeries_of_many_addresses(
    roots: Path, record_figure: Callable[..., None], status: int
) -> None:
    """Strangers at a hundred addresses spend all that is theirs, then PayPal's certificate is a new one."""
    host = PayPalsHost(status)
    webhooks, settings = webhooks_beside(host, roots)
    bounds = settings.ingress.certificates
    assert await deliver(webhooks, "198.51.100.1") == 202
    host.rotated = GENUINE_URL + "-rotated"
    answers: Counter[int] = Counter()
    for number in range(FORGED):
        path = f"/v1/notifications/certs/CERT-{number}"
        answers[(await post(webhooks, forged(number, path, f"203.0.113.{number % 100}")))[0]] += 1
    fetched_in_vain = sum(host.asked.values()) - 1
    assert await deliver(webhooks, "203.0.113.200", host.rotated) == 503, "a stranger is asked to come again"
    statuses = [await deliver(webhooks, "198.51.100.1", host.rotated) for _ in range(3)]
    record_figure(forged=FORGED, fetched_in_vain=fetched_in_vain, genuine_taken=statuses.count(202))
    assert answers[202] == 0
    assert 0 < fetched_in_vain <= bounds.fetches_a_minute_max * (1 - bounds.proven_share)
    assert statuses == [202] * 3
    assert host.asked[host.rotated] == 1
