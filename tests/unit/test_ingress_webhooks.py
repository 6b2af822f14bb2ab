"""One webhook from its body to its answer: which bound, place and quota it costs, also where something fails."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import pytest
from asgi_calls import Reply, ask
from pydantic import SecretStr
from waiting import until

from producers.ingress import app as ingress_app
from producers.ingress.clock_check import ClockCheck
from producers.ingress.hints import TOO_MANY_WAIT
from producers.ingress.publishing.publisher import Durability
from producers.ingress.rate_limits import RateLimits
from producers.ingress.verification.certificates import Certificates
from producers.ingress.webhooks import Webhooks
from runtime.health import Probe
from runtime.http import HttpUnavailableError
from runtime.redis import RedisLink
from runtime.settings import (
    AccountSettings,
    CertificateSettings,
    IngressSettings,
    LimitSettings,
    ProviderSettings,
    RedisSettings,
    Settings,
)
from schemas.errors import UnavailableError
from tests.unit.test_ingress_certificates import ROOT, URL, Host

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.unit

SECRET = "whsec_0123456789abcdef"
FORM = "application/x-www-form-urlencoded"
NOW = 1_700_000_000.0
STRIPE = ProviderSettings(
    secrets=(SecretStr(SECRET),),
    body_bytes_max=400,
    accounts={"small": AccountSettings(secrets=(SecretStr(SECRET),), body_bytes_max=100)},
)


class PaperPublisher:
    """Takes what it is given a moment later, or fails; may be held."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, records: Sequence[Any]) -> Durability:
        await asyncio.sleep(0)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.taken += records
        return Durability.KAFKA


class PaperHints:
    """Answers what the test says, a moment later."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.taken = 0

    async def take(self, *_: Any) -> Any:
        await asyncio.sleep(0)
        self.taken += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Held:
    """A clock that stands still."""

    def now(self) -> float:
        return NOW


class OnPaper:
    """The endpoint with all that is behind it on paper."""

    def __init__(self, providers: dict[str, ProviderSettings], limits: dict[str, int], **ingress: Any) -> None:
        settings = Settings().model_copy(
            update={
                "providers": providers,
                "ingress": IngressSettings(**{"in_flight_wait_seconds": 0.01, **ingress}),
                "limits": LimitSettings(**limits),
            }
        )
        self.publisher, self.hints, self.clocks = PaperPublisher(), PaperHints(), ClockCheck(Held())
        self.rates = RateLimits(settings, RedisLink(RedisSettings()))
        self.host = Host(HttpUnavailableError("away"))
        certificates = Certificates(self.host, CertificateSettings(breaker_failures_max=100))
        parts: Any = (self.publisher, self.clocks, certificates, self.rates, self.hints)
        self.app = Webhooks(settings, *parts)

    async def post(self, number: int = 0, size: int = 0, path: str = "/webhooks/stripe", at: float = NOW) -> Reply:
        """Post a genuine event of Stripe."""
        body = b'{"id":"evt_%d","type":"x","pad":"' % number
        body += b"." * (size - len(body) - 2) + b'"}'
        return await ask(self.app, path, body, **signed(body, at))


def signed(body: bytes, at: float = NOW, secret: str = SECRET) -> dict[str, Any]:
    digest = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe_signature": f"t={int(at)},v1={digest}", "content_length": str(len(body))}


def stripe(limits: dict[str, int] | None = None, **ingress: Any) -> OnPaper:
    return OnPaper({"stripe": STRIPE}, limits or {}, **ingress)


async def test_what_fails_gives_its_place_back() -> None:
    paper = stripe(in_flight_max=2)
    paper.publisher.failure = UnavailableError("away")
    for number in range(5):
        reply = await paper.post(number)
        assert (reply.status, reply.line.reason, reply.headers[b"retry-after"]) == (503, "not_durable", b"2")
    paper.publisher.failure = RuntimeError("nobody foresaw it")
    for number in range(5):
        with pytest.raises(RuntimeError):
            await paper.post(number)
    paper.publisher.failure = None
    assert [(await paper.post(number)).status for number in range(5)] == [202] * 5
    assert paper.app._in_flight.free == 2


async def test_who_leaves_while_it_is_published_gives_its_place_back() -> None:
    paper = stripe(in_flight_max=1)
    paper.publisher.open.clear()
    leaving = asyncio.create_task(paper.post(1))
    await until(lambda: paper.app._in_flight.free == 0, "it has the place", 10)
    assert (await paper.post(2)).line.reason == "in_flight_full"
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    paper.publisher.open.set()
    assert (await paper.post(3)).status == 202


async def test_large_bodies_have_places_of_their_own() -> None:
    paper = OnPaper(
        {"stripe": ProviderSettings(secrets=(SecretStr(SECRET),))},
        {},
        large_bodies_max=1,
        in_flight_max=9,
        body_bytes_unreserved=10,
    )
    slow = asyncio.create_task(ask(paper.app, "/webhooks/stripe", b"x" * 11, hangs=True))
    await until(lambda: paper.app._large_bodies.free == 0, "it has the place", 10)
    reply = await ask(paper.app, "/webhooks/stripe", b"x" * 11, b"y", **signed(b"x" * 11 + b"y"))
    assert (reply.status, reply.line.reason) == (503, "large_bodies_full")
    assert (await ask(paper.app, "/webhooks/stripe", b"x", b"y", **signed(b"xy"))).status == 202
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    reply = await ask(paper.app, "/webhooks/stripe", b"x" * 11, b"y", **signed(b"x" * 11 + b"y"))
    assert (reply.status, paper.app._large_bodies.free) == (202, 1)


@pytest.mark.parametrize(("path", "most"), [("/webhooks/stripe", 400), ("/webhooks/stripe/small", 100)])
@pytest.mark.parametrize("spent", [False, True])
async def test_a_body_is_bounded_by_its_endpoint_whatever_its_address_has_spent(
    path: str, most: int, *, spent: bool
) -> None:
    paper = stripe({"unverified_requests_max": 1})
    if spent:
        for _ in range(2):
            await ask(paper.app, path, b"{}")
    assert (await paper.post(1, most, path)).status == 202
    if spent:
        paper.rates._proven.clear()
    over = await paper.post(2, most + 1, path)
    assert (over.status, over.line.reason) == ((429, "quota_exceeded_unread") if spent else (413, "body_too_large"))
    assert len(paper.publisher.taken) == 1


async def test_an_outage_of_the_proof_costs_no_more_than_the_question(tmp_path: Path) -> None:
    """Who asks is counted; that the host is away is not its fault."""
    roots = tmp_path / "roots.pem"
    roots.write_text(ROOT)
    paper = OnPaper({"paypal": ProviderSettings(secrets=("id",), trust_roots=roots)}, {"unverified_requests_max": 3})
    reply = [await ask(paper.app, "/webhooks/paypal", b"{}", paypal_cert_url=URL) for _ in range(4)]
    assert [one.line.reason for one in reply] == ["proof_unavailable"] * 3 + ["quota_exceeded"]
    assert [one.status for one in reply] == [503] * 3 + [429]
    assert len(paper.host.asked) == 3


@pytest.mark.parametrize("ahead", [600.0, -600.0])
async def test_what_is_in_time_by_the_other_clock_is_asked_to_come_again(ahead: float) -> None:
    paper = stripe()
    assert (await paper.post(at=NOW + ahead)).status == 401, "nobody has looked at the other clock"
    paper.clocks.look(NOW, NOW + ahead, NOW)
    reply = await paper.post(at=NOW + ahead)
    assert (reply.status, reply.line.reason) == (503, "clock_wrong")
    assert paper.clocks.unready() is not None
    assert (await paper.post(at=NOW - ahead)).status == 401
    assert paper.publisher.taken == []


async def test_it_is_shared_once_that_an_address_has_proven_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round trip to Redis for each webhook would cost more than the webhook."""
    paper, reply = stripe(), []

    async def share(*who: Any) -> None:
        await asyncio.sleep(0)
        reply.append(who)

    monkeypatch.setattr(paper.rates, "share_proven", share)
    for number in range(3):
        assert (await paper.post(number)).status == 202
    assert reply == [("192.0.2.1", ())]


