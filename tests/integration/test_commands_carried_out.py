"""Commands from the request to the executor and back: checked anew, published in order, answered, or silent."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import BatchHarness, Event, answer, batch_harness, intent_records, records, webhook
from msgspec.structs import replace
from relay_rows import reading, relaying
from relay_rows import settings_for as relay_settings
from running_intents import Api, open_api, process

from consumer import rows
from consumer.commands import balance_of
from producers.ingress.intents.payment_view import PaymentView
from producers.relay.cleaning import clean_commands
from producers.relay.rebase import rebase
from producers.relay.sampling import sample
from runtime import metrics
from runtime.kafka import ensure_topics
from runtime.lease import PostgresLeases
from runtime.settings import IntentsSettings
from runtime.sql import statement
from schemas.command_room import Balance
from schemas.commands import CommandRecord
from schemas.errors import LeaseLostError
from schemas.topics import EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = pytest.mark.integration

PLACES = itertools.count()


@pytest.fixture
async def api(stack: Any, database: Any) -> AsyncIterator[Api]:
    async with open_api(stack.kafka, database.dsn) as opened:
        yield opened


@pytest.fixture
async def harness(database: Any) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


async def tell(harness: BatchHarness, *events: Event) -> None:
    """Do what the consumer does with webhooks."""
    await harness.process(records(events, first=1000 * next(PLACES)))


async def answers(harness: BatchHarness, *events: Event) -> None:
    await harness.process(records(events, topic=EVENTS.name, first=1000 * next(PLACES)))


async def captured(api: Api, harness: BatchHarness, payment: str) -> str:
    """Make a payment of 100 of the client's that was captured; return its path."""
    path = f"/payment-intents/{(await api.create(provider_ref=payment)).json['id']}"
    await process(harness)
    await tell(harness, webhook("payment.captured", payment, amount=100))
    return path


def asked_directly(payment_id: object, *, client: str = "shop", name: str = "refund", **body: Any) -> Event:
    """Make a command as a service publishes it past the API: with no header but its id."""
    command_id = str(uuid.uuid4())
    value = json.dumps({"id": str(payment_id), "client": client, "command": name, "body": body}).encode()
    return Event(command_id, str(payment_id).encode(), value, (("ce_id", command_id.encode()),))


async def publish(harness: BatchHarness, *events: Event) -> None:
    """Do what the consumer does with commands that are published past the API, asked for just now."""
    now_ms = int(harness.clock.now() * 1000)
    found = intent_records(events, first=1_000_000 + 1000 * next(PLACES))
    await harness.process([replace(one, timestamp_ms=now_ms) for one in found])


async def test_a_command_is_published_with_all_that_its_executor_needs(
    api: Api, harness: BatchHarness, stack: Any, database: Database
) -> None:
    await ensure_topics(relay_settings(stack, database.dsn).kafka)
    path = await captured(api, harness, "pay-c1")
    reply = await api.post(f"{path}/refunds", {"amount": 60, "reason": "too small", "metadata": {"a": [1]}})
    assert reply.status == 202
    await process(harness)
    [shown] = (await api.call("GET", path)).json["commands"]
    async with reading(stack, "payments.commands") as reader, relaying(relay_settings(stack, database.dsn)):
        await reader.until(lambda found: any(json.loads(one.value)["id"] == shown["id"] for one in found))
    record = next(one for one in reader.records if json.loads(one.value)["id"] == shown["id"])
    command = CommandRecord.model_validate_json(record.value)
    payment_id = path.rpartition("/")[2]
    assert (str(command.payment_id), str(command.attempt_id), record.key) == (payment_id,) * 2 + (payment_id.encode(),)
    assert (command.command, command.amount, command.currency, command.provider_ref) == ("refund", 60, "EUR", "pay-c1")
    assert (command.provider, command.client, command.livemode) == ("standard_webhooks", "shop", True)
    assert (command.reason, command.metadata) == ("too small", {"a": [1]})
    assert (command.expires_at - command.asked_at).total_seconds() == 6 * 3600
    assert shown["state"] == "asked"
    assert (shown["attempt_id"], shown["amount"], len(shown["id"])) == (payment_id, 60, 36)
    assert command.expires_at.isoformat()[:19] == shown["expires_at"][:19]
    assert dict(record.headers)["ce_id"] == shown["id"].encode()


