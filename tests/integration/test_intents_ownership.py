"""Whose payment is it: clients that name what is not theirs get a refusal, or a payment of their own that is empty."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import BatchHarness, batch_harness, records, webhook
from running_intents import Api, open_api, process

from runtime.settings import ClientSettings, ProviderSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

MONEY = ("captured", "authorized", "refunded", "disputed")


@pytest.fixture
async def api(stack: Any, database: Any) -> AsyncIterator[Api]:
    async with open_api(stack.kafka, database.dsn) as opened:
        yield opened


@pytest.fixture
async def harness(database: Any) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


async def reports(harness: BatchHarness, *events: Any, first: int = 0) -> None:
    await harness.process(records(events, first=first))


def is_empty(payment: Any) -> bool:
    return [payment[name] for name in MONEY] == [0] * 4 and payment["status"] == "created"


async def test_a_client_names_its_own_accounts_alone(stack: Any, database: Any) -> None:
    own = {"rival": ClientSettings(accounts=("stripe", "stripe/acme")), "shop": ClientSettings(accounts=())}
    async with open_api(stack.kafka, database.dsn, clients=own) as api:
        rival = api.of("rival")
        for reported, status in (
            ({"provider": "stripe"}, 202),
            ({"provider": "stripe", "account": "ACME"}, 202),
            ({"provider": "standard_webhooks"}, 422),
            ({"provider": "stripe", "account": "someoneelse"}, 422),
            ({"provider": "github"}, 422),
        ):
            reply = await rival.create(**reported)
            assert reply.status == status, reported
            assert status == 202 or reply.slug == "invalid-body"
        assert (await api.create()).status == 422, "a client whose list is empty may name nothing"


async def test_what_is_not_configured_is_refused_to_everybody(api: Api) -> None:
    for reported in ({"provider": "adyen"}, {"account": "someoneelse"}, {"provider": "github"}, {"provider": "twilio"}):
        reply = await api.create(**reported)
        assert (reply.status, reply.slug) == (422, "invalid-body")
    assert (await api.create(account="other")).status == 202


async def test_an_intent_that_does_not_fit_gets_an_empty_payment(api: Api, harness: BatchHarness) -> None:
    """Sequence A: a stranger's captured payment, named with an amount of 1."""
    await reports(harness, webhook("payment.captured", "pay-victim", amount=125_000))
    mine = (await api.create(amount=1, provider_ref="pay-victim", phone="+254700000001")).json["id"]
    await process(harness)
    assert is_empty((await api.get(mine)).json)
    assert (await api.post(f"/payment-intents/{mine}/refunds", {})).status == 409
    assert await harness.fetch("select from sms_transactions") == []


async def test_an_intent_never_makes_two_strangers_one(api: Api, harness: BatchHarness) -> None:
    """Sequence B: one payment by its id and another by its reference, in one intent."""
    await reports(
        harness,
        webhook("payment.captured", "pay-one", amount=1_000),
        webhook("payment.captured", "pay-two", amount=70_000, reference="ORD-two"),
    )
    mine = (await api.create(amount=1, provider_ref="pay-one", reference="ORD-two")).json["id"]
    await process(harness)
    assert is_empty((await api.get(mine)).json)
    rows = await harness.fetch("select captured from payments where client is null and merged_into is null order by 1")
    assert [row["captured"] for row in rows] == [1_000, 70_000]


async def test_a_reference_that_is_promised_is_refused_and_names_nobody(api: Api, harness: BatchHarness) -> None:
    """Sequence C between clients that share the account: the first promise stands, and the second knows it at once."""
    first = await api.of("rival").create(reference="NEXT", amount=1)
    for _ in range(2):
        second = await api.create(reference="NEXT", amount=9_900)
        assert (second.status, second.slug) == (409, "reference-taken")
        assert "payment_id" not in second.json, "another client's id is shown to nobody"
        assert (await api.get(first.json["id"])).status == 404
        await process(harness)
        await harness.pool.execute("delete from intent_claims")


