"""The APIs that show an object by its id, played by their published paths: asked by the clock, refused, processed."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import batch_harness
from dispatching import Office, office
from outside import outside
from pydantic import SecretStr

from runtime.sql import statement
from schemas.record import Attributes, Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = pytest.mark.integration

BEARER = {"Authorization": "Bearer key"}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"key:hidden").decode()}
EUR = {"amount": 1000, "currency": "EUR"}
SHOWN: dict[str, tuple[str, str, dict[str, str], Any]] = {
    "square": ("p1", "/v2/payments/p1", BEARER, {"payment": {"id": "p1", "status": "CANCELED", "amount_money": EUR}}),
    "razorpay": (
        "pay_1",
        "/v1/payments/pay_1",
        BASIC,
        {"id": "pay_1", "entity": "payment", "status": "captured", "amount": 1000, "currency": "INR"},
    ),
    "paypal": (
        "charge:A1",
        "/v2/payments/authorizations/A1",
        {"Authorization": "Bearer A21AA-0"},
        {"id": "A1", "status": "VOIDED", "amount": {"currency_code": "EUR", "value": "10.00"}},
    ),
    "checkout": (
        "pay_1",
        "/payments/pay_1",
        BEARER,
        {"id": "pay_1", "status": "Expired", "amount": 1000, "currency": "EUR"},
    ),
    "paystack": (
        "ord1",
        "/transaction/verify/ord1",
        BEARER,
        {"status": True, "data": {"reference": "ord1", "status": "success", "amount": 1000, "currency": "NGN"}},
    ),
    "standard_webhooks": (
        "pay_1",
        "/payments/pay_1",
        BEARER,
        {"payment_id": "pay_1", "status": "succeeded", "total_amount": 1000, "currency": "EUR"},
    ),
    "braintree": (
        "t1",
        "/merchants/m1/transactions/t1",
        BASIC | {"Accept": "application/xml", "X-ApiVersion": "6"},
        "<transaction><id>t1</id><type>sale</type><status>processed</status></transaction>",
    ),
    "shopify": (
        "7",
        "/admin/api/2026-07/orders/7.json",
        {"X-Shopify-Access-Token": "key"},
        {"order": {"id": 7, "total_price": "10.00", "currency": "EUR", "financial_status": "paid"}},
    ),
}


FIRST: dict[str, tuple[str, str, dict[str, str], Any]] = {
    "paypal": (
        "PAYID-1",
        "/v1/payments/payment/PAYID-1",
        {"Authorization": "Bearer A21AA-0"},
        {"id": "PAYID-1", "state": "approved", "transactions": []},
    ),
    "paystack": (
        "charge:pre1",
        "/preauthorization/pre1",
        BEARER,
        {"status": True, "data": {"reference": "pre1", "status": "released", "amount": 1000, "currency": "ZAR"}},
    ),
    "stripe": (
        "refund:re_1",
        "/v1/refunds/re_1",
        BEARER,
        {"object": "refund", "id": "re_1", "payment_intent": "pi_1", "status": "failed"},
    ),
}
"""Objects of APIs that show others too: a payment of PayPal's version 1, a hold, a refund by its own id."""


AGED = "created_at = created_at - interval '4 days', updated_at = updated_at"


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[Office]:
    async with outside() as world, office(database, world) as open_office:
        for provider, (_, path, headers, body) in SHOWN.items():
            world.shown[provider + path] = (headers, body if isinstance(body, str) else json.dumps(body))
        yield open_office


def configured(office: Office, *, key: str = "key") -> dict[str, Any]:
    """Return the settings of all of the providers, at the outside's addresses."""
    return {
        provider: {
            "api_key": SecretStr("client" if provider == "paypal" and key == "key" else key),
            "api_secret": SecretStr("hidden"),
            "api_merchant": "m1",
            "api_base_url": f"{office.world.url}/apis/{provider}",
        }
        for provider in SHOWN
    }