async def test_commands_of_a_payment_leave_in_the_order_in_which_they_were_checked(
    api: Api, harness: BatchHarness, stack: Any, database: Database
) -> None:
    await ensure_topics(relay_settings(stack, database.dsn).kafka)
    paths = [await captured(api, harness, f"pay-o{number}") for number in range(3)]
    async with reading(stack, "payments.commands") as reader:
        for amount in range(1, 11):
            for path in paths:
                await publish(harness, asked_directly(path.rpartition("/")[2], amount=amount))
            if amount == 5:
                async with relaying(relay_settings(stack, database.dsn, batch_records_max=2)):
                    await reader.until(lambda found: len(found) >= 15)
        async with relaying(relay_settings(stack, database.dsn, batch_records_max=2)):
            await reader.until(lambda found: len(found) >= 30)
    for path in paths:
        key = path.rpartition("/")[2].encode()
        assert [json.loads(one.value)["amount"] for one in reader.records if one.key == key] == list(range(1, 11))


async def test_a_command_that_finds_no_room_any_more_reads_refused_and_is_never_published(
    api: Api, harness: BatchHarness
) -> None:
    path = await captured(api, harness, "pay-c2")
    assert (await api.post(f"{path}/refunds", {"amount": 100})).status == 202
    await tell(harness, webhook("refund.succeeded", "pay-c2", amount=30, child="r1"))
    await process(harness)
    [shown] = (await api.call("GET", path)).json["commands"]
    assert (shown["state"], "which leaves no 100" in shown["reason"]) == ("refused", True)
    found = await harness.tables()
    assert (found.letters, found.ledger[-1]["outcome"]) == ([], "noop")
    [row] = await harness.fetch(statement("producers", "read_commands"), 0, 0, 100, 1 << 20)
    assert row["due"] is False
    assert (await api.post(f"{path}/refunds", {"amount": 70})).status == 202, "a refusal holds no money back"


async def test_commands_past_the_api_count_there_too_and_are_shown(api: Api, harness: BatchHarness) -> None:
    path = await captured(api, harness, "pay-c3")
    payment_id = path.rpartition("/")[2]
    await publish(harness, asked_directly(payment_id, amount=60), asked_directly(payment_id, amount=60))
    shown = (await api.call("GET", path)).json["commands"]
    assert sorted(one["state"] for one in shown) == ["asked", "refused"]
    assert (await api.post(f"{path}/refunds", {"amount": 41})).slug == "state-forbids"
    assert (await api.post(f"{path}/refunds", {"amount": 40})).status == 202
    await publish(harness, asked_directly(payment_id, client="rival"))
    assert [letter["reason"] for letter in (await harness.tables()).letters] == ["conflict"]


async def test_silence_frees_the_money_after_the_grace_and_a_late_answer_counts(
    api: Api, harness: BatchHarness, database: Database
) -> None:
    path = await captured(api, harness, "pay-c4")
    await api.post(f"{path}/refunds", {"amount": 100})
    await process(harness)
    older = "update commands set asked_at = asked_at - $1::interval, expires_at = expires_at - $1::interval"

    async def look() -> tuple[str, int, float]:
        """Return the command's state, what a further refund gets, and the gauge."""
        await sample(harness.pool, 100)
        state = (await api.call("GET", path)).json["commands"][0]["state"]
        gauge = metrics.REGISTRY.get_sample_value("ratchet_commands_unanswered", {"command": "refund"})
        return state, (await api.post(f"{path}/refunds", {"amount": 200})).status, gauge or 0.0

    async with database_owner(database) as owner:
        assert await look() == ("asked", 409, 0.0)
        await owner.execute(older.replace("$1", "'7 hours'"))
        assert await look() == ("asked", 409, 1.0), "expired: nobody begins it, and its money waits still"
        assert "and 100 is asked for" in (await api.post(f"{path}/refunds")).json["detail"]
        await owner.execute(older.replace("$1", "'18 hours'"))
        assert (await look())[::2] == ("expired", 1.0)
    assert (await api.post(f"{path}/refunds", {"amount": 30})).status == 202
    command_id = (await api.call("GET", path)).json["commands"][0]["id"]
    await answers(harness, answer(path.rpartition("/")[2], command_id, "accepted"))
    assert (await look())[::2] == ("expired", 1.0), "taken on is not ended"
    await answers(harness, answer(path.rpartition("/")[2], command_id, "done"))
    assert await look() == ("done", 409, 0.0)
    assert (await api.post(f"{path}/refunds", {"amount": 1})).slug == "state-forbids", "it was carried out: it counts"
    await process(harness)
    second = (await api.call("GET", path)).json["commands"][1]
    assert second["state"] == "refused", "the consumer looks again, and knows by now"


