"""One account's API under pace, breaker and token, against a server that plays the provider."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from outside import Outside, intent, mollie_payment, outside, stk_answer
from pydantic import SecretStr

from consumer.dispatcher.apis import Absent, Again, Answered, Api, CallRateLimiter, Refused, open_apis, outcome_of
from consumer.dispatcher.lists import Lists, lists_of
from providers.core.recall import Page, PageAsked
from providers.core.refetch import Fetched, Gone, Later
from runtime.http import HttpAnswer, HttpClient, HttpUnavailableError
from runtime.settings import AccountSettings, HttpSettings, ProviderSettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

NOW = 1_790_000_300.0
PUSH = "ws_CO_1"


@pytest.fixture
async def world() -> AsyncIterator[Outside]:
    async with outside() as open_world:
        yield open_world


def settings_for(world: Outside, **more: Any) -> Settings:
    def account(key: str, **fields: Any) -> dict[str, Any]:
        return {"api_key": SecretStr(key), "api_base_url": world.url + "/", **fields}

    mpesa = {"api_secret": SecretStr("hidden"), "api_merchant": "174379", "api_pass_key": SecretStr("passkey")}
    return Settings(
        providers={
            "stripe": ProviderSettings(
                **account("sk_test"), accounts={"ACME": AccountSettings(**account("wrong")), "none": AccountSettings()}
            ),
            "mollie": ProviderSettings(**account("test_mollie")),
            "mpesa": ProviderSettings(**account("consumer", **mpesa), accounts={"x": AccountSettings(**account("k"))}),
            "github": ProviderSettings(**account("key")),
            "unheard_of": ProviderSettings(**account("key")),
        },
        **more,
    )


@pytest.fixture
async def apis(world: Outside) -> AsyncIterator[dict[tuple[str, str], Api]]:
    settings = settings_for(
        world,
        refetch={"requests_per_second_max": 1000},
        dispatcher={"breaker_failures_max": 2, "breaker_seconds": 60},
    )
    async with HttpClient(settings.http) as client:
        yield open_apis(settings, client)


def rested(api: Api) -> None:
    """Have the breaker's pause be over, so that it lets a probe through."""
    assert not api.breaker.would_allow(api.breaker.closed_until - 0.001)
    api.breaker.closed_until = time.monotonic()
    assert api.breaker.would_allow(time.monotonic())


def test_judging_an_answer():
    def of(status: int, expected: Any = None) -> Any:
        return outcome_of(expected, HttpAnswer(status, b"body"), "api")

    assert of(200, Fetched("x", "r")) == Answered(Fetched("x", "r"), b"body")
    assert of(500, Later.NOT_NOW) == Again("api has no outcome yet")
    assert of(200, Gone.GONE) == Absent("api does not know this payment (200)")
    assert isinstance(of(200), Again)
    for status, words in (
        (401, "credentials"),
        (403, "credentials"),
        (302, "refuses the request"),
        (400, "refuses the request"),
    ):
        outcome = of(status)
        assert isinstance(outcome, Refused)
        assert words in outcome.error
        assert str(status) in outcome.error
    for status in (404, 410):
        assert of(status) == Absent(f"api does not know this payment ({status})")
    for status in (429, 500, 503):
        with pytest.raises(HttpUnavailableError):
            of(status)


async def test_only_what_is_configured_whole_is_asked(apis: dict[tuple[str, str], Api]):
    assert sorted(apis) == [("mollie", ""), ("mpesa", ""), ("stripe", ""), ("stripe", "acme")]


async def test_answers_are_the_apis_own_bytes(world: Outside, apis: dict[tuple[str, str], Api]):
    world.objects["pi_1"] = intent("pi_1")
    answered = await apis["stripe", ""].ask("pi_1", NOW)
    assert isinstance(answered, Answered)
    assert answered.body.startswith(b'{"id": "pi_1"')
    assert answered.fetched.kind == "refetch.payment_intent"
    world.objects["tr_1"] = mollie_payment("tr_1", "paid")
    assert isinstance(await apis["mollie", ""].ask("tr_1", NOW), Answered)
    assert isinstance(await apis["stripe", ""].ask("pi_unknown", NOW), Absent)
    assert isinstance(await apis["stripe", "acme"].ask("pi_1", NOW), Refused)
    asked = len(world.calls)
    assert isinstance(await apis["stripe", ""].ask("re_1", NOW), Absent)
    assert len(world.calls) == asked, "what can't be asked is not asked"


