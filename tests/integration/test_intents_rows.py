"""Which promises stand in a client's way and what counts as asked: each beside rows that differ in one thing."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from written_rows import insert

from consumer.facts_json import dump_joined
from consumer.fold import newer, project
from providers.core.payments import dispute_funds
from runtime.sql import statement
from schemas.facts import Fact, FactKind

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
LOGGED = {
    "source": "s",
    "event_type": "x",
    "outcome": "noop",
    "facts": "[]",
    "topic": "t",
    "partition": 0,
    "offset": 0,
    "recorded_at": NOW,
    "hash": b"h" * 32,
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
            await other.execute("select from intent_claims where event_id = 'oldest' for no key update")
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


async def view(owner: asyncpg.Connection[Any], payment_id: uuid.UUID, grace: float = 3600.0) -> dict[str, Any]:
    """Return the client's payment as the API shows it, its lists read."""
    (row,) = await owner.fetch(statement("producers", "read_payment_view"), payment_id, "shop", grace)
    return {**row, "commands": json.loads(row["commands"]), "attempts": json.loads(row["attempts"])}


SEEN = ("captures_seen", "refunds_seen", "refunds_pending")


async def test_a_view_adds_up_a_payment_and_its_attempts_and_nobody_else(owner: asyncpg.Connection[Any]) -> None:
    own = {
        "capture:c1": ["succeeded", 10],
        "capture:c2": ["pending", 3],
        "refund_total:pi": ["succeeded", 90],
        "refund:r1": ["pending", 7],
        "refund:r2": ["pending"],
        "refund:r3": ["failed", 5],
        "reversal:b1": ["failed", 1],
        "reversal:a12": ["done", 1],
        "reversal:c": ["canceled", 1],
        "capture:undone": ["failed", 0],
        "dispute_out:d1": ["withdrawn", 4],
        "dispute:d1": ["open"],
    }
    theirs = {
        "capture:c3": ["succeeded", 20],
        "refund:r4": ["pending"],
        "refund_total:pi2": ["succeeded", 9],
        "reversal:x": ["done", 1],
        "dispute_out:d2": ["withdrawn", 4],
    }
    strange = {
        "capture:c9": ["succeeded", 1000],
        "refund:r9": ["pending", 1000],
        "refund_total:x": ["succeeded", 1000],
        "reversal:x9": ["done"],
        "dispute_out:d0": ["withdrawn", 1000],
    }
    one = await payment(owner, client="shop", captured=6, refunded=1, facts=json.dumps(own))
    attempt = await payment(owner, client=None, intent_id=one, captured=30, refunded=1, facts=json.dumps(theirs))
    merged = await payment(owner, client="shop", merged_into=one, facts=json.dumps(strange))
    for changed in ({"client": "shop"}, {"intent_id": one, "merged_into": attempt}):
        await payment(owner, **changed, facts=json.dumps(strange))
    found = await view(owner, one)
    assert found == await view(owner, merged), "the one that it turned out to be"
    assert found["id"] == one
    assert [found[name] for name in SEEN] == [33, 99, 7 + 6 + 30], "of no amount: all of its own payment"
    assert (found["disputes"], found["reversals"]) == (["d1", "d2"], ["a12", "b1", "x"])
    (shown,) = found["attempts"]
    assert (shown["id"], [shown[name] for name in SEEN]) == (str(attempt), [30, 9, 30])
    less = {"capture:c3": ["pending", 20], "refund:r5": ["failed", 4], "refund:r6": ["pending", 2]}
    await owner.execute("update payments set captured = 9, facts = $2 where id = $1", attempt, json.dumps(less))
    (shown,) = (await view(owner, one))["attempts"]
    assert [shown[name] for name in SEEN] == [20, 6, 2]
    for payment_id, client in ((one, "rival"), (attempt, "shop"), (uuid.uuid4(), "shop")):
        assert await owner.fetch(statement("producers", "read_payment_view"), payment_id, client, 1.0) == []


