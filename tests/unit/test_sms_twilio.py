from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from outside import SENDER, SID, TOKEN, Outside, outside
from pydantic import SecretStr

from consumer.dispatcher.sender import AccountRefusedError, Rejected, SmsMessage, Taken
from consumer.dispatcher.twilio import TwilioSender, _refuses_account
from runtime.http import HttpClient, HttpUnavailableError
from runtime.settings import Settings, load
from schemas.errors import SettingsError
from schemas.sms import SmsStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

NUMBER = "+4915112345678"
DAY = dt.timedelta(days=1)


@pytest.fixture
async def world() -> AsyncIterator[Outside]:
    async with outside() as open_world:
        yield open_world


@pytest.fixture
async def sender(world: Outside) -> AsyncIterator[TwilioSender]:
    settings = settings_for(world)
    async with HttpClient(settings.http) as client:
        yield TwilioSender(settings, client)


def settings_for(world: Outside, token: str = TOKEN) -> Settings:
    twilio = {"base_url": world.url, "account_sid": SID, "auth_token": SecretStr(token), "from": SENDER}
    return Settings(
        public_url="https://pay.example/",
        http={"total_timeout_seconds": 0.5},
        sms={"twilio": twilio, "lookup_pages_max": 3},
    )


def message(mark: str = "Ref 1A", **more: Any) -> SmsMessage:
    reported = {
        "to_number": NUMBER,
        "text": f"Hello. {mark}",
        "mark": mark,
        "not_before": dt.datetime.now(dt.UTC) - DAY,
    }
    return SmsMessage(**reported | more)


async def test_message_is_handed_over_in_twilios_shape(world: Outside, sender: TwilioSender):
    assert await sender.send(message()) == Taken("SM" + "0" * 32)
    method, path, headers, body = world.calls[0]
    assert (method, path) == ("POST", f"/2010-04-01/Accounts/{SID}/Messages.json")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(body) == {
        "To": [NUMBER],
        "From": [SENDER],
        "Body": ["Hello. Ref 1A"],
        "StatusCallback": ["https://pay.example/webhooks/twilio"],
    }


async def test_refusals_name_the_code_and_never_the_number(world: Outside, sender: TwilioSender):
    body = f'{{"code": 21211, "message": "The To number {NUMBER} is not valid", "status": 400}}'
    world.fail("POST", 400, body=body)
    assert await sender.send(message()) == Rejected(f"{world.url[7:]} refuses the message: 400, code 21211")
    world.fail("POST", 400, body="<html>")
    assert await sender.send(message()) == Rejected(f"{world.url[7:]} refuses the message: 400, code -")
    world.fail("POST", 403, body='{"code": 21408, "message": "region"}')
    assert await sender.send(message()) == Rejected(f"{world.url[7:]} refuses the message: 403, code 21408")


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 20003), (403, 20005), (402, None), (404, 20404), (400, 10001), (400, 21606), (403, None)],
)
async def test_trouble_of_the_account_is_no_message_s_fault(
    world: Outside, sender: TwilioSender, status: int, code: int | None
):
    body = f'{{"code": {code}, "message": "no"}}' if code else "<html>"
    world.fail("POST", status, body=body)
    with pytest.raises(
        AccountRefusedError, match=rf"refuses the account: {status}, code {code or '-'}; .*__AUTH_TOKEN"
    ):
        await sender.send(message())
    world.fail("GET", status, body=body)
    with pytest.raises(AccountRefusedError):
        await sender.find(message())
    assert world.messages == []


@pytest.mark.parametrize(
    ("status", "code", "account"),
    [
        # Twilio's error dictionary: the account is not active, its credentials are wrong or for tests alone
        *((status, code, True) for code in (10001, 20003, 20005, 20006, 20008) for status in (400, 401, 403)),
        # its `From` is no number of the account's, or can't send
        *((400, code, True) for code in (21212, 21603, 21606, 21659, 21660)),
        # no number, unsubscribed, no mobile, a region without permission, no text
        *((status, code, False) for code in (21211, 21610, 21614, 21408, 21602) for status in (400, 403, 404)),
        # what 20xxx, 30xxx and others say by such a status holds for all
        *((status, code, True) for code in (20404, 20999, 30034, 30450) for status in (402, 403, 404)),
        *((status, None, True) for status in (401, 402, 403, 404)),
        (400, None, False),
        (201, 20003, False),
    ],
)
def test_whose_fault_a_refusal_is(status: int, code: int | None, account: bool):  # noqa: FBT001
    """Taken for the message's, each of the night's messages is given up; taken for the account's, one stops all."""
    assert _refuses_account(status, code) is account


