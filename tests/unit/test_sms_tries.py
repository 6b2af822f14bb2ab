"""What a try of a message leaves behind: when the next one comes, and whom the breaker lets through meanwhile."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from consumer.dispatcher.sender import AccountRefusedError, SmsMessage, Taken
from consumer.dispatcher.sms import SmsJob, message_of
from consumer.dispatcher.twilio import TwilioSender
from runtime.breaker import Breaker
from runtime.http import HttpAnswer, HttpUnavailableError
from runtime.lease import Lease
from runtime.settings import Settings
from schemas.sms import SmsStatus

if TYPE_CHECKING:
    from runtime.http import HttpRequest

pytestmark = pytest.mark.unit

LEASE = Lease("dispatcher", "me", 1)


def settings_of(claim_seconds: float = 40.0) -> Settings:
    sms = {"unsure_seconds": 300.0, "account_pause_seconds": 120.0, "backoff_initial_seconds": 2.0}
    return Settings(sms=sms, dispatcher={"claim_seconds": claim_seconds})


SETTINGS = settings_of()
UNSURE, PAUSE = SETTINGS.sms.unsure_seconds, SETTINGS.sms.account_pause_seconds
CREATED = dt.datetime(2026, 9, 21, 12, tzinfo=dt.UTC)


def claimed(**more: Any) -> dict[str, Any]:
    return {
        "id": 7, "attempts": 1, "payment_id": uuid.UUID(int=1), "to_number": "+4915112345678", "template": "captured",
        "child": "", "own_amount": None, "survivor_status": "captured", "currency": "EUR", "amount": 1000,
        "authorized": 900, "captured": 800, "refunded": 700, "created_at": CREATED,
    } | more  # fmt: skip


class Rows:
    """Gives one row, and notes with what it was claimed and what is written."""

    def __init__(self) -> None:
        self.claimed_with: tuple[object, ...] = ()
        self.written: list[tuple[Any, ...]] = []

    async def fetch_one(self, _lease: Lease, name: str, *arguments: object) -> Any:
        await asyncio.sleep(0)
        if name == "claim_sms":
            self.claimed_with = arguments
            return claimed()
        self.written.append((name, *arguments))
        return None


class Sender:
    """Raises what a test says, or never answers."""

    def __init__(self, failure: Exception | None) -> None:
        self._failure = failure

    async def send(self, _message: SmsMessage) -> Taken:
        await asyncio.sleep(0)
        if self._failure is None:
            await asyncio.Event().wait()
        raise self._failure or AssertionError

    async def find(self, _message: SmsMessage) -> None:
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("failure", "least", "most"),
    [
        (HttpUnavailableError("reset"), UNSURE, UNSURE),
        (HttpUnavailableError("reset", retry_after_seconds=900.0), 900.0, 900.0),
        (HttpUnavailableError("no connection", sent=False), 0.0, 2.0),
        (HttpUnavailableError("no connection", sent=False, retry_after_seconds=30.0), 30.0, 30.0),
        (None, UNSURE, UNSURE),
    ],
)
async def test_what_may_have_been_taken_is_tried_again_once_the_providers_list_shows_it(
    failure: Exception | None, least: float, most: float
):
    """Sooner it may be missing from the list, and the customer gets it twice."""
    rows, settings = Rows(), settings_of(0.02) if failure is None else SETTINGS
    await SmsJob(rows, Sender(failure), Breaker(10, 9), settings).turn(LEASE)  # type: ignore[arg-type]
    ((name, _, _, seconds),) = rows.written
    assert name == "retry_sms"
    assert least <= seconds <= most


@pytest.mark.parametrize("claim_seconds", [40.0, 400.0])
async def test_a_claim_of_one_that_dies_holds_until_the_list_shows_what_it_sent(claim_seconds: float):
    rows, settings = Rows(), settings_of(claim_seconds)
    await SmsJob(rows, Sender(HttpUnavailableError("x")), Breaker(10, 9), settings).turn(LEASE)  # type: ignore[arg-type]
    assert rows.claimed_with == (max(claim_seconds, UNSURE),)


@pytest.mark.parametrize(("seconds", "written"), [(19.0, "finish_sent"), (21.0, "retry_sms")])
async def test_a_claim_that_came_late_sends_nothing(seconds: float, written: str, monkeypatch: pytest.MonkeyPatch):
    """It counts from before Postgres was asked: a process that stood still meanwhile may have lost it to another."""
    now = time.monotonic()
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("consumer.dispatcher.sms.time", clock)

    class Late(Rows):
        async def fetch_one(self, lease: Lease, name: str, *arguments: object) -> Any:
            row = await super().fetch_one(lease, name, *arguments)
            if name == "claim_sms":
                clock.monotonic = lambda: now + seconds
            return row

        async def finish_sent(self, _lease: Lease, *arguments: object) -> None:
            self.written.append(("finish_sent", *arguments))

    class Delivered(Sender):
        async def send(self, _message: SmsMessage) -> Taken:
            await asyncio.sleep(0)
            assert seconds < 20.0, "it is not sent"
            return Taken("SM1", SmsStatus.DELIVERED)

    rows = Late()
    await SmsJob(rows, Delivered(None), Breaker(10, 9), settings_of(40.0)).turn(LEASE)  # type: ignore[arg-type]
    ((name, *arguments),) = rows.written
    assert name == written
    if name == "finish_sent":
        assert arguments == ["SM1", 7, 1, SmsStatus.DELIVERED], "the end that it came to already"


@pytest.mark.parametrize("probing", [False, True])
async def test_a_provider_that_refuses_the_account_rests_and_no_message_pays_for_it(probing: bool):  # noqa: FBT001
    """One refusal is enough, however many failures open the breaker: each call would be refused as well."""
    rows, breaker = Rows(), Breaker(0.0, 9)
    if probing:
        breaker.rest(time.monotonic(), 0.0)
    began = time.monotonic()
    await SmsJob(rows, Sender(AccountRefusedError("no credit")), breaker, SETTINGS).turn(LEASE)  # type: ignore[arg-type]
    assert rows.written == [("hold_sms", 7, 1, PAUSE)]
    assert (breaker.would_allow(began + PAUSE - 1), breaker.would_allow(began + PAUSE + 60)) == (False, True)


@pytest.mark.parametrize(
    ("template", "child", "own", "currency", "shown"),
    [
        ("refunded", "re_1", 250, "EUR", " 2.50 EUR "),
        ("refunded", "re_1", None, "EUR", " 7.00 EUR "),
        ("captured", "", None, "EUR", " 8.00 EUR."),
        ("captured", "", None, "KWD", " 0.800 KWD."),
        ("captured", "", None, "JPY", " 800 JPY."),
        ("authorized", "", None, "EUR", " 9.00 EUR "),
        ("failed", "", None, "EUR", " 10.00 EUR "),
    ],
)
def test_a_message_tells_its_own_refund_else_what_its_template_speaks_of(
    template: str, child: str, own: int | None, currency: str, shown: str
):
    row = claimed(template=template, child=child, own_amount=own, currency=currency)
    message = message_of(row, dt.timedelta(hours=1))  # type: ignore[arg-type]
    assert message is not None
    assert shown in message.text
    assert message.not_before == CREATED - dt.timedelta(hours=1), "Twilio's clock may be behind ours"


# --- the look-up ------------------------------------------------------------------------------------------------------

MESSAGE = SmsMessage("+4915112345678", "Hello. Ref 1A", "Ref 1A", CREATED)
OURS = {"sid": "SM1", "status": "sent", "body": "Hello. Ref 1A", "date_created": "Mon, 21 Sep 2026 12:30:00 +0000"}
OLDER = OURS | {"sid": "SM0", "date_created": "Mon, 21 Sep 2026 11:30:00 +0000"}


class Client:
    """Gives one page of the list after another; `urls` are what was asked."""

    def __init__(self, *pages: tuple[list[Any], str | None]) -> None:
        self.pages, self.urls = list(pages), []  # type: ignore[var-annotated]

    async def send(self, request: HttpRequest) -> HttpAnswer:
        self.urls.append(request.url)
        await asyncio.sleep(0)
        messages, following = self.pages.pop(0)
        return HttpAnswer(200, json.dumps({"messages": messages, "next_page_uri": following}).encode())


def sender_of(client: Client, **more: str) -> TwilioSender:
    twilio = {"account_sid": "AC1", "auth_token": SecretStr("token"), "from": "+15005550006"} | more
    settings = Settings(public_url="https://pay.example", sms={"twilio": twilio, "lookup_pages_max": 3})
    return TwilioSender(settings, client)  # type: ignore[arg-type]


async def test_any_answer_of_success_that_has_an_id_says_that_the_message_is_taken():
    """Twilio's is 201; given up at another one, what the customer has counts as not sent."""

    class Accepting(Client):
        async def send(self, request: HttpRequest) -> HttpAnswer:
            self.urls.append(request.url)
            await asyncio.sleep(0)
            return HttpAnswer(200, b'{"sid": "SM2", "status": "queued"}')

    client = Accepting()
    assert await sender_of(client, base_url="https://twilio.example/").send(MESSAGE) == Taken("SM2")
    assert client.urls == ["https://twilio.example/2010-04-01/Accounts/AC1/Messages.json"]