async def test_of_two_clients_that_promise_one_reference_at_once_one_is_the_second(
    api: Api, harness: BatchHarness
) -> None:
    clients = (api, api.of("rival"))
    for order in range(10):
        replies = await asyncio.gather(*(one.create(reference=f"ORD-{order}") for one in clients for _ in range(3)))
        assert sorted(reply.status for reply in replies) == [202] + [409] * 5
    assert await harness.pool.fetchval("select count(*) from spool") == 10


async def test_clients_with_accounts_of_their_own_take_no_reference_from_each_other(stack: Any, database: Any) -> None:
    """Sequence C between clients that share nothing."""
    own = {"rival": ClientSettings(accounts=("standard_webhooks/other",)), "shop": ClientSettings(accounts=("stripe",))}
    async with open_api(stack.kafka, database.dsn, clients=own) as api, batch_harness(database.dsn) as harness:
        rival = api.of("rival")
        assert (await rival.create(reference="NEXT", amount=1, provider="stripe")).status == 422
        taken = await rival.create(reference="NEXT", amount=1, account="other")
        mine = await api.create(reference="NEXT", amount=9_900, provider="stripe")
        assert (taken.status, mine.status) == (202, 202)
        await process(harness)
        assert (await api.get(mine.json["id"])).json["amount"] == 9_900
        assert is_empty((await rival.get(taken.json["id"])).json)


@pytest.mark.parametrize("end", ["payment.canceled", "payment.expired", "payment.failed"])
async def test_a_payment_that_ended_without_money_gives_its_reference_free(
    api: Api, harness: BatchHarness, end: str
) -> None:
    assert (await api.create(reference="ORD", provider_ref="pay-1")).status == 202
    await process(harness)
    again = {"reference": "ORD", "provider_ref": "pay-2"}
    assert (await api.create(**again)).status == 409
    await reports(harness, webhook(end, "pay-1"))
    await harness.fetch("select")
    reply = await api.create(**again)
    assert (reply.status, reply.json["reference"]) == (202, "ORD")
    third = await api.create(reference="ORD")
    assert (third.status, third.json["payment_id"]) == (409, reply.json["id"])


async def test_the_same_order_at_another_provider_or_in_another_mode_is_another_promise(
    stack: Any, database: Any
) -> None:
    test_mode = {"stripe": ProviderSettings.model_validate({"secrets": ["whsec_1"], "mode": "test"})}
    async with open_api(stack.kafka, database.dsn, providers=test_mode) as api:
        replies = [
            await api.create(reference="ORD", **reported)
            for reported in ({}, {"account": "other"}, {"provider": "stripe"}, {"provider": "stripe", "livemode": True})
        ]
        assert [reply.status for reply in replies] == [202] * 4
        assert [reply.json["livemode"] for reply in replies] == [True, True, False, True]
        assert (await api.create(reference="ORD", provider="stripe", livemode=False)).status == 409


async def test_merchant_accounts_part_references(stack: Any, database: Any, harness: BatchHarness) -> None:
    adyen = {"adyen": ProviderSettings.model_validate({"secrets": ["aa"], "merchant_accounts": ["One", "Two"]})}
    async with open_api(stack.kafka, database.dsn, providers=adyen) as api:
        one = await api.create(reference="ORD", provider="adyen", merchant_account="One")
        two = await api.create(reference="ORD", provider="adyen", merchant_account="Two")
        assert (one.json["merchant_account"], two.status) == ("One", 202)
        for account in ({}, {"merchant_account": "One"}, {"merchant_account": "Two"}):
            taken = await api.create(reference="ORD", provider="adyen", **account)
            assert taken.status == 409, "left out, it may be either"
        await process(harness)
        await harness.pool.execute("delete from intent_claims")
        for account in ({}, {"merchant_account": "One"}, {"merchant_account": "Two"}):
            taken = await api.create(reference="ORD", provider="adyen", **account)
            assert taken.status == 409, "so it is where only the payments tell"
        assert (await api.create(provider="adyen", merchant_account="Three")).status == 422


async def test_the_record_says_the_scope_that_was_promised(api: Api, harness: BatchHarness) -> None:
    await api.create(reference="ORD")
    (row,) = await harness.fetch("select value from spool")
    body = json.loads(row["value"])["body"]
    assert (body["livemode"], body["merchant_account"]) == (True, "")