def hinting(**limits: int) -> OnPaper:
    mpesa = ProviderSettings(secrets=(SecretStr("u7Jq2mX9cVb4RkTz8WpLn5Hs"),))
    mollie = ProviderSettings(secrets=(SecretStr("mollie-secret-0123456789"),))
    return OnPaper({"mpesa": mpesa, "mollie": mollie}, limits)


async def hint(paper: OnPaper, number: int = 1) -> Reply:
    return await ask(paper.app, "/webhooks/mollie", b"id=tr_%d" % number, content_type=FORM)


async def test_a_hint_that_was_not_queued_is_no_success() -> None:
    paper = hinting()
    paper.hints.answer = UnavailableError("away")
    reply = await hint(paper)
    assert (reply.status, reply.line.reason, reply.headers[b"retry-after"]) == (503, "not_durable", b"2")
    paper.hints.answer = TOO_MANY_WAIT
    reply = await hint(paper)
    assert (reply.status, reply.line.reason, reply.headers[b"retry-after"]) == (429, "refetches_full", b"60")
    paper.hints.answer = None
    reply = await hint(paper)
    assert (reply.status, reply.line.durability) == (202, "refetches")


async def test_what_anybody_can_send_has_a_quota_and_what_carries_a_secret_has_none() -> None:
    paper = hinting(unsigned_requests_max=2, unverified_requests_max=9)
    assert [(await hint(paper, number)).status for number in range(4)] == [202, 202, 429, 429]
    path = "/webhooks/mpesa/u7Jq2mX9cVb4RkTz8WpLn5Hs"
    assert {(await ask(paper.app, path, b'{"TransID":"A%d"}' % number)).status for number in range(4)} == {202}
    forged = [(await ask(paper.app, "/webhooks/mpesa/wrong", b"{}")).status for _ in range(2)]
    assert forged == [401, 401], "hints cost nothing of the quota of forgeries"


async def test_the_connections_of_hints_are_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of hints must not hold up intents."""
    made: list[Any] = []

    class StoppedError(Exception):
        """What is built is all that is looked at."""

    def build(*parts: Any) -> Any:
        made.extend(parts)
        raise StoppedError

    monkeypatch.setattr(ingress_app, "build_app", build)
    settings = Settings().model_copy(update={"ingress": IngressSettings(hint_connections_max=3)})
    opened: list[dict[str, Any]] = []

    class PaperTransactions:
        def __init__(self, _: Settings, **more: Any) -> None:
            opened.append(more)
            self.more = more

    monkeypatch.setattr(ingress_app, "Transactions", PaperTransactions)
    monkeypatch.setattr(ingress_app, "Publisher", lambda *_: None)
    with pytest.raises(StoppedError):
        await ingress_app.serve(settings, asyncio.Event(), Probe("ingress"))
    *_, transactions, _, hints = made
    assert (transactions.more, hints._transactions.more) == ({}, {"role": "ingress hints", "connections": 3})