async def test_a_wrong_token_is_the_account_s_trouble(world: Outside):
    async with HttpClient(Settings().http) as client:
        with pytest.raises(AccountRefusedError) as refused:
            await TwilioSender(settings_for(world, "wrong"), client).send(message())
    assert "wrong" not in str(refused.value)


async def test_what_may_have_been_taken_is_unknown(world: Outside, sender: TwilioSender):
    world.fail("POST", 429, headers={"Retry-After": "3"})
    with pytest.raises(HttpUnavailableError) as busy:
        await sender.send(message())
    assert busy.value.retry_after_seconds == 3
    held = asyncio.Event()
    world.fail("POST", 500, 503, 302, 201)
    world.fail("POST", accepts=True, drops=True)
    for _ in range(5):
        with pytest.raises(HttpUnavailableError):
            await sender.send(message())
    world.fail("POST", accepts=True, holds=held)
    settings = settings_for(world)
    async with HttpClient(settings.http.model_copy(update={"total_timeout_seconds": 0.1})) as hasty:
        with pytest.raises(HttpUnavailableError):
            await TwilioSender(settings, hasty).send(message())
    held.set()
    assert len(world.messages) == 2


async def test_message_is_found_by_number_mark_and_date(world: Outside, sender: TwilioSender):
    assert await sender.find(message()) is None
    await sender.send(message())
    await sender.send(message("Ref 2B"))
    await sender.send(message(to_number="+4915199999999", mark="Ref 3C"))
    assert await sender.find(message()) == Taken("SM" + "0" * 32)
    assert await sender.find(message("Ref 3C")) is None, "another number's"
    assert await sender.find(message("Ref")) is None
    future = dt.datetime.now(dt.UTC) + DAY
    assert await sender.find(message(not_before=future)) is None, "an older message is another one's"
    world.messages[-1] |= {"status": "delivered", "date_created": "unreadable"}
    assert await sender.find(message()) == Taken("SM" + "0" * 32, SmsStatus.DELIVERED)
    assert "SECRET" not in world.calls[0][1]


async def test_pages_are_read_up_to_a_bound(world: Outside, sender: TwilioSender):
    world.page_messages = 2
    for number in range(5):
        await sender.send(message(f"Ref {number}X"))
    assert await sender.find(message("Ref 0X")) == Taken("SM" + "0" * 32)
    assert await sender.find(message("Ref none")) is None
    for number in range(5, 8):
        await sender.send(message(f"Ref {number}X"))
    with pytest.raises(HttpUnavailableError, match="more messages"):
        await sender.find(message("Ref 0X"))
    asked = world.asked("Messages", "GET")
    assert await sender.find(message(not_before=dt.datetime.now(dt.UTC) + DAY)) is None
    assert world.asked("Messages", "GET") == asked + 1, "all older: no further page"


async def test_look_up_without_a_list_is_no_answer(world: Outside, sender: TwilioSender):
    world.fail("GET", 401, 404, 500, 200)
    world.fail("GET", 200, body='{"messages": [{"body": "x Ref 1A"}, 7], "next_page_uri": "//evil.example/"}')
    for _ in range(4):
        with pytest.raises(HttpUnavailableError):
            await sender.find(message())
    assert await sender.find(message()) is None, "a listed message without an id is none"


def test_half_a_configuration_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RATCHET_SMS__TWILIO__ACCOUNT_SID", "AC1")
    with pytest.raises(SettingsError, match=r"RATCHET_SMS__TWILIO.*belong together"):
        load()
    monkeypatch.setenv("RATCHET_SMS__TWILIO__AUTH_TOKEN", "secret")
    monkeypatch.setenv("RATCHET_SMS__TWILIO__FROM", SENDER)
    assert load().sms.twilio.configured
    monkeypatch.setenv("RATCHET_SMS__TWILIO__BASE_URL", "http://user:secret@host")
    with pytest.raises(SettingsError, match="BASE_URL"):
        load()


def test_no_configuration_is_no_sender():
    with pytest.raises(SettingsError, match="not set"):
        TwilioSender(Settings(), None)  # type: ignore[arg-type]