async def test_a_view_of_nothing_yet_is_zero_and_empty(owner: asyncpg.Connection[Any]) -> None:
    bare = await payment(owner, client="shop")
    await payment(owner, intent_id=bare)
    found = await view(owner, bare)
    assert [found[name] for name in SEEN] == [0, 0, 0]
    assert [found["attempts"][0][name] for name in SEEN] == [0, 0, 0]
    assert [found[name] for name in ("disputes", "reversals", "commands")] == [[], [], []]
    assert (await view(owner, await payment(owner, client="shop")))["attempts"] == []


Moves = tuple[tuple[str, int | None, int, str | None], ...]
OUT, IN = "withdrawn", "reinstated"


HOLDING: tuple[tuple[Moves, int], ...] = (
    (((OUT, 1, 0, None),), 1),
    (((OUT, 0, 0, None),), 0),
    (((OUT, None, 0, None),), 1000),
    (((OUT, 40, 0, None), (IN, 40, 0, None)), 0),
    (((OUT, 40, 0, None), (IN, 39, 0, None)), 1),
    (((OUT, 40, 0, None), (IN, None, 0, None)), 0),
    (((OUT, None, 0, None), (IN, 999, 0, None)), 1),
    (((OUT, 40, 0, "a"), (OUT, None, 0, "b"), (IN, 999, 0, None)), 1),
    (((OUT, 40, 0, None), (IN, 15, 0, "a"), (IN, 25, 0, "b")), 0),
    (((OUT, 40, 0, None), (IN, 15, 0, "a"), (IN, None, 0, "b")), 0),
    (((OUT, 40, 0, None), (OUT, 30, 1, None)), 30),
    (((OUT, 40, 0, None), (IN, 15, 0, None), (OUT, 30, 1, None)), 55),
    (((OUT, 40, 0, None), (IN, 40, 0, None), (OUT, 40, 1, None)), 40),
    (((OUT, 40, 0, None), (IN, None, 0, None), (OUT, 40, 1, None)), 40),
    (((OUT, 40, 0, None), (IN, 60, 0, None), (OUT, 10, 1, None)), 10),
    (((OUT, 40, 0, None), (OUT, 40, 1, None), (IN, 40, 1, None)), 0),
    (((OUT, 40, 9, None), (OUT, 40, 10, None), (IN, 40, 10, None)), 0),
    (((OUT, 40, 2, None), (IN, 40, 1, None)), 40),
    (((OUT, 40, 0, None), (IN, 10, 1, None)), 0),
)
"""What disputes took and gave back, in which round and by which part, and what they hold of 1000 captured."""


async def test_a_view_names_the_disputes_that_hold_money(owner: asyncpg.Connection[Any]) -> None:
    """Round by round as the ledger counts them: what one round gave back is not that of another."""
    captured = newer({}, [Fact(FactKind.CAPTURE, "c", "succeeded", 1000)])
    for moves, held in HOLDING:
        funds = [dispute_funds("d", state, amount, number=number, part=part) for state, amount, number, part in moves]
        facts = captured | newer({}, funds)
        shown = project(facts)
        assert shown.disputed == held, moves
        one = await payment(owner, client="shop", captured=shown.captured, disputed=held, facts=dump_joined(facts))
        assert (await view(owner, one))["disputes"] == (["d"] if held else []), moves


async def test_a_dispute_without_an_amount_holds_all_of_its_own_attempt(owner: asyncpg.Connection[Any]) -> None:
    returned, withdrawn = (dump_joined(newer({}, [dispute_funds("d", *move)])) for move in ((IN, 39), (OUT, None)))
    one = await payment(owner, client="shop", captured=100, disputed=1, facts=returned)
    await payment(owner, client=None, intent_id=one, captured=40, facts=withdrawn)
    await payment(owner, client=None, intent_id=one, captured=60, facts="{}")
    assert (await view(owner, one))["disputes"] == ["d"]
    await owner.execute("update payments set captured = 39 where captured = 40")
    assert (await view(owner, one))["disputes"] == []