async def test_a_client_reads_and_commands_its_own_rows_alone(api: Api, harness: BatchHarness) -> None:
    await reports(harness, webhook("payment.captured", "pay-nobody", amount=100))
    (nobodys,) = await harness.fetch("select id from payments")
    mine = (await api.create(reference="ORD")).json["id"]
    await process(harness)
    for client, payment_id in (("shop", nobodys["id"]), ("rival", nobodys["id"]), ("rival", mine)):
        other = api.of(client)
        for tail in ("", "/timeline"):
            assert (await other.get(str(payment_id), tail)).status == 404
        for command in ("capture", "cancel", "refunds"):
            assert (await other.post(f"/payment-intents/{payment_id}/{command}", {})).status == 404


async def test_no_refund_of_money_that_a_dispute_took(api: Api, harness: BatchHarness) -> None:
    payment_id = (await api.create(provider_ref="pay-1", amount=5_000)).json["id"]
    path = f"/payment-intents/{payment_id}/refunds"
    await process(harness)
    await reports(
        harness,
        webhook("payment.captured", "pay-1", amount=5_000, child="cap-1"),
        webhook("dispute.opened", "pay-1", child="dp-1", amount=5_000),
        webhook("dispute.funds_withdrawn", "pay-1", child="dp-1", amount=5_000),
    )
    reply = await api.post(path, {})
    assert (reply.status, reply.slug, reply.json["disputes"]) == (409, "state-forbids", ["dp-1"])
    assert "dp-1" in reply.json["detail"]
    await reports(harness, webhook("dispute.funds_reinstated", "pay-1", child="dp-1", amount=5_000), first=10)
    assert (await api.post(path, {})).status == 202


async def found(api: Api, query: str) -> list[str]:
    reply = await api.call("GET", f"/payments?{query}")
    assert (reply.status, reply.json["complete"]) == (200, True), reply.body
    return [payment["id"] for payment in reply.json["payments"]]


async def test_metadata_are_kept_and_shown_from_the_record_on(api: Api, harness: BatchHarness) -> None:
    noted = {"cart": [7, {"note": "é"}], "gift": None}
    mine = (await api.create(provider_ref="pay-noted", metadata=noted)).json["id"]
    bare = (await api.create()).json["id"]
    assert (await api.get(mine)).json["metadata"] == noted
    await process(harness)
    assert (await api.get(mine)).json["metadata"] == noted
    assert (await api.get(bare)).json["metadata"] == {}
    assert (await api.call("GET", f"/payments?id={mine}")).json["payments"][0]["metadata"] == noted


async def test_a_client_finds_its_own_payments_by_every_name_and_nobody_elses(api: Api, harness: BatchHarness) -> None:
    rival = api.of("rival")
    mine = (await api.create(reference="ORD-F", amount=1000)).json["id"]
    named = (await api.create(provider_ref="pay-f2", amount=1000)).json["id"]
    names = {f"id={mine}": mine, "reference=ORD-F": mine, "provider_ref=pay-f2": named}
    for query, payment in names.items():
        assert await found(api, query) == [payment], "from the record"
        assert await found(rival, query) == []
    await process(harness)
    attempt = webhook("payment.captured", "pay-f1", child="c1", amount=1000, reference="ORD-F")
    await reports(harness, attempt, webhook("payment.captured", "pay-f2", child="c2", amount=1000), first=10)
    await reports(harness, webhook("payment.captured", "pay-f3", child="c3", amount=1000), first=20)
    names |= {"provider_ref=pay-f1": mine}
    for query, payment in names.items():
        assert await found(api, query) == [payment], query
        assert await found(rival, query) == [], query
    assert await found(api, "provider_ref=pay-f3") == [], "what only webhooks opened is nobody's"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "id=1",
        "reference=a&id=b",
        "reference=",
        "reference=%ff",
        "reference=%00",
        "ref=a",
        f"reference={'a' * 5000}",
    ],
)
async def test_a_query_that_names_nothing_is_refused(api: Api, query: str) -> None:
    reply = await api.call("GET", f"/payments?{query}")
    assert (reply.status, reply.slug) == (400, "invalid-query")
    assert (await api.post("/payments", {})).status == 405