@pytest.mark.parametrize("first", [[], [OURS | {"body": "another"}], [OURS | {"body": None}], [7]])
async def test_a_page_without_ours_is_not_the_end_of_the_list(first: list[Any]):
    """Taken for the end, what was handed over is handed over again."""
    client = Client((first, "/2010-04-01/next?Page=1"), ([OURS], None))
    assert await sender_of(client).find(MESSAGE) == Taken("SM1")
    assert client.urls[1] == "https://api.twilio.com/2010-04-01/next?Page=1"


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (OURS, True),
        (OURS | {"body": "Hello. Ref 1A \n"}, True),
        (OURS | {"body": "Hello. Ref 1AB"}, False),
        (OURS | {"body": "Ref 1A. Hello. Ref 2B"}, False),
        (OURS | {"date_created": None}, True),
        (OURS | {"date_created": "soon"}, True),
        (OURS | {"date_created": "Mon, 21 Sep 2026 12:30:00 -0000"}, True),
        (OURS | {"date_created": "Mon, 21 Sep 2026 14:30:00 +0200"}, True),
        (OURS | {"date_created": "Mon, 21 Sep 2026 12:30:00 +0200"}, False),
        (OLDER, False),
    ],
)
async def test_a_listed_message_is_ours_by_its_end_and_unless_it_is_surely_older(entry: dict[str, Any], found: bool):  # noqa: FBT001
    assert (await sender_of(Client(([entry], None))).find(MESSAGE) is not None) is found


