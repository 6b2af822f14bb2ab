"""One account at a provider: when a call may leave, where answers are posted, whether its lists are read, and how."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from consumer.dispatcher import apis
from consumer.dispatcher.apis import (
    Again,
    Answered,
    Awaited,
    Refused,
    _answers_url,
    accounts,
    credentials_of,
    open_apis,
)
from consumer.dispatcher.lists import Lists, lists_of, open_for_orders, open_lists
from providers.core.recall import Page, PageAsked
from runtime.http import HttpAnswer
from runtime.secret_windows import DatedSecret
from runtime.settings import AccountSettings, ProviderSettings, Settings

if TYPE_CHECKING:
    from runtime.http import HttpRequest

pytestmark = pytest.mark.unit

NOW = 1_790_000_300.0
ASKED = PageAsked(NOW - 60, NOW, None, 10)
INTENT = b'{"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1, "currency": "eur"}'
PLAIN = {"merchant", "initiator"}
"""Credentials that are no secrets."""
EMPTY = b'{"object": "list", "has_more": false, "data": []}'


class Client:
    """Stands for the HTTP client: answers as a test says, after the loop had its turn."""

    def __init__(self, *answers: HttpAnswer) -> None:
        self.answers, self.asked = list(answers), 0

    async def send(self, _request: HttpRequest) -> HttpAnswer:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answers.pop(0)


def settings(per_second: float = 1000, **account: Any) -> Settings:
    return Settings(
        providers={"stripe": ProviderSettings(api_key=SecretStr("sk"), **account)},
        refetch={"requests_per_second_max": per_second},
        recall={"requests_per_second_max": per_second},
        dispatcher={"breaker_failures_max": 1, "breaker_seconds": 60},
    )


async def test_to_ask_whether_a_call_could_leave_takes_nothing():
    """Else the place of the one call that finds out whether an API is well is taken, and never given back."""
    client = Client(HttpAnswer(503, b""), HttpAnswer(200, INTENT))
    api = open_apis(settings(), client)["stripe", ""]  # type: ignore[arg-type]
    assert isinstance(await api.ask("pi_1", NOW), Again)
    assert not api.ready(time.monotonic())
    api.breaker.closed_until = time.monotonic()
    later = time.monotonic() + 1
    assert api.ready(later)
    assert api.ready(later)
    assert isinstance(await api.ask("pi_1", NOW), Answered)


async def test_to_ask_whether_a_list_could_be_asked_takes_nothing():
    client, known = Client(HttpAnswer(503, b""), HttpAnswer(200, EMPTY)), settings()
    lists = lists_of(known, client, "stripe", "", known.providers["stripe"])  # type: ignore[arg-type]
    assert isinstance(lists, Lists)
    (listing,) = lists.recall.lists
    assert isinstance(await lists.ask(listing, ASKED), Again)
    assert not lists.ready(time.monotonic())
    lists._calls.breaker.closed_until = time.monotonic()
    later = time.monotonic() + 1
    assert lists.ready(later)
    assert lists.ready(later)
    assert await lists.ask(listing, ASKED) == Page(())


async def test_a_call_that_would_wait_for_its_turn_is_not_claimed():
    """A claim runs while the call waits: as many workers as there are would hold claims and ask nothing."""
    api = open_apis(settings(per_second=0.01), Client(HttpAnswer(200, INTENT)))["stripe", ""]  # type: ignore[arg-type]
    assert api.ready(time.monotonic())
    await api.ask("pi_1", NOW)
    now = time.monotonic()
    assert (api.ready(now), api.ready(now + 101)) == (False, True)


def test_answers_are_posted_under_the_newest_secret_that_is_live():
    """The older one ends while an answer may still come."""
    now = dt.datetime.now(dt.UTC)
    soon = DatedSecret(secret=SecretStr("of-tomorrow"), not_before=now + dt.timedelta(days=1))
    old = DatedSecret(secret=SecretStr("of-yesterday"), not_after=now + dt.timedelta(minutes=1))
    account = AccountSettings(secrets=(soon, SecretStr("of-today"), old))
    known = Settings(public_url="https://pay.example")
    assert _answers_url(known, "mpesa", "", account) == "https://pay.example/webhooks/mpesa/of-today"
    assert _answers_url(known, "mpesa", "shop", account) == "https://pay.example/webhooks/mpesa/shop/of-today"
    assert _answers_url(Settings(), "mpesa", "", account) == ""
    assert _answers_url(known, "mpesa", "", AccountSettings(secrets=(soon,))) == ""


async def test_a_list_that_names_the_same_page_again_is_refused():
    """It would be read without end, and what comes after it never."""
    known = settings()
    lists = lists_of(
        known, Client(HttpAnswer(200, b"{}"), HttpAnswer(200, b"{}")), "stripe", "", known.providers["stripe"]
    )  # type: ignore[arg-type]
    assert isinstance(lists, Lists)
    listing = replace(lists.recall.lists[0], read=lambda _asked, _body: Page((), "p2"))
    assert await lists.ask(listing, replace(ASKED, page="p1")) == Page((), "p2")
    outcome = await lists.ask(listing, replace(ASKED, page="p2"))
    assert isinstance(outcome, Refused)
    assert "again and again" in outcome.error


@pytest.mark.parametrize(
    ("whole", "account", "asked"),
    [
        (True, None, ["", "a"]),
        (True, False, [""]),
        (False, True, ["a"]),
        (None, True, ["a"]),
        (None, None, []),
        (False, None, []),
    ],
)
def test_an_account_is_asked_as_its_provider_unless_it_says_otherwise(
    whole: bool | None,  # noqa: FBT001
    account: bool | None,  # noqa: FBT001
    asked: list[str],
):
    own = AccountSettings(api_key=SecretStr("sk2"), recall=account)
    opened = open_lists(settings(recall=whole, accounts={"A": own}), Client())  # type: ignore[arg-type]
    assert sorted(name for _, name in opened) == asked


def test_an_order_reads_a_list_within_the_rate_and_behind_the_breaker_of_who_reads_it_anyway():
    known = settings(recall=True, accounts={"a": AccountSettings(api_key=SecretStr("sk2"), recall=False)})
    regularly = open_lists(known, Client())  # type: ignore[arg-type]
    for_orders = open_for_orders(known, Client(), regularly)  # type: ignore[arg-type]
    assert for_orders["stripe", ""] is regularly["stripe", ""]
    assert isinstance(for_orders["stripe", "a"], Lists), "an order may be for what is not asked by itself"


def test_accounts_are_kept_by_names_in_small_letters():
    """Events name them so: under another name its payments would wait for a key that is there."""
    known = Settings(providers={"Stripe": ProviderSettings(accounts={"ACME": AccountSettings()})})
    assert [(provider, account) for provider, account, _ in accounts(known)] == [("stripe", ""), ("stripe", "acme")]


def test_each_credential_comes_from_the_setting_of_its_name():
    names = ("key", "secret", "merchant", "pass_key", "initiator", "initiator_credential")
    configured = AccountSettings(
        **{f"api_{name}": SecretStr(f"the {name}") if name not in PLAIN else f"the {name}" for name in names}
    )
    found = credentials_of(configured, "https://api.example/")
    assert {name: getattr(found, name) for name in names} == {name: f"the {name}" for name in names}
    assert found.base_url == "https://api.example"
    assert (found.token, found.answers_url) == ("", "")


@pytest.mark.parametrize("missing", ["api_initiator", "api_initiator_credential", "public_url"])
async def test_a_query_that_could_not_be_answered_is_not_asked(missing: str):
    """Its answer would come nowhere, and nobody would know what to set."""
    account = {
        "api_key": SecretStr("consumer"), "api_secret": SecretStr("hidden"), "api_merchant": "174379",
        "api_initiator": "operator", "api_initiator_credential": SecretStr("encrypted"), "secrets": [SecretStr("s3")],
    }  # fmt: skip
    whole = {"providers": {"mpesa": account}, "public_url": "https://pay.example"}
    account.pop(missing, None)
    whole.pop(missing, None)
    token = HttpAnswer(200, b'{"access_token": "t", "expires_in": "3599"}')
    client = Client(token, HttpAnswer(200, b"{}"))
    api = open_apis(Settings(**whole), client)["mpesa", ""]  # type: ignore[arg-type]
    outcome = await api.ask("QJK123ABC0", NOW)
    assert isinstance(outcome, Refused)
    assert outcome.error.startswith("the API of mpesa can't be asked about this reference; set ")
    assert missing in outcome.error
    assert client.asked <= 1, "for its token alone"


async def test_a_query_names_the_secret_that_is_live_when_it_is_put(monkeypatch: pytest.MonkeyPatch):
    """The process runs for months; under the secret of when it began answers would be refused once that has ended."""
    today = dt.datetime.now(dt.UTC)
    old = DatedSecret(secret=SecretStr("of-today"), not_after=today + dt.timedelta(days=2))
    new = DatedSecret(secret=SecretStr("of-tomorrow"), not_before=today + dt.timedelta(days=1))
    account = AccountSettings(
        api_key=SecretStr("consumer"), api_secret=SecretStr("hidden"), api_merchant="174379", secrets=(new, old),
        api_initiator="operator", api_initiator_credential=SecretStr("encrypted"),
    )  # fmt: skip
    bodies: list[bytes] = []

    class Queried(Client):
        async def send(self, request: HttpRequest) -> HttpAnswer:
            bodies.append(request.body or b"")
            return await super().send(request)

    taken = HttpAnswer(200, b'{"ResponseCode": "0", "ConversationID": "AG_1"}')
    client = Queried(HttpAnswer(200, b'{"access_token": "t", "expires_in": "3599"}'), taken, taken, taken)
    known = Settings(providers={"mpesa": ProviderSettings(**dict(account))}, public_url="https://pay.example")
    api = open_apis(known, client)["mpesa", ""]  # type: ignore[arg-type]
    for days, secret in ((0, b"of-today"), (1.5, b"of-tomorrow"), (3, b"of-tomorrow")):
        moment = (today + dt.timedelta(days=days)).timestamp()
        monkeypatch.setattr(apis, "time", SimpleNamespace(time=lambda now=moment: now, monotonic=time.monotonic))
        assert await api.ask("QJK123ABC0", NOW) == Awaited("AG_1")
        assert b"https://pay.example/webhooks/mpesa/" + secret + b'"' in bodies[-1]
