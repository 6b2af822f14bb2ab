"""What an answer of a provider's list comes to, and whose rate, key and bound hold for asking it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from consumer.dispatcher.apis import Again, Refused, open_apis
from consumer.dispatcher.lists import Lists, client_bounds, lists_of, why_not
from providers.core.recall import Page, PageAsked
from providers.core.refetch import ApiRequest, Grant
from runtime.http import HttpAnswer
from runtime.settings import AccountSettings, HttpSettings, ProviderSettings, Settings

if TYPE_CHECKING:
    from runtime.http import HttpRequest

pytestmark = pytest.mark.unit

ASKED = PageAsked(1_790_000_000.0, 1_790_000_060.0, None, 10)
CALL = ApiRequest("GET", "")
EMPTY = b'{"object": "list", "has_more": false, "data": []}'


class Client:
    """Stands for the HTTP client: answers as a test says, after the loop had its turn."""

    def __init__(self, *answers: HttpAnswer) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    async def send(self, request: HttpRequest) -> HttpAnswer:
        self.asked.append(request)
        await asyncio.sleep(0)
        return self.answers.pop(0)


def settings_of(account: AccountSettings | None = None, **more: Any) -> Settings:
    provider = ProviderSettings(api_key=SecretStr("sk"), accounts={"a": account} if account else {})
    return Settings(providers={"stripe": provider}, **more)


def lists(client: Client, **more: Any) -> Lists:
    known = settings_of(**more)
    opened = lists_of(known, client, "stripe", "", known.providers["stripe"])  # type: ignore[arg-type]
    assert isinstance(opened, Lists)
    return opened


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (200, b"{}", Refused, "something else than the list events"),
        (200, b"<html>the portal of a hotel</html>", Refused, "something else than the list events"),
        (200, b'{"object": "list", "has_more": false}', Refused, "something else than the list events"),
        (202, EMPTY, Refused, "refuses the list events (202)"),
        (204, b"", Refused, "refuses the list events (204)"),
        (302, EMPTY, Refused, "refuses the list events (302)"),
        (400, EMPTY, Refused, "refuses the list events (400)"),
        (404, EMPTY, Refused, "refuses the list events (404)"),
        (401, EMPTY, Refused, "refuses the credentials (401)"),
        (403, EMPTY, Refused, "refuses the credentials (403)"),
        (429, EMPTY, Again, "answered 429"),
        (503, EMPTY, Again, "answered 503"),
    ],
)
async def test_nothing_but_a_page_of_the_list_is_read_as_one(status: int, body: bytes, kind: type, says: str):
    """Taken for the end of the list, all that happened in that span would never be asked for again."""
    one = lists(Client(HttpAnswer(status, body)))
    outcome = await one.ask(one.recall.lists[0], ASKED)
    assert isinstance(outcome, kind)
    assert says in outcome.error  # type: ignore[attr-defined]


async def test_a_page_without_events_is_the_end_of_its_list():
    one = lists(Client(HttpAnswer(200, EMPTY)))
    assert await one.ask(one.recall.lists[0], ASKED) == Page(())


async def test_lists_and_payments_are_asked_within_the_rate_of_their_own():
    """A list is asked once in minutes, and a provider may count its calls apart; one setting is not the other's."""
    rates = {"recall": {"requests_per_second_max": 0.01}, "refetch": {"requests_per_second_max": 100.0}}
    client = Client(HttpAnswer(200, EMPTY), HttpAnswer(404, b""))
    one, began = lists(client, **rates), time.monotonic()
    await one.ask(one.recall.lists[0], ASKED)
    assert one._calls.rate_limiter.free_at >= began + 100.0
    api = open_apis(settings_of(**rates), client)["stripe", ""]  # type: ignore[arg-type]
    await api.ask("pi_1", ASKED.until)
    assert api.ready(time.monotonic() + 1.0)


async def test_a_token_that_a_list_takes_no_longer_is_asked_for_anew():
    answers = [HttpAnswer(200, b""), HttpAnswer(200, EMPTY), HttpAnswer(401, b""), HttpAnswer(200, b"")]
    client, tokens = Client(*answers, HttpAnswer(200, EMPTY)), iter(("first", "second"))
    one = lists(client, recall={"requests_per_second_max": 1000})
    grant = Grant(lambda asked: replace(CALL, url=asked.base_url), lambda _: (next(tokens), 3600.0))
    one._calls._grant = grant
    listing = replace(one.recall.lists[0], request=lambda _, credentials: replace(CALL, url=credentials.token))
    assert await one.ask(listing, ASKED) == Page(())
    outcome = await one.ask(listing, ASKED)
    assert isinstance(outcome, Again)
    assert "takes the access token no longer" in outcome.error
    assert await one.ask(listing, ASKED) == Page(())
    assert [request.url for request in client.asked if "://" not in request.url] == ["first", "first", "second"]


@pytest.mark.parametrize(
    ("provider", "account", "configured", "wanted"),
    [
        ("stripe", "", {}, "set API_KEY of RATCHET_PROVIDERS__STRIPE"),
        ("stripe", "acme", {}, "set API_KEY of RATCHET_PROVIDERS__STRIPE__ACCOUNTS__ACME"),
        ("stripe", "", {"api_key": SecretStr("sk")}, None),
        ("paypal", "", {"api_key": SecretStr("id")}, "set API_SECRET of RATCHET_PROVIDERS__PAYPAL"),
        ("paypal", "", {"api_secret": SecretStr("hidden")}, "set API_KEY of RATCHET_PROVIDERS__PAYPAL"),
    ],
)
def test_what_is_missing_is_named_by_its_setting(
    provider: str, account: str, configured: dict[str, Any], wanted: str | None
):
    """Without its key a list would be asked, and refused, again and again."""
    assert why_not(provider, account, AccountSettings(**configured)) == wanted


def test_a_page_of_a_list_may_be_larger_than_an_answer_about_one_payment():
    known = settings_of(recall={"response_bytes_max": 7_000_000})
    assert HttpSettings().model_copy(update=client_bounds(known)).response_bytes_max == 7_000_000