async def test_a_view_names_no_more_disputes_reversals_and_attempts_than_are_read(
    owner: asyncpg.Connection[Any],
) -> None:
    """The first in their order, each dispute by its own rounds."""
    names = [f"d{number}" for number in range(8, 30)]
    held = [dispute_funds(name, OUT, 1, number=number % 3) for number, name in enumerate(names)]
    disputed = newer({}, [*held, dispute_funds("d10", IN, 1, number=2)])
    undone = {f"reversal:{name}": ["done", 1] for name in names}
    facts = json.loads(dump_joined(disputed)) | undone
    one = await payment(owner, client="shop", facts=json.dumps(facts))
    found = await view(owner, one)
    assert found["disputes"] == sorted(set(names) - {"d10"})[:20]
    assert found["reversals"] == sorted(names)[:20]
    await payment(owner, client=None, intent_id=one)
    made = await owner.fetch(
        "insert into payments select (jsonb_populate_record(p, jsonb_build_object('id', gen_random_uuid()))).*"
        " from payments as p, generate_series(1, 101) where intent_id = $1 returning id",
        one,
    )
    first = sorted({row["id"] for row in await owner.fetch("select id from payments where intent_id = $1", one)})[:100]
    assert len(made) == 101
    assert [uuid.UUID(shown["id"]) for shown in (await view(owner, one))["attempts"]] == first


async def test_commands_go_under_the_key_of_the_payments_create_or_under_its_strongest_name(
    owner: asyncpg.Connection[Any],
) -> None:
    await request(owner, record_key="of another payment")
    for named, key in (
        ({"provider_ref": "pi_1", "reference": "o 1"}, "pi_1"),
        ({"reference": "o 1"}, "o 1"),
        ({}, None),
    ):
        one = await payment(owner, client="shop", **named)
        await request(owner, REFUND, payment_id=one, record_key="of a refund")
        assert (await view(owner, one))["record_key"] == (key or str(one))
        await request(owner, payment_id=one, client="shop", record_key="as it was created")
        assert (await view(owner, one))["record_key"] == "as it was created"


async def test_a_view_shows_what_became_of_each_command(owner: asyncpg.Connection[Any]) -> None:
    one, other = await payment(owner, client="shop"), await payment(owner, client="shop")
    past = {"asked_at": NOW - 9 * HOUR, "expires_at": NOW - 2 * HOUR}
    within = {"asked_at": NOW - 8 * HOUR, "expires_at": NOW - HOUR / 2}
    for name, changed in {
        "b": past,
        "a": past,
        "accepted and over": {**past, "state": "accepted"},
        "done": {**past, "state": "done"},
        "refused": {**past, "state": "refused", "refusal": "no"},
        "within the grace": within,
        "taken on": {**within, "state": "accepted"},
        "a rival's": {"client": "rival"},
    }.items():
        await command(owner, one, command_id=name, **changed)
    await command(owner, other, command_id="of another payment")
    for name, changed in {
        "d": {},
        "c": {},
        "of another payment": {"state": "refused", "refusal": "why"},
        "taken on": {},
        "another's request": {"client": "rival"},
        "elsewhere": {"payment_id": other},
    }.items():
        await request(owner, REFUND, **{"payment_id": one, "event_id": name} | changed)
    await request(owner, payment_id=one, client="shop", event_id="created")
    found = (await view(owner, one))["commands"]
    assert [(shown["id"], shown["state"], shown["reason"]) for shown in found] == [
        *(("a", "expired", None), ("accepted and over", "expired", None), ("b", "expired", None)),
        *(("done", "done", None), ("refused", "refused", "no"), ("taken on", "accepted", None)),
        *(("within the grace", "asked", None), ("c", "asked", None), ("d", "asked", None)),
        ("of another payment", "refused", "why"),
    ]
    assert {shown["expires_at"] is None for shown in found if shown["id"] in {"c", "d", "of another payment"}} == {True}