def database_owner(database: Database) -> Any:
    return asyncpg.create_pool(database.owner_dsn, min_size=1, max_size=1)


async def paid_in_two(api: Api, harness: BatchHarness, reference: str) -> str:
    """Make an order of 100 that was paid by a gift card of 20 and a card of 80; return its path."""
    path = f"/payment-intents/{(await api.create(reference=reference)).json['id']}"
    await process(harness)
    await tell(
        harness,
        webhook("payment.captured", f"{reference}-gift", amount=20, reference=reference),
        webhook("payment.captured", f"{reference}-card", amount=80, reference=reference),
    )
    return path


async def test_an_order_of_several_attempts_needs_one_named(api: Api, harness: BatchHarness) -> None:
    path = await paid_in_two(api, harness, "order-c5")
    shown = (await api.call("GET", path)).json
    attempts = {one["provider_ref"]: one for one in shown["attempts"]}
    assert {name: one["captured"] for name, one in attempts.items()} == {"order-c5-gift": 20, "order-c5-card": 80}
    card, gift = attempts["order-c5-card"]["id"], attempts["order-c5-gift"]["id"]
    unnamed = await api.post(f"{path}/refunds", {"amount": 10})
    assert (unnamed.status, unnamed.slug) == (422, "invalid-body")
    assert unnamed.json["errors"][0]["pointer"] == "#/attempt_id"
    assert sorted(unnamed.json["attempt_ids"]) == sorted([card, gift])
    assert (await api.post(f"{path}/refunds", {"attempt_id": str(uuid.uuid4())})).status == 422
    assert (await api.post(f"{path}/refunds", {"amount": 21, "attempt_id": gift})).slug == "state-forbids"
    assert (await api.post(f"{path}/refunds", {"attempt_id": card})).json["amount"] == 80
    assert (await api.post(f"{path}/refunds")).json["amount"] == 20, "one alone has room"
    await process(harness)
    assert (await api.post(f"{path}/refunds")).slug == "state-forbids"
    found = await harness.fetch("select attempt_id::text, provider_ref, amount from commands order by id")
    assert [tuple(row.values()) for row in found] == [(card, "order-c5-card", 80), (gift, "order-c5-gift", 20)]
    assert (await api.call("GET", f"/payment-intents/{card}")).status == 404


async def test_a_command_stays_with_its_attempt_when_adoption_changes(api: Api, harness: BatchHarness) -> None:
    """A command that was taken on keeps what it is for; one that was not is refused where its attempt is gone."""
    path = await paid_in_two(api, harness, "order-c6")
    attempts = {one["provider_ref"]: one["id"] for one in (await api.call("GET", path)).json["attempts"]}
    await api.post(f"{path}/refunds", {"amount": 50, "attempt_id": attempts["order-c6-card"]})
    await process(harness)
    await api.post(f"{path}/refunds", {"amount": 5, "attempt_id": attempts["order-c6-gift"]})
    async with harness.pool.acquire() as connection:
        await connection.execute("update payments set intent_id = null")
    await process(harness)
    found = await harness.fetch("select provider_ref, attempt_id::text, refusal from commands order by id")
    assert tuple(found[0].values()) == ("order-c6-card", attempts["order-c6-card"], None)
    assert found[1]["refusal"] is not None