async def test_an_api_that_fails_is_left_alone_and_found_well_again(world: Outside, apis: dict[tuple[str, str], Api]):
    api, now = apis["stripe", ""], time.monotonic()
    world.objects["pi_1"] = intent("pi_1")
    world.fail("/v1/", 500, 503)
    for status in (500, 503):
        outcome = await api.ask("pi_1", NOW)
        assert isinstance(outcome, Again)
        assert str(status) in outcome.error
    assert not api.ready(time.monotonic())
    assert await api.ask("pi_1", NOW) is None
    assert world.asked("/v1/") == 2
    assert apis["mollie", ""].ready(now + 1), "another API is not touched"
    rested(api)
    assert isinstance(await api.ask("pi_1", NOW), Answered)
    assert api.ready(time.monotonic() + 1)


async def test_an_api_that_asks_for_rest_gets_it(world: Outside, apis: dict[tuple[str, str], Api]):
    world.fail("/v1/", 429, headers={"Retry-After": "30"})
    assert await apis["stripe", ""].ask("pi_1", NOW) == Again(f"{world.url[7:]} answered 429", 30.0)
    assert not apis["stripe", ""].ready(time.monotonic() + 29)
    assert apis["stripe", ""].ready(time.monotonic() + 31)


async def test_silence_and_a_cancelled_probe(world: Outside, apis: dict[tuple[str, str], Api]):
    api = apis["stripe", ""]
    world.fail("/v1/", None, None, drops=True)  # the client itself sends a GET again once
    assert "broke the connection" in (await api.ask("pi_1", NOW)).error  # type: ignore[union-attr]
    held, patient = world.fail("/v1/", holds=asyncio.Event()), api._calls._client
    async with HttpClient(HttpSettings(total_timeout_seconds=0.1)) as api._calls._client:
        assert "did not answer" in (await api.ask("pi_1", NOW)).error  # type: ignore[union-attr]
    api._calls._client = patient
    held.holds.set()  # type: ignore[union-attr]
    rested(api)
    held = world.fail("/v1/", holds=asyncio.Event())
    probe = asyncio.create_task(api.ask("pi_1", NOW))
    await held.met.wait()
    assert not api.breaker.would_allow(time.monotonic())
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    held.holds.set()  # type: ignore[union-attr]
    assert api.breaker.would_allow(time.monotonic())


async def test_an_id_that_may_be_of_several_things_is_asked_about_until_the_api_knows_one(world: Outside):
    """A sale of a subscription of PayPal's: its id looks like that of an order, and of a capture."""
    account = {"api_key": SecretStr("client"), "api_secret": SecretStr("hidden")}
    paypal = ProviderSettings(**account, api_base_url=f"{world.url}/apis/paypal")
    settings = Settings(providers={"paypal": paypal}, refetch={"requests_per_second_max": 1000})
    sale = {"id": "S1", "state": "completed", "amount": {"total": "10.00", "currency": "EUR"}}
    world.shown["paypal/v1/payments/sale/S1"] = ({"Authorization": "Bearer A21AA-0"}, json.dumps(sale))

    def asked() -> list[str]:
        paths = [path.removeprefix("/apis/paypal") for method, path, *_ in world.calls if method == "GET"]
        world.calls.clear()
        return paths

    async with HttpClient(settings.http) as client:
        api = open_apis(settings, client)["paypal", ""]
        for ref, first in (("S1", "/v2/checkout/orders/S1"), ("capture:S1", "/v2/payments/captures/S1")):
            assert await api.ask(ref, NOW) == Answered(Fetched("sale", "S1"), json.dumps(sale).encode())
            assert asked() == [first, "/v1/payments/sale/S1"]
        assert isinstance(await api.ask("refund:R1", NOW), Absent)
        assert asked() == ["/v2/payments/refunds/R1", "/v1/payments/refund/R1"]
        for ref, path in (("PAYID-1", "/v1/payments/payment/PAYID-1"), ("dispute:D1", "/v1/customer/disputes/D1")):
            assert isinstance(await api.ask(ref, NOW), Absent)
            assert asked() == [path], "of nothing else"
        world.fail("/v2/checkout/orders/S1", 503)
        assert isinstance(await api.ask("S1", NOW), Again)
        assert asked() == ["/v2/checkout/orders/S1"], "it did not say that it does not know it"
        world.fail("/v2/checkout/orders/S1", 403)
        assert isinstance(await api.ask("S1", NOW), Refused)
        assert asked() == ["/v2/checkout/orders/S1"], "nor did it now"