async def test_a_record_shows_what_was_asked_for_and_its_newest_commands(owner: asyncpg.Connection[Any]) -> None:
    """From the record alone and, once the payment is in the ledger, from there: the same."""
    sql = statement("producers", "read_recorded_view")
    one = await request(owner, client="shop", reference="order 1", metadata='{"a": 1}')
    bare = await request(owner, client="shop", merchant_account=None, livemode=None, created_at=NOW - HOUR)
    await request(owner, REFUND, payment_id=bare, event_id="asked", attempt_id=bare)
    await request(
        owner, REFUND, payment_id=bare, event_id="no", state="refused", refusal="why", created_at=NOW + HOUR / 90
    )
    await request(owner, REFUND, payment_id=bare, event_id="of a rival", client="rival")
    figures = ("authorized", "captured", "refunded", "disputed", "version", *SEEN)
    (row,) = await owner.fetch(sql, one, "shop")
    assert {name: row[name] for name in figures} == dict.fromkeys(figures, 0)
    assert (row["amount"], row["currency"], row["reference"], row["record_key"]) == (1000, "EUR", "order 1", "k")
    assert (row["merchant_account"], row["livemode"], row["metadata"]) == ("m1", True, '{"a": 1}')
    assert (row["created_at"], row["updated_at"], json.loads(row["commands"])) == (NOW, NOW, [])
    (row,) = await owner.fetch(sql, bare, "shop")
    assert (row["merchant_account"], row["livemode"]) == ("", True)
    assert [(shown["id"], shown["state"], shown["reason"]) for shown in json.loads(row["commands"])] == [
        *(("asked", "asked", None), ("no", "refused", "why")),
    ]
    assert await owner.fetch(sql, bare, "rival") == []
    test_money = await request(owner, client="shop", livemode=False, merchant_account="m2")
    (row,) = await owner.fetch(sql, test_money, "shop")
    assert (row["livemode"], row["merchant_account"]) == (False, "m2")