@pytest.mark.parametrize(
    ("status", "noted"),
    [
        ("delivered", SmsStatus.DELIVERED),
        ("undelivered", SmsStatus.UNDELIVERED),
        ("failed", SmsStatus.FAILED),
        *((status, SmsStatus.SENT) for status in ("accepted", "queued", "sending", "sent", "of tomorrow", None, 7)),
    ],
)
async def test_a_message_that_is_found_has_the_end_that_it_came_to(status: Any, noted: SmsStatus):
    """Its receipt came before we knew its id, and comes no second time."""
    found = await sender_of(Client(([OURS | {"status": status}], None))).find(MESSAGE)
    assert found == Taken("SM1", noted)


@pytest.mark.parametrize(
    "following", ["@evil.example/x", "evil.example", "https://evil.example/x", ".evil.example/", 7]
)
async def test_the_next_page_is_asked_of_twilio_alone(following: Any):
    """The request carries the account's password."""
    client = Client(([], following), ([OURS], None))
    assert await sender_of(client).find(MESSAGE) is None
    assert len(client.urls) == 1


async def test_a_list_that_does_not_end_within_its_bound_says_nothing():
    """Nothing found is no word of the provider's that it has nothing: sent again it may be the second one."""
    client = Client(*[([OURS | {"body": "another"}], f"/next?Page={page}") for page in range(3)])
    with pytest.raises(HttpUnavailableError, match="more messages"):
        await sender_of(client).find(MESSAGE)


@pytest.mark.parametrize("status", [204, 301, 400, 405, 409, 415, 422])
async def test_a_look_up_that_is_refused_says_nothing(status: int):
    """Taken for a list without ours, each of its tries is handed over."""

    class Refusing(Client):
        async def send(self, request: HttpRequest) -> HttpAnswer:
            answer = await super().send(request)
            return HttpAnswer(status, answer.body)

    with pytest.raises(HttpUnavailableError, match=f"answered {status}"):
        await sender_of(Refusing(([], None))).find(MESSAGE)


async def test_pages_end_where_all_is_older():
    client = Client(([OLDER, OLDER], "/next"), ([OURS], None))
    assert await sender_of(client).find(MESSAGE) is None
    mixed = Client(([OLDER, OURS | {"body": "another"}], "/next"), ([OURS], None))
    assert await sender_of(mixed).find(MESSAGE) == Taken("SM1"), "one that is older does not tell that all are"