async def test_the_consumer_s_figures_are_the_api_s(api: Api, harness: BatchHarness) -> None:
    """The same payment by `balance_of` and by read_payment_view.sql: refunds by id and in sum, pending, disputes."""
    path = await captured(api, harness, "pay-c7")
    await tell(
        harness,
        webhook("refund.pending", "pay-c7", amount=10, child="r1"),
        webhook("refund.succeeded", "pay-c7", amount=20, child="r2"),
        webhook("refund.failed", "pay-c7", amount=5, child="r3"),
    )
    order = await paid_in_two(api, harness, "order-c7")
    await tell(harness, webhook("refund.pending", "order-c7-card", amount=10, child="r4"))
    held = {row["id"]: rows.payment_of(row) for row in await harness.pool.fetch("select * from payments")}
    for one in (path, order):
        payment_id = uuid.UUID(one.rpartition("/")[2])
        row = await harness.pool.fetchrow(statement("producers", "read_payment_view"), payment_id, "shop", 1.0)
        view = PaymentView(**row)
        attempts = {found.id: found for found in view.adopted()}
        assert set(attempts) == {one.id for one in held.values() if one.intent_id == payment_id}
        for found in (view, *attempts.values()):
            if found is view and attempts:
                continue
            ours = balance_of(held[found.id])
            assert {
                name: getattr(found, name) for name in Balance.__slots__ if name not in ("disputes", "reversals")
            } == {name: getattr(ours, name) for name in Balance.__slots__ if name not in ("disputes", "reversals")}


async def test_old_commands_are_removed_under_the_lease_once_they_are_published(
    api: Api, harness: BatchHarness, database: Database
) -> None:
    path = await captured(api, harness, "pay-c8")
    await publish(harness, *(asked_directly(path.rpartition("/")[2], amount=1) for _ in range(4)))
    bounds = IntentsSettings(clean_rows_max=2)
    lease = await PostgresLeases(harness.pool).acquire("relay", "a", 30.0)
    assert lease is not None
    async with harness.pool.acquire() as connection:
        assert await clean_commands(connection, lease, bounds) == 0
        await connection.execute("update commands set created_at = now() - interval '91 days'")
        assert await clean_commands(connection, lease, bounds) == 0, "not published yet"
        first = "(select relay_xid, id from commands order by relay_xid, id limit 1)"
        await connection.execute(f"update relay_cursors set (relay_xid, id) = {first} where name = 'commands'")
        assert await clean_commands(connection, lease, bounds) == 1, "of one transaction's what the cursor has passed"
        assert await connection.fetchval("select count(distinct relay_xid) from commands") == 1
        await connection.execute("update relay_cursors set relay_xid = 1::bigint << 40 where name = 'commands'")
        assert [await clean_commands(connection, lease, bounds) for _ in range(3)] == [2, 1, 0]
        await PostgresLeases(harness.pool).release(lease)
        with pytest.raises(LeaseLostError):
            await clean_commands(connection, lease, bounds)


async def test_a_restored_copy_publishes_what_it_had_not_and_nobody_has_answered(
    api: Api, harness: BatchHarness, database: Database
) -> None:
    path = await captured(api, harness, "pay-c9")
    payment_id = path.rpartition("/")[2]
    await publish(harness, *(asked_directly(payment_id, amount=amount) for amount in (1, 2, 3)))
    first, *_ = await harness.fetch("select relay_xid, id, command_id from commands order by id")
    async with database_owner(database) as owner:
        await owner.execute(
            "update relay_cursors set relay_xid = $1, id = $2, updated_at = clock_timestamp() where name = 'commands'",
            first["relay_xid"],
            first["id"],
        )
        await publish(harness, asked_directly(payment_id, amount=4))
        await owner.execute("update commands set state = 'done' where amount = 2")
        await owner.execute("update commands set relay_xid = 3 where amount = 4")  # far below the cursor
    assert (await rebase(database.owner_dsn))["commands"] == 3
    cursor = await harness.pool.fetchrow(statement("producers", "read_cursor"), "commands")
    left = await harness.fetch(statement("producers", "read_commands"), cursor["relay_xid"], cursor["id"], 100, 1 << 20)
    assert [(row["amount"], row["due"]) for row in left] == [(2, False), (3, True), (4, True)]