async def test_the_newest_fifty_commands_are_shown_the_oldest_first(owner: asyncpg.Connection[Any]) -> None:
    one = await request(owner, client="shop")
    minutes = {f"{number:02}": number // 2 for number in range(51)}
    for name in sorted(minutes, reverse=True):
        asked = {"payment_id": one, "event_id": name, "created_at": NOW + minutes[name] * HOUR / 60}
        await request(owner, REFUND, **asked, expires_at=NOW + 2 * DAY)
    (recorded,) = await owner.fetch(statement("producers", "read_recorded_view"), one, "shop")
    await payment(owner, id=one, client="shop")
    for found in (json.loads(recorded["commands"]), (await view(owner, one))["commands"]):
        assert [shown["id"] for shown in found] == sorted(minutes)[1:]


async def test_a_key_is_found_by_its_client_and_itself(owner: asyncpg.Connection[Any]) -> None:
    keys = {(client, uuid.uuid4()): f"{client} {number}".encode() for client in ("shop", "rival") for number in (1, 2)}
    for (client, key), answer in keys.items():
        await request(owner, client=client, idempotency_key=key, answer=answer)
    for (client, key), answer in keys.items():
        found = await owner.fetch(statement("producers", "find_idempotency_record"), client, key)
        assert [row["answer"] for row in found] == [answer]
        other = "rival" if client == "shop" else "shop"
        assert await owner.fetch(statement("producers", "find_idempotency_record"), other, key) == []


async def test_a_timeline_is_of_a_payment_and_what_was_merged_into_it_in_the_ledgers_order(
    owner: asyncpg.Connection[Any],
) -> None:
    one, other = await payment(owner), await payment(owner)
    merged = await payment(owner, merged_into=one)
    first = await payment(owner, merged_into=merged)
    for payment_id, xid, name in (
        *((one, 7, "d"), (first, 6, "b"), (merged, 6, "c"), (other, 6, "of another"), (None, 6, "of none")),
        *((one, 5, "a"),),
    ):
        await insert(owner, "payment_logs", **LOGGED, payment_id=payment_id, relay_xid=xid, event_id=name)

    async def found(payment_id: uuid.UUID, rows: int) -> list[str]:
        moments = await owner.fetch(statement("producers", "read_moments"), payment_id, rows)
        return [moment["event_id"] for moment in moments]

    assert await found(one, 9) == ["a", "b", "c", "d"]
    assert await found(one, 2) == ["a", "b"]
    assert await found(merged, 9) == ["b", "c"]


async def test_payments_of_one_name_come_in_the_order_of_their_making(owner: asyncpg.Connection[Any]) -> None:
    sql, moment = statement("producers", "find_own_payments"), NOW - HOUR
    tied = sorted((uuid.uuid4() for _ in range(4)), reverse=True)
    newest = await payment(owner, client="shop", reference="o")
    for one in tied:
        await payment(owner, client="shop", reference="o", id=one, created_at=moment, updated_at=moment)
    oldest = await payment(owner, client="shop", reference="o", created_at=NOW - DAY)
    recorded = await request(owner, client="shop", reference="o", created_at=NOW - 2 * DAY)
    await request(owner, REFUND, payment_id=recorded, created_at=NOW - HOUR)
    order = [recorded, oldest, *sorted(tied), newest]
    assert [row["id"] for row in await owner.fetch(sql, "shop", None, None, "o", 9)] == order
    assert [row["id"] for row in await owner.fetch(sql, "shop", recorded, None, None, 9)] == [recorded]
    await payment(owner, client=None, intent_id=newest, reference="typed by somebody")
    assert await owner.fetch(sql, "shop", None, None, "typed by somebody", 9) == [], "it is no promise of the client's"


async def test_what_was_asked_for_counts_up_to_its_time_and_no_moment_longer(owner: asyncpg.Connection[Any]) -> None:
    one = await payment(owner)
    async with owner.transaction():
        now = await owner.fetchval("select now()")
        for name, age in (("b", HOUR), ("a", HOUR - dt.timedelta(microseconds=1))):
            await request(owner, REFUND, payment_id=one, event_id=name, amount=ord(name), created_at=now - age)
            expired = {"asked_at": now - DAY, "expires_at": now - age}
            await command(owner, one, command_id=f"{name}2", amount=ord(name) + 100, **expired)
        found = await owner.fetch(statement("producers", "read_asked"), one, 3600.0, 3600.0)
    assert sorted(row["amount"] for row in found) == [ord("a"), ord("a") + 100]


async def test_a_record_is_written_as_it_was_made_with_its_answer_for_its_time(owner: asyncpg.Connection[Any]) -> None:
    created = {
        "client": "shop",
        "idempotency_key": uuid.uuid4(),
        "fingerprint": b"f" * 32,
        "command": "create",
        "payment_id": uuid.uuid4(),
        "event_id": "e",
        "record_key": "k",
        "provider": "stripe",
        "account": "acct",
        "merchant_account": "m1",
        "livemode": False,
        "reference": "order 1",
        "provider_ref": "pi_1",
        "currency": "EUR",
        "amount": 1000,
        "seen": None,
        "metadata": '{"a": 1}',
        "attempt_id": None,
    }
    asked = dict.fromkeys(created, None) | {
        "client": "shop",
        "idempotency_key": uuid.uuid4(),
        "fingerprint": b"g" * 32,
        "command": "refund",
        "payment_id": created["payment_id"],
        "event_id": "f",
        "record_key": "k",
        "amount": 70,
        "seen": 5,
        "attempt_id": uuid.uuid4(),
    }
    for row in (created, asked):
        await owner.execute(statement("producers", "insert_idempotency_record"), *row.values(), 2 * 86_400.0, b"answer")
        found = await owner.fetchrow(
            "select *, expires_at - now() as kept from intent_claims where idempotency_key = $1", row["idempotency_key"]
        )
        assert found is not None
        assert {name: found[name] for name in row} == row
        assert (found["answer"], found["state"], round(found["kept"] / HOUR)) == (b"answer", None, 48)