async def test_every_api_is_asked_and_its_answer_is_an_event(harness: Office) -> None:
    for provider, (ref, *_) in SHOWN.items():
        await harness.ask_again(ref, provider)
    lease = await harness.lease()
    async with harness.job("refetch", providers=configured(harness)) as job:
        while await job.turn(lease):
            pass
    reported = {row["provider"]: (row["status"], row["attempts"], row["last_error"])
            for row in await harness.rows("refetches")}  # fmt: skip
    assert reported == dict.fromkeys(SHOWN, ("done", 1, None))
    spooled = {dict(zip(row["header_names"], row["header_values"], strict=True))[b"ce_source"].decode(): row
               for row in await harness.rows("spool")}  # fmt: skip
    assert set(spooled) == set(SHOWN)
    assert json.loads(spooled["square"]["value"]) == SHOWN["square"][3]
    assert spooled["braintree"]["value"].decode() == SHOWN["braintree"][3]


async def test_the_objects_that_an_api_shows_beside_are_asked_for_by_their_ids(harness: Office) -> None:
    for provider, (ref, path, headers, body) in FIRST.items():
        harness.world.shown[provider + path] = (headers, json.dumps(body))
        await harness.ask_again(ref, provider)
    lease = await harness.lease()
    settings = configured(harness)
    settings["stripe"] = {**settings["square"], "api_base_url": f"{harness.world.url}/apis/stripe"}
    async with harness.job("refetch", providers=settings) as job:
        while await job.turn(lease):
            pass
    reported = {row["provider"]: (row["status"], row["last_error"]) for row in await harness.rows("refetches")}
    assert reported == dict.fromkeys(FIRST, ("done", None))
    kinds = {dict(zip(row["header_names"], row["header_values"], strict=True))[b"ce_type"].decode()
             for row in await harness.rows("spool")}  # fmt: skip
    assert kinds == {"refetch.payment", "refetch.hold", "refetch.refund"}


async def test_credentials_that_are_refused_say_so_at_the_first_answer(harness: Office) -> None:
    for provider, (ref, *_) in SHOWN.items():
        await harness.ask_again(ref, provider)
    lease = await harness.lease()
    async with harness.job("refetch", providers=configured(harness, key="old")) as job:
        while await job.turn(lease):
            pass
    host = harness.world.url.removeprefix("http://")
    refused = f"{host} refuses the credentials (401); check the provider's api_ settings"
    granted = f"{host} grants no access token: 401; check the provider's api_ settings"
    reported = {row["provider"]: (row["status"], row["attempts"], row["last_error"])
            for row in await harness.rows("refetches")}  # fmt: skip
    assert reported == {provider: ("failed", 1, granted if provider == "paypal" else refused) for provider in SHOWN}


async def process(ledger: Any, place: int, kind: str, body: bytes, headers: Any = None) -> None:
    reported = headers or Attributes("square", f"e{place}", kind, 1.79e9).to_headers()
    await ledger.process([Record("payments.webhooks", 0, place, 0, b"p1", body, reported)])


def event(kind: str, name: str, thing: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "merchant_id": "M1", "data": {"object": {name: thing}}}).encode()


async def test_a_subscriptions_sale_and_its_refund_are_asked_about_until_they_end(
    harness: Office, database: Database
) -> None:
    """PayPal's events of both ends are lost. The sale's id looks like an order's, and is known as none."""
    amount = {"total": "10.00", "currency": "EUR"}
    sale = {"id": "S1", "state": "pending", "amount": amount, "billing_agreement_id": "I-1"}
    refund = {"id": "R1", "state": "pending", "amount": {"total": "-4.00", "currency": "EUR"}, "sale_id": "S1"}
    token = {"Authorization": "Bearer A21AA-0"}
    harness.world.shown["paypal/v1/payments/sale/S1"] = (token, json.dumps(sale | {"state": "completed"}))
    harness.world.shown["paypal/v1/payments/refund/R1"] = (token, json.dumps(refund | {"state": "completed"}))
    async with batch_harness(database.dsn) as ledger:
        for place, (kind, resource) in enumerate((("SALE.PENDING", sale), ("SALE.REFUNDED", refund))):
            body = json.dumps({"event_type": f"PAYMENT.{kind}", "resource": resource}).encode()
            headers = Attributes("paypal", f"e{place}", f"PAYMENT.{kind}", 1.79e9).to_headers()
            await process(ledger, place, kind, body, headers)
        await harness.pool.execute(f"update payments set {AGED} - interval '4 days'")
        lease = await harness.lease()
        async with harness.job("watch", providers=configured(harness)) as watch:
            await watch.turn(lease)
        assert {row["ref"] for row in await harness.rows("refetches")} == {"S1", "capture:S1", "refund:R1"}
        async with harness.job("refetch", providers=configured(harness)) as job:
            while await job.turn(lease):
                pass
        assert {row["status"] for row in await harness.rows("refetches")} == {"done"}
        for place, row in enumerate(await harness.rows("spool"), start=2):
            names = [name.decode() for name in row["header_names"]]
            headers = tuple(zip(names, row["header_values"], strict=True))
            await process(ledger, place, "", row["value"], headers)
    [payment] = await harness.pool.fetch("select * from payments")
    assert (payment["provider_ref"], payment["status"], payment["refund_status"]) == ("S1", "captured", "partial")
    assert (payment["captured"], payment["refunded"]) == (1000, 400)
    assert await harness.pool.fetchval("select count(*) from dead_letters") == 0


