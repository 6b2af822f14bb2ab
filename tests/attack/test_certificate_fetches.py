"""A thousand forged requests that each name a certificate of PayPal's host: how often we ask that host."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from producers.ingress.certificates import Certificates
from producers.ingress.lines import CanonicalLines
from producers.ingress.rate_limits import RateLimits
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


class PayPalsHost:
    """Counts who is asked for what; knows no certificate that a stranger makes up, or has had enough of us."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked: Counter[str] = Counter()

    async def send(self, request: HttpRequest) -> HttpAnswer:
        self.asked[request.url] += 1
        return HttpAnswer(self.status, b"")


def forged(number: int, path: str) -> dict[str, Any]:
    headers = {
        "paypal-transmission-id": f"t{number}",
        "paypal-transmission-time": "2026-09-21T00:00:00Z",
        "paypal-transmission-sig": "AAAA",
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-cert-url": f"https://api.paypal.com{path}",
    }
    return {
        "type": "http",
        "method": "POST",
        "path": "/webhooks/paypal",
        "raw_path": b"/webhooks/paypal",
        "query_string": b"",
        "client": (f"192.0.2.{number % ADDRESSES}", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "state": {},
    }


async def post(webhooks: Webhooks, scope: dict[str, Any]) -> int:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await CanonicalLines(webhooks, 1)(scope, receive, send)
    return int(sent[0]["status"])


def webhooks_beside(host: PayPalsHost) -> tuple[Webhooks, Settings]:
    paypal = ProviderSettings(secrets=(SecretStr("0WH12345AB678901C"),))
    settings = Settings().model_copy(update={"providers": {"paypal": paypal}})
    certificates = Certificates(host, settings.ingress.certificates)
    rates = RateLimits(settings, RedisLink(RedisSettings()))
    none: Any = None  # nothing gets as far as a publisher or a queue of hints
    return Webhooks(settings, none, SystemClock(), certificates, rates, none), settings


@pytest.mark.parametrize("status", [404, TOO_MANY])
async def test_a_thousand_forgeries_make_few_calls(status: int, record_figure: Callable[..., None]) -> None:
    host = PayPalsHost(status)
    webhooks, settings = webhooks_beside(host)
    statuses: Counter[int] = Counter()
    for number in range(FORGED):
        path = f"/v1/notifications/certs/CERT-{number}"
        statuses[await post(webhooks, forged(number, path))] += 1
    calls = sum(host.asked.values())
    record_figure(forged=FORGED, calls=calls, refused_as_forged=statuses[401], told_to_come_again=statuses[503])
    assert statuses[202] == 0
    assert 0 < calls <= settings.ingress.certificates.fetches_a_minute_max


@pytest.mark.parametrize(
    "path",
    ["/../x", "//evil.com/x", "/v1/notifications/certs/../../x", "/v1/notifications/certs/a/b", "/v1/x?u=https://evil"],
)
async def test_a_path_under_which_no_certificate_stands_is_asked_for_by_nobody(path: str) -> None:
    host = PayPalsHost(404)
    webhooks, _ = webhooks_beside(host)
    assert await post(webhooks, forged(0, path)) == 401
    assert not host.asked
