"""One request to the intents API: its quota, its place, its bounds, and what it answers, also where something fails."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from asgi_calls import Reply, ask
from pydantic import SecretStr
from waiting import until

from producers.ingress.intents.handler import Intents
from producers.ingress.intents.idempotency import IN_PROGRESS, StoredAnswer
from producers.ingress.intents.references import PaymentReference
from producers.ingress.rate_limits import RateLimits
from runtime.redis import RedisLink
from runtime.settings import IngressSettings, IntentsSettings, LimitSettings, ProviderSettings, RedisSettings, Settings
from schemas.errors import UnavailableError
from schemas.intent_answers import Moment
from tests.unit.test_intents_payment_view import NOW, RECORDED

if TYPE_CHECKING:
    from producers.ingress.intents.bodies import ParsedCommand
    from producers.ingress.intents.queued import Asking

pytestmark = pytest.mark.unit

KEY = "sk_shop_0123456789abcdef"
ID = UUID(int=1)
INTENT = {"amount": 100, "currency": "EUR", "provider": "adyen"}
MOMENT = Moment(
    source="s",
    event_id="e",
    event_type="t",
    outcome="noop",
    from_status=None,
    to_status=None,
    amount=None,
    version=1,
    occurred_at=None,
    recorded_at=NOW,
)


class PaperRecords:
    """Makes and finds what the test says, a moment later; may be held."""

    def __init__(self) -> None:
        self.made: list[ParsedCommand] = []
        self.asked: list[Asking] = []
        self.looked: list[tuple[Any, ...]] = []
        self.found: Any = RECORDED
        self.away = False
        self.answer: Any = StoredAnswer(ID, b"{}")
        self.payments = self.moments_there = 0
        self.open = asyncio.Event()
        self.open.set()

    async def make(self, asking: Asking, parsed: ParsedCommand) -> Any:
        await asyncio.sleep(0)
        await self.open.wait()
        self.made.append(parsed)
        self.asked.append(asking)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def find(self, *names: Any) -> Any:
        await self._look(names)
        return self.found

    async def find_by_reference(self, *names: Any) -> Any:
        await self._look(names)
        return [RECORDED] * self.payments

    async def _look(self, names: tuple[Any, ...]) -> None:
        await asyncio.sleep(0)
        self.looked.append(names)
        if self.away:
            raise UnavailableError("away")

    async def moments(self, payment_id: UUID) -> Any:
        await self._look((payment_id,))
        return [MOMENT] * self.moments_there


class Held:
    """A clock that stands still."""

    def now(self) -> float:
        return dt.datetime(2026, 11, 28, tzinfo=dt.UTC).timestamp()


class Api:
    """The interface with all that is behind it on paper."""

    def __init__(
        self, *, intents: dict[str, Any] | None = None, ingress: dict[str, Any] | None = None, **limits: int
    ) -> None:
        adyen = ProviderSettings.model_validate(
            {"secrets": ["aabb"], "merchant_accounts": ["AcmeShop"], "mode": "test"}
        )
        settings = Settings().model_copy(
            update={
                "api_keys": {"shop": (SecretStr(KEY),)},
                "providers": {"adyen": adyen},
                "limits": LimitSettings(**limits),
                "intents": IntentsSettings(**{"in_flight_wait_seconds": 0.01, **(intents or {})}),
                "ingress": IngressSettings(**{"in_flight_wait_seconds": 0.01, **(ingress or {})}),
            }
        )
        self.records = PaperRecords()
        rates = RateLimits(settings, RedisLink(RedisSettings()))
        self.app = Intents(settings, self.records, Held(), rates)  # type: ignore[arg-type]

    async def create(self, *parts: bytes, key: str = KEY, hangs: bool = False, **more: str) -> Reply:
        fields = {"authorization": f"Bearer {key}", "idempotency_key": str(UUID(int=7)), **more}
        body = parts or (json.dumps(INTENT).encode(),)
        return await ask(self.app, "/payment-intents", *body, hangs=hangs, **fields)

    async def look(self, path: str) -> Reply:
        return await ask(self.app, path, method="GET", authorization=f"Bearer {KEY}")

    async def get(self, path: str) -> Any:
        reply = await self.look(path)
        assert reply.status == 200
        return json.loads(reply.body)


async def test_guessing_at_keys_costs_the_quota_of_forgeries() -> None:
    api = Api(unverified_requests_max=2)
    reply = [await api.create(key="sk_guess_0123456789abcdef") for _ in range(4)]
    assert [one.status for one in reply] == [401, 401, 429, 429]
    assert b"retry-after" in reply[-1].headers
    assert (await api.create()).status == 202, "who is known has another quota"


async def test_guesses_through_a_trusted_proxy_cost_the_one_who_guesses() -> None:
    """Or one that guesses takes the quota of all who come through it."""
    api = Api(unverified_requests_max=1, ingress={"trusted_proxies": ("192.0.2.0/24",)})
    wrong = "sk_guess_0123456789abcdef"
    reply = [await api.create(key=wrong, x_forwarded_for="198.51.100.7") for _ in range(2)]
    assert [one.status for one in reply] == [401, 429]
    assert (await api.create(key=wrong, x_forwarded_for="198.51.100.8")).status == 401


async def test_what_is_recorded_is_of_who_asked_under_which_key_and_when() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    api = Api()
    reply = await api.create(traceparent=trace)
    (asking,) = api.records.asked
    assert (asking.client, asking.idempotency_key, asking.received_at) == ("shop", UUID(int=7), Held().now())
    assert asking.traceparent == trace
    assert reply.line.client == "shop"


async def test_a_timeline_is_of_the_clients_own_payment_as_what_it_became() -> None:
    api, merged = Api(), UUID(int=9)
    assert (await api.get(f"/payment-intents/{merged}/timeline"))["id"] == str(ID)
    assert api.records.looked == [("shop", merged), (ID,)]
    api.records.found = None
    for tail in ("", "/timeline"):
        assert (await api.look(f"/payment-intents/{merged}{tail}")).status == 404
    assert api.records.looked[2:] == [("shop", merged)] * 2, "nothing is read of what is not the client's"


async def test_whatever_is_asked_for_while_postgres_is_away_may_come_again() -> None:
    api = Api()
    api.records.away = True
    for path in (f"/payment-intents/{ID}", f"/payment-intents/{ID}/timeline", "/payments?reference=order-1"):
        reply = await api.look(path)
        assert (reply.status, reply.headers[b"retry-after"], reply.line.reason) == (503, b"2", "not_durable"), path


async def test_an_answer_says_where_its_payment_is_beside_what_is_left_of_the_quota() -> None:
    api = Api(requests_max=5)
    reply = await api.create()
    assert reply.headers[b"location"] == f"/payment-intents/{ID}".encode()
    assert reply.headers[b"ratelimit"].startswith(b'"default";r=4;')
    away = await ask(api.app, "/payment-intents", b"x", authorization=f"Bearer {KEY}", content_type="text/plain",
                     idempotency_key=str(UUID(int=7)))  # fmt: skip
    assert (away.status, away.headers[b"accept"], b"ratelimit" in away.headers) == (415, b"application/json", True)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json; charset=utf-8", 202),
        ("Application/JSON", 202),
        ("application/json ;charset=UTF-8", 202),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
async def test_a_body_is_json_however_its_kind_is_written(kind: str, status: int) -> None:
    assert (await Api().create(content_type=kind)).status == status


async def test_a_large_body_gives_its_place_back_however_it_ends() -> None:
    api = Api(intents={"large_bodies_max": 1}, ingress={"body_bytes_unreserved": 10})
    large = json.dumps(INTENT).encode()
    stood = StoredAnswer(ID, b"{}", replayed=True)
    for answer, status in ((stood, 202), (UnavailableError("away"), 503), (IN_PROGRESS, 409), (stood, 202)):
        api.records.answer = answer
        assert (await api.create(large[:20], large[20:])).status == status
        assert api.app._large_bodies.free == 1


async def test_what_fails_gives_its_place_back() -> None:
    api = Api(intents={"in_flight_max": 2})
    api.records.answer = UnavailableError("away")
    for _ in range(5):
        reply = await api.create()
        assert (reply.status, reply.headers[b"retry-after"]) == (503, b"2")
    api.records.answer = KeyError("nobody foresaw it")
    for _ in range(5):
        with pytest.raises(KeyError):
            await api.create()
    api.records.answer = StoredAnswer(ID, b"{}")
    assert [(await api.create()).status for _ in range(5)] == [202] * 5


async def test_who_is_gone_gives_its_place_back() -> None:
    """The server cancels what is under way when it stops, and whoever waits for a place then gets it."""
    api = Api(intents={"in_flight_max": 1, "in_flight_wait_seconds": 60})
    api.records.open.clear()
    first, second = asyncio.create_task(api.create()), asyncio.create_task(api.create())
    await until(lambda: len(api.app._in_flight._waiting) == 1, "one has the place, one waits for it", 10)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    api.records.open.set()
    assert (await asyncio.wait_for(second, 10)).status == 202
    assert (api.app._in_flight.free, len(api.records.made)) == (1, 1)


async def test_its_places_are_its_own() -> None:
    """A flood of webhooks has other bounds: intents have the connections of Postgres for so many."""
    api = Api(intents={"in_flight_max": 1}, ingress={"in_flight_max": 9, "in_flight_wait_seconds": 60})
    api.records.open.clear()
    first = asyncio.create_task(api.create())
    await until(lambda: api.app._in_flight.free == 0, "it has the place", 10)
    reply = await asyncio.wait_for(api.create(), 10)
    assert (reply.status, reply.line.reason) == (503, "temporary_reduced_capacity")
    api.records.open.set()
    assert (await first).status == 202


async def test_its_large_bodies_have_places_of_their_own() -> None:
    api = Api(intents={"large_bodies_max": 1, "in_flight_max": 9}, ingress={"body_bytes_unreserved": 10})
    slow = asyncio.create_task(api.create(b"{" + b" " * 20, hangs=True))
    await until(lambda: api.app._large_bodies.free == 0, "it has the place", 10)
    assert (await api.create(b"{" + b" " * 20, b"}")).status == 503
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    assert (await api.create(b"{" + b" " * 20, b"}")).status == 422


async def test_its_bodies_have_a_bound_of_their_own() -> None:
    api = Api(intents={"body_bytes_max": 100}, ingress={"body_bytes_max": 10_000})
    assert (await api.create(b"{" + b" " * 98 + b"}")).status == 422
    assert (await api.create(b"{" + b" " * 99 + b"}")).status == 413
    assert (await api.create(b"", content_length="101")).status == 413


async def test_what_an_intent_leaves_out_is_filled_in_before_it_is_recorded() -> None:
    api = Api()
    assert (await api.create()).status == 202
    (parsed,) = api.records.made
    body: Any = parsed.body
    assert (body.merchant_account, body.livemode, body.provider) == ("AcmeShop", False, "adyen")


async def test_a_copy_of_what_is_under_way_may_come_again_soon() -> None:
    api = Api()
    api.records.answer = IN_PROGRESS
    reply = await api.create()
    assert (reply.status, reply.headers[b"retry-after"]) == (409, b"2")


async def test_a_record_that_stood_already_is_marked_so() -> None:
    api = Api()
    first = await api.create()
    api.records.answer = StoredAnswer(ID, b"{}", replayed=True)
    again = await api.create()
    assert (first.line.outcome, first.line.events, again.line.outcome, again.line.events) == (
        "accepted",
        1,
        "replayed",
        0,
    )
    assert (b"idempotent-replayed" in first.headers, again.headers[b"idempotent-replayed"]) == (False, b"true")


@pytest.mark.parametrize("there", [0, 2, 3, 4, 5])
async def test_it_says_whether_all_there_is_is_shown(there: int) -> None:
    api = Api(intents={"payments_found_max": 2, "timeline_rows_max": 4})
    api.records.payments = api.records.moments_there = there
    found = await api.get("/payments?reference=order-1")
    assert (len(found["payments"]), found["complete"]) == (min(there, 2), there <= 2)
    timeline = await api.get(f"/payment-intents/{ID}/timeline")
    assert (len(timeline["timeline"]), timeline["complete"]) == (min(there, 4), there <= 4)


@pytest.mark.parametrize(
    ("query", "reference"),
    [
        ("reference=order+1%2F2", PaymentReference(reference="order 1/2")),
        ("reference=%C3%A9", PaymentReference(reference="é")),
        ("provider_ref=pi_1", PaymentReference(provider_ref="pi_1")),
        (f"id={str(ID).upper()}", PaymentReference(id=ID)),
        (f"provider_ref={'a' * 255}", PaymentReference(provider_ref="a" * 255)),
    ],
)
async def test_a_search_is_for_the_clients_own_under_the_name_that_is_given(
    query: str, reference: PaymentReference
) -> None:
    api = Api()
    await api.get(f"/payments?{query}")
    assert api.records.looked == [("shop", reference)]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "reference=",
        "reference=a&id=b",
        "reference=a&reference=b",
        "reference=%00",
        "id=1",
        "other=a",
        "reference=%ff",
    ],
)
async def test_a_query_that_names_not_one_thing_is_refused(query: str) -> None:
    reply = await ask(Api().app, f"/payments?{query}", method="GET", authorization=f"Bearer {KEY}")
    assert (reply.status, reply.line.reason) == (400, "invalid_query")


async def test_what_a_client_reads_costs_nothing_of_what_it_may_make() -> None:
    api = Api(requests_max=1)
    assert [(await api.create()).status for _ in range(2)] == [202, 429]
    paths = (f"/payment-intents/{ID}", f"/payment-intents/{ID}/timeline", "/payments?reference=order-1")
    assert [(await api.look(path)).status for path in paths * 2] == [200] * 3 + [429] * 3