async def test_token_is_granted_once_and_anew_when_it_was_revoked(world: Outside, apis: dict[tuple[str, str], Api]):
    api = apis["mpesa", ""]
    world.pushes[PUSH] = 200, stk_answer(PUSH, "0")
    assert isinstance(await api.ask(PUSH, NOW), Answered)
    assert isinstance(await api.ask(PUSH, NOW), Answered)
    assert len(world.tokens) == 1
    world.tokens.append("revoked")
    outcome = await api.ask(PUSH, NOW)
    assert isinstance(outcome, Again)
    assert "token" in outcome.error
    assert isinstance(await api.ask(PUSH, NOW), Answered)
    world.pushes[PUSH] = 500, {"errorCode": "500.001.1001"}
    for _ in range(5):
        assert isinstance(await api.ask(PUSH, NOW), Again)
    assert api.breaker.would_allow(time.monotonic()), "a push that is still open is no failure of the API"


async def test_token_that_is_refused(world: Outside, apis: dict[tuple[str, str], Api]):
    world.fail("/oauth", 400, 200)
    for _ in range(2):
        outcome = await apis["mpesa", ""].ask(PUSH, NOW)
        assert isinstance(outcome, Refused)
        assert "no access token" in outcome.error
    world.fail("/oauth", 503)
    assert isinstance(await apis["mpesa", ""].ask(PUSH, NOW), Again)
    assert world.asked("/mpesa/") == 0


async def test_a_call_that_refuses_a_token_of_just_now_refuses_the_credentials(
    world: Outside, apis: dict[tuple[str, str], Api]
):
    """Only a token that was granted before may have been revoked; asking for others would never end."""
    api = apis["mpesa", ""]
    world.fail("/mpesa/", 401, 401)
    outcome = await api.ask(PUSH, NOW)
    assert isinstance(outcome, Refused)
    assert "credentials" in outcome.error
    assert isinstance(await api.ask(PUSH, NOW), Again), "the same token is an old one by now"


async def test_a_list_that_refuses_a_token_of_just_now_refuses_the_credentials(world: Outside):
    account = {"api_key": SecretStr("client"), "api_secret": SecretStr("hidden"), "api_base_url": world.url}
    settings = Settings(providers={"paypal": ProviderSettings(**account)}, recall={"requests_per_second_max": 1000})
    async with HttpClient(settings.http) as client:
        lists = lists_of(settings, client, "paypal", "", settings.providers["paypal"])
        assert isinstance(lists, Lists)
        asked = PageAsked(NOW - 60, NOW, None, 10)
        world.fail("/v1/notifications", 401, 401)
        outcomes = [await lists.ask(lists.recall.lists[0], asked) for _ in range(3)]
    assert [type(one) for one in outcomes] == [Refused, Again, Page]
    assert len(world.tokens) == 2, "a new one after the old one was refused"


async def test_calls_are_spread():
    limiter, begun = CallRateLimiter(50), time.monotonic()
    await asyncio.gather(*(limiter.wait() for _ in range(6)))
    assert time.monotonic() - begun >= 0.099


async def test_what_no_call_used_is_not_saved_up():
    """After a quiet night an API would be asked as often at once as it was not asked all night."""
    limiter = CallRateLimiter(0.01)
    limiter.free_at = time.monotonic() - 3600.0
    began = time.monotonic()
    await asyncio.wait_for(limiter.wait(), 5)
    assert limiter.free_at >= began + 100.0
