"""Which promises stand in a client's way and what counts as asked: each beside rows that differ in one thing."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from written_rows import insert

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration

NOW = dt.datetime.now(dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
ASKED = ("shop", "stripe", "acct", "m1", True, "pi_1", "order 1")
"""Client, provider, account, merchant account, live money, the provider's id, the client's reference."""
PLACE = {"provider": "stripe", "account": "acct", "merchant_account": "m1", "livemode": True}
CREATE = {
    "client": "rival",
    "fingerprint": b"f" * 32,
    "command": "create",
    "event_id": "e",
    "record_key": "k",
    "answer": b"",
    "currency": "EUR",
    "amount": 1000,
    "created_at": NOW,
    "expires_at": NOW + DAY,
    **PLACE,
}
REFUND = {
    "client": "shop",
    "fingerprint": b"f" * 32,
    "command": "refund",
    "event_id": "e",
    "record_key": "k",
    "answer": b"",
    "amount": 100,
    "seen": 0,
    "created_at": NOW,
    "expires_at": NOW + DAY,
}
PAYMENT = {
    "client": "rival",
    "status": "created",
    "refund_status": "none",
    "dispute_status": "none",
    "amount": 1000,
    "authorized": 0,
    "captured": 0,
    "refunded": 0,
    "disputed": 0,
    "version": 1,
    "facts": "{}",
    "head_hash": b"",
    "head_xid": 9,
    "created_at": NOW,
    "updated_at": NOW,
    **PLACE,
}
COMMAND = {
    "client": "shop",
    "command": "refund",
    "amount": 100,
    "seen": 0,
    "asked_at": NOW,
    "relay_xid": 5,
    **PLACE,
    "created_at": NOW,
    "expires_at": NOW + HOUR,
}


async def request(owner: asyncpg.Connection[Any], like: dict[str, Any] = CREATE, **changed: Any) -> uuid.UUID:
    row = {"payment_id": uuid.uuid4(), "idempotency_key": uuid.uuid4()} | like | changed
    await insert(owner, "intent_claims", **row)
    return uuid.UUID(str(row["payment_id"]))


async def payment(owner: asyncpg.Connection[Any], **changed: Any) -> uuid.UUID:
    row = {"id": uuid.uuid4()} | PAYMENT | changed
    await insert(owner, "payments", **row)
    return uuid.UUID(str(row["id"]))


async def command(owner: asyncpg.Connection[Any], payment_id: uuid.UUID, **changed: Any) -> None:
    named = {"payment_id": payment_id, "command_id": str(uuid.uuid4()), "attempt_id": payment_id}
    await insert(owner, "commands", **named | COMMAND | changed)


async def empty(owner: asyncpg.Connection[Any]) -> None:
    for table in ("payment_refs", "commands", "intent_claims", "payments"):
        await owner.execute(f"delete from {table}")


async def taken(owner: asyncpg.Connection[Any], *asked: Any) -> uuid.UUID | None:
    row = await owner.fetchrow(statement("producers", "find_taken"), *(asked or ASKED))
    return None if row is None else uuid.UUID(str(row["payment_id"]))


async def test_a_reference_is_taken_by_whoever_asks_for_it_in_the_same_scope(owner: asyncpg.Connection[Any]) -> None:
    anybody = (*ASKED[:3], "", *ASKED[4:])
    for changed, stands in [
        ({}, True),
        ({"merchant_account": ""}, True),
        ({"merchant_account": None}, True),
        ({"livemode": None}, True),
        ({"reference": "order 2"}, False),
        ({"provider": "paypal"}, False),
        ({"account": "other"}, False),
        ({"livemode": False}, False),
        ({"merchant_account": "m2"}, False),
    ]:
        recorded = await request(owner, **{"reference": "order 1"} | changed)
        assert await taken(owner) == (recorded if stands else None), changed
        in_any = stands or "merchant_account" in changed
        assert await taken(owner, *anybody) == (recorded if in_any else None), changed
        await empty(owner)
    for status, captured, stands in [
        *((one, 0, False) for one in ("canceled", "expired", "failed")),
        *((one, 1, True) for one in ("canceled", "expired", "failed")),
        ("created", 0, True),
    ]:
        recorded = await payment(owner, status=status, captured=captured)
        await request(owner, payment_id=recorded, reference="order 1")
        assert await taken(owner) == (recorded if stands else None), (status, captured)
        await empty(owner)


async def test_an_id_of_the_provider_is_taken_by_the_client_itself_alone(owner: asyncpg.Connection[Any]) -> None:
    own = {"client": "shop", "provider_ref": "pi_1"}
    for changed, stands in [
        ({}, True),
        ({"client": "rival"}, False),
        ({"provider": "paypal"}, False),
        ({"account": "other"}, False),
        ({"provider_ref": "pi_2"}, False),
    ]:
        recorded = await request(owner, **own | changed)
        assert await taken(owner) == (recorded if stands else None), changed
        await empty(owner)
    for changed, stands in [
        ({}, True),
        ({"client": "rival"}, False),
        ({"ref": "pi_2"}, False),
        ({"kind": "charge"}, False),
        ({"provider": "paypal"}, False),
        ({"account": "other"}, False),
    ]:
        client = changed.pop("client", "shop")
        known = await payment(owner, client=client)
        await insert(owner, "payment_refs", **{"kind": "payment", "ref": "pi_1", "payment_id": known} | PLACE | changed)
        assert await taken(owner) == (known if stands else None), (client, changed)
        await empty(owner)


async def test_a_reference_is_taken_by_a_payment_that_is_live_in_the_same_scope(owner: asyncpg.Connection[Any]) -> None:
    anybody = (*ASKED[:3], "", *ASKED[4:])
    for changed, stands in [
        ({}, True),
        ({"merchant_account": ""}, True),
        ({"client": None}, False),
        ({"reference": "order 2"}, False),
        ({"provider": "paypal"}, False),
        ({"account": "other"}, False),
        ({"livemode": False}, False),
        ({"merchant_account": "m2"}, False),
        *(({"status": one}, False) for one in ("canceled", "expired", "failed")),
        *(({"status": one, "captured": 1}, True) for one in ("canceled", "expired", "failed")),
    ]:
        known = await payment(owner, **{"reference": "order 1"} | changed)
        assert await taken(owner) == (known if stands else None), changed
        in_any = stands or "merchant_account" in changed
        assert await taken(owner, *anybody) == (known if in_any else None), changed
        await empty(owner)


async def test_of_several_promises_the_clients_own_is_named_first(owner: asyncpg.Connection[Any]) -> None:
    first, *others = sorted(uuid.uuid4() for _ in range(4))
    for one, client in zip((first, *others), ("rival", "rival", "shop", "shop"), strict=True):
        await payment(owner, id=one, client=client, reference="order 1")
    assert await taken(owner) == others[1], "of its own the first"
    assert await taken(owner, "another", *ASKED[1:]) == first


async def test_what_counts_as_asked_for(owner: asyncpg.Connection[Any]) -> None:
    one, other = await payment(owner), await payment(owner)
    asked = {"attempt_id": one, "payment_id": one}
    await command(owner, other, command_id="of another payment")
    await request(owner, REFUND, **asked, amount=1)
    await request(owner, REFUND, **asked, amount=2, state="accepted", created_at=NOW - HOUR / 2)
    await request(owner, REFUND, **asked, amount=3, event_id="of another payment", created_at=NOW - HOUR / 3)
    for changed in (
        {"payment_id": other},
        {"state": "refused"},
        {"created_at": NOW - 2 * HOUR},
        {"event_id": "taken on"},
    ):
        await request(owner, REFUND, **asked | {"amount": 50} | changed)
    await request(owner, CREATE, payment_id=one, amount=60)
    await command(owner, one, command_id="taken on", amount=4, asked_at=NOW - HOUR)
    await command(owner, one, amount=5, state="done", asked_at=NOW - 9 * HOUR, expires_at=NOW - 8 * HOUR)
    await command(owner, one, amount=6, state="accepted", asked_at=NOW - 8 * HOUR, expires_at=NOW - HOUR / 2)
    await command(owner, one, amount=70, state="refused")
    await command(owner, one, amount=80, asked_at=NOW - 9 * HOUR, expires_at=NOW - 2 * HOUR)
    await command(owner, other, amount=90)
    await command(owner, other, amount=90, state="done")
    found = await owner.fetch(statement("producers", "read_asked"), one, 3600.0, 3600.0)
    assert [row["amount"] for row in found] == [5, 6, 4, 2, 3, 1]


async def test_an_attempt_that_was_merged_is_the_one_that_it_turned_out_to_be(owner: asyncpg.Connection[Any]) -> None:
    last = await payment(owner)
    middle = await payment(owner, merged_into=last)
    first = await payment(owner, merged_into=middle)
    nowhere = uuid.uuid4()
    for amount, attempt in ((1, first), (2, last), (3, nowhere)):
        await command(owner, last, attempt_id=attempt, amount=amount, asked_at=NOW + amount * HOUR / 60)
    for sql, arguments in (
        (statement("producers", "read_asked"), (last, 3600.0, 3600.0)),
        (statement("consumer", "read_commands"), ([last], 3600.0)),
    ):
        found = await owner.fetch(sql, *arguments)
        assert [row["attempt_id"] for row in found] == [last, last, nowhere]


async def test_commands_are_read_of_their_payments_in_their_order_and_over_where_nobody_ended_them(
    owner: asyncpg.Connection[Any],
) -> None:
    one, other, third = sorted([await payment(owner) for _ in range(3)])
    for payment_id, xid, expired in ((other, 5, 1), (one, 6, 3), (one, 5, 1), (third, 5, 1), (one, 5, 3)):
        asked, expires = NOW - 9 * HOUR, NOW - expired * HOUR
        await command(owner, payment_id, relay_xid=xid, asked_at=asked, expires_at=expires)
    found = await owner.fetch(statement("consumer", "read_commands"), [other, one], 2 * 3600.0)
    assert [(row["payment_id"], row["over"]) for row in found] == [
        *((one, False), (one, True), (one, True), (other, False)),
    ]


async def test_records_go_after_their_time_unless_they_are_all_that_is_known(
    owner: asyncpg.Connection[Any], database: Database
) -> None:
    old = {"created_at": NOW - 9 * DAY}
    known = await payment(owner)
    await request(owner, CREATE, **old, payment_id=known, expires_at=NOW - 2 * HOUR, event_id="first")
    await request(owner, REFUND, **old, expires_at=NOW - 3 * HOUR, event_id="oldest")
    await request(owner, REFUND, **old, expires_at=NOW - HOUR, event_id="last")
    await request(owner, REFUND, **old, expires_at=NOW + HOUR, event_id="stands")
    await request(owner, CREATE, **old, expires_at=NOW - 4 * HOUR, event_id="all that is known")
    sql, other = statement("producers", "delete_idempotency_records"), await asyncpg.connect(database.owner_dsn)

    async def left() -> set[str]:
        return {row["event_id"] for row in await owner.fetch("select event_id from intent_claims")}

    everything = await left()
    try:
        async with other.transaction():
            await other.execute("select from intent_claims where event_id = 'oldest' for update")
            await owner.execute("set lock_timeout = '2s'")
            assert await owner.execute(sql, 1) == "DELETE 1"
            assert await left() == everything - {"first"}, "one that somebody holds is left to him"
    finally:
        await other.close()
    assert await owner.execute(sql, 1) == "DELETE 1"
    assert await left() == everything - {"first", "oldest"}
    assert await owner.execute(sql, 9) == "DELETE 1"
    assert await left() == {"stands", "all that is known"}


async def test_commands_go_after_their_time_once_they_are_published(owner: asyncpg.Connection[Any]) -> None:
    one = await payment(owner)
    for name, age, xid in (("b", 3, 5), ("a", 4, 5), ("young", 1, 5), ("next", 3, 5), ("later", 3, 6)):
        await command(owner, one, command_id=name, created_at=NOW - age * HOUR, relay_xid=xid)
    place = await owner.fetchval("select id from commands where command_id = 'young'")
    await owner.execute("update relay_cursors set relay_xid = 9, id = 9")
    await owner.execute("update relay_cursors set relay_xid = 5, id = $1 where name = 'commands'", place)
    sql = statement("producers", "delete_commands")

    async def left() -> set[str]:
        return {row["command_id"] for row in await owner.fetch("select command_id from commands")}

    assert await owner.execute(sql, 1, 2 * 3600.0) == "DELETE 1"
    assert await left() == {"b", "young", "next", "later"}
    assert await owner.execute(sql, 9, 2 * 3600.0) == "DELETE 1"
    assert await left() == {"young", "next", "later"}
    assert await owner.execute(sql, 9, 0.0) == "DELETE 1"
    assert await left() == {"next", "later"}, "the one under the cursor is published"


async def test_a_clients_own_payments_are_found_by_any_of_their_names(owner: asyncpg.Connection[Any]) -> None:
    sql = statement("producers", "find_own_payments")

    async def found(
        by_id: uuid.UUID | None = None, ref: str | None = None, reference: str | None = None, rows: int = 9
    ) -> list[uuid.UUID]:
        return [row["id"] for row in await owner.fetch(sql, "shop", by_id, ref, reference, rows)]

    last = await payment(owner, client="shop", created_at=NOW - HOUR, reference="order 1")
    merged = await payment(owner, client="shop", merged_into=last)
    attempt = await payment(owner, client=None, intent_id=last)
    rivals = await payment(owner, client="rival", reference="order 1")
    newer = await payment(owner, client="shop", reference="order 1")
    for kind, ref, one in (("payment", "pi_1", attempt), ("reference", "pi_2", newer), ("charge", "ch_1", rivals)):
        await insert(owner, "payment_refs", kind=kind, ref=ref, payment_id=one, **PLACE)
    await insert(owner, "payment_refs", kind="payment", ref="pi_nobody", payment_id=None, **PLACE)
    recorded = await request(owner, client="shop", provider_ref="pi_9", reference="order 9")
    await request(owner, client="shop", payment_id=newer, provider_ref="pi_8", reference="order 9")
    await request(owner, client="rival", provider_ref="pi_9", reference="order 9")
    assert [await found(by_id=one) for one in (last, merged, attempt, rivals)] == [[last], [last], [last], []]
    assert [await found(ref=one) for one in ("pi_1", "pi_2", "ch_1", "pi_nobody")] == [[last], [], [], []]
    assert await found(reference="order 1") == [last, newer], "the oldest first"
    assert await found(reference="order 1", rows=1) == [last]
    assert [await found(by_id=recorded), await found(ref="pi_9"), await found(reference="order 9")] == [[recorded]] * 3
    assert await found(ref="pi_8") == [], "what is in the ledger is found there"


async def test_a_record_that_has_expired_stands_for_as_long_as_it_is_there(owner: asyncpg.Connection[Any]) -> None:
    """Its time says when it may be deleted: one that answered no more would refuse its key for good."""
    old = {"client": "shop", "created_at": NOW - 9 * DAY, "expires_at": NOW - 8 * DAY}
    key, answer = uuid.uuid4(), b'{"id":"1"}'
    names = {"provider_ref": "pi_1", "reference": "order 1"}
    recorded = await request(owner, **old, idempotency_key=key, answer=answer, **names)
    found = await owner.fetchrow(statement("producers", "find_idempotency_record"), "shop", key)
    assert found is not None
    assert (found["payment_id"], found["answer"]) == (recorded, answer)
    assert await owner.fetchrow(statement("producers", "find_idempotency_record"), "rival", key) is None
    assert await taken(owner) == recorded
    assert await taken(owner, "rival", *ASKED[1:]) == recorded, "by its reference"
    assert await taken(owner, *ASKED[:-1], "order 2") == recorded, "by the provider's id"
    view = await owner.fetchrow(statement("producers", "read_recorded_view"), recorded, "shop")
    assert view is not None
    assert view["id"] == recorded
    for name in ((recorded, None, None), (None, "pi_1", None), (None, None, "order 1")):
        own = await owner.fetch(statement("producers", "find_own_payments"), "shop", *name, 9)
        assert [row["id"] for row in own] == [recorded], name
    await request(owner, REFUND, **old, payment_id=recorded)
    assert len(await owner.fetch(statement("producers", "read_asked"), recorded, 10 * 86_400.0, 3600.0)) == 1