async def test_the_clock_asks_by_the_ids_of_what_is_open_and_the_answer_meets_its_merchants_payment(
    harness: Office, database: Database
) -> None:
    """One refund is pending and one has failed; the answer names no merchant, and the events do."""
    money, refund = {"amount": 300, "currency": "EUR"}, {"payment_id": "p1", "status": "PENDING"}
    refunds = {own: {"id": own, "amount_money": money, **refund} for own in ("r1", "r2")}
    done = {**refunds["r2"], "status": "FAILED"}
    reported = {"refund": refunds["r1"] | {"status": "COMPLETED"}}
    harness.world.shown["square/v2/refunds/r1"] = (BEARER, json.dumps(reported))
    async with batch_harness(database.dsn) as ledger:
        paid = {"id": "p1", "status": "COMPLETED", "amount_money": EUR}
        await process(ledger, 0, "payment.updated", event("payment.updated", "payment", paid))
        for place, one in enumerate((*refunds.values(), done), start=1):
            await process(ledger, place, "refund.updated", event("refund.updated", "refund", one))
        await harness.pool.execute(f"update payments set {AGED} - interval '4 days'")
        lease = await harness.lease()
        async with harness.job("watch", providers=configured(harness)) as watch:
            await watch.turn(lease)
        assert [(row["ref"], row["reason"]) for row in await harness.rows("refetches")] == [("refund:r1", "stale")]
        async with harness.job("refetch", providers=configured(harness)) as job:
            assert await job.turn(lease)
        [row] = await harness.rows("spool")
        names = [name.decode() for name in row["header_names"]]
        headers = tuple(zip(names, row["header_values"], strict=True))
        assert row["key"] == b"p1"
        await process(ledger, 9, "", row["value"], headers)
    [payment] = await harness.pool.fetch("select * from payments")
    assert (payment["captured"], payment["refunded"], payment["refund_status"]) == (1000, 300, "partial")


async def test_a_reference_of_two_merchants_is_asked_about_once(harness: Office, database: Database) -> None:
    async with batch_harness(database.dsn) as ledger:
        for place, merchant in enumerate(("M1", "M2")):
            pending = {"id": "p1", "status": "PENDING", "amount_money": EUR}
            body = {"type": "payment.updated", "merchant_id": merchant, "data": {"object": {"payment": pending}}}
            await process(ledger, place, "payment.updated", json.dumps(body).encode())
    await harness.pool.execute(f"update payments set {AGED} - interval '4 days'")
    lease = await harness.lease()
    async with harness.job("watch", providers=configured(harness)) as watch:
        await watch.turn(lease)
    assert [row["ref"] for row in await harness.rows("refetches")] == ["p1"]


async def test_what_waits_for_a_key_is_named_and_a_hint_alone_counts_as_waiting(harness: Office) -> None:
    await harness.ask_again("p1", "square")
    await harness.ask_again("pi_1", "stripe")
    await harness.pool.execute(
        "insert into refetches (provider, account, ref, reason) values ('mollie', '', 'a', 'hint')"
    )
    row = await harness.pool.fetchrow(statement("consumer.dispatcher", "count_waiting"), ["stripe"], [""])
    assert (row["refetches"], sorted(row["without_key"])) == (2, ["mollie", "square"])


async def test_a_shop_without_an_address_is_not_asked(harness: Office) -> None:
    settings = configured(harness)
    del settings["shopify"]["api_base_url"]
    await harness.ask_again("7", "shopify")
    lease = await harness.lease()
    async with harness.job("refetch", providers=settings) as job:
        assert not await job.turn(lease)
