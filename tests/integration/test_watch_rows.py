"""Which payments and debits the clock's statements ask about again: each beside ones that differ in one thing."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import until_waiting
from filled_database import by_heap, filled_database, undone
from written_rows import insert

from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from conftest import Database

pytestmark = pytest.mark.integration

NOW = dt.datetime.now(dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
PARTLY = {"refund_status": "partial", "facts": '{"refund:r1": ["succeeded", 5], "refund:r2": ["pending", 5]}'}
PAYMENT = {
    "provider": "stripe", "account": "Acme", "status": "captured", "refund_status": "none", "dispute_status": "none",
    "amount": 10, "authorized": 10, "captured": 10, "refunded": 0, "disputed": 0, "version": 1, "facts": "{}",
    "head_hash": b"", "head_xid": 9, "created_at": NOW - DAY, "updated_at": NOW - 2 * HOUR, "provider_ref": "pi",
}  # fmt: skip
REFETCH = {
    "provider": "stripe", "account": "Acme", "ref": "pi", "reason": "hint", "status": "done", "attempts": 3,
    "next_attempt_at": NOW + HOUR, "updated_at": NOW - 9 * HOUR, "known": False, "priority": 9,
}  # fmt: skip
DEBIT = {"provider": "stripe", "account": "Acme", "ref": "pi", "noted_at": NOW - 9 * DAY, "until": NOW + DAY}


@pytest.fixture(scope="module")
async def filled(stack: Any, template_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    async with filled_database(stack, template_database, "select 1") as connection:
        yield connection


@pytest.fixture
async def owner(filled: asyncpg.Connection[Any]) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Give an empty database; what a test does in it is undone."""
    async with undone(filled):
        await by_heap(filled)
        await filled.execute("set local enable_hashagg = off")  # nor by how a table of hashes falls
        yield filled


async def pay(owner: asyncpg.Connection[Any], **changed: Any) -> uuid.UUID:
    payment_id = uuid.uuid4()
    await insert(owner, "payments", id=payment_id, **PAYMENT | changed)
    return payment_id


async def stale(
    owner: asyncpg.Connection[Any],
    statuses: Sequence[str] = ("authorized",),
    refunds: Sequence[str] = ("pending",),
    disputes: Sequence[str] = ("open",),
    *,
    most: int = 9,
    child: str | None = None,
) -> int:
    """Queue what was silent for an hour and was not asked about for four; return how many."""
    sql, states = statement("consumer.dispatcher", "queue_stale"), (list(statuses), list(refunds), list(disputes))
    return int(await owner.fetchval(sql, "stripe", "acme", *states, 3600.0, 4 * 3600.0, 10 * 86400.0, most, child))


async def debits(owner: asyncpg.Connection[Any], most: int = 9) -> int:
    """Queue debits that are five days old, and were not asked about for two; return how many."""
    sql = statement("consumer.dispatcher", "queue_debits")
    return int(await owner.fetchval(sql, "stripe", "acme", 5 * 86400.0, 2 * 86400.0, most))


async def queued(owner: asyncpg.Connection[Any]) -> set[str]:
    return {row["ref"] for row in await owner.fetch("select ref from refetches where reason = 'stale'")}


async def asked(owner: asyncpg.Connection[Any], changed: dict[str, Any], **options: Any) -> bool:
    """Tell whether a payment of these columns is asked about, and undo it."""
    async with undone(owner):
        await pay(owner, **changed)
        count = await stale(owner, **options)
        assert await queued(owner) == ({"pi"} if count else set())
        return bool(count)


OPEN_STATES = (
    *(("status", "statuses", state) for state in ("created", "requires_action", "processing", "authorized")),
    ("refund_status", "refunds", "pending"),
    *(("dispute_status", "disputes", state) for state in ("inquiry", "open", "under_review")),
)


async def test_each_open_state_is_asked_about_where_the_provider_s_schedule_has_it(
    owner: asyncpg.Connection[Any],
) -> None:
    final = {"statuses": ["failed"], "refunds": ["full"], "disputes": ["won"]}
    for column, option, state in OPEN_STATES:
        assert await asked(owner, {column: state}, **final | {option: [state]}), state
        assert not await asked(owner, {column: state}, **final), (state, "is on no schedule")
    over = {"status": "failed", "refund_status": "full", "dispute_status": "won"}
    assert not await asked(owner, over, **final), "nothing is open"


@pytest.mark.parametrize("state", [{"status": "authorized"}, PARTLY], ids=["open", "partly given back"])
async def test_what_was_silent_for_its_time_and_is_not_too_old_is_asked_about(
    owner: asyncpg.Connection[Any], state: dict[str, Any]
) -> None:
    assert await asked(owner, state)
    for changed in (
        {"provider": "mollie"},
        {"account": "other"},
        {"provider_ref": None},
        {"updated_at": NOW - HOUR / 2},
        {"created_at": NOW - 11 * DAY},
    ):
        assert not await asked(owner, state | changed), changed
    survivor = await pay(owner, provider_ref="other")
    await pay(owner, **state, merged_into=survivor)
    assert await stale(owner) == 0, "the one that it turned out to be is asked about"


async def test_a_refund_that_is_open_beside_others_is_asked_about_where_refunds_are(
    owner: asyncpg.Connection[Any],
) -> None:
    assert not await asked(owner, PARTLY, refunds=[])
    assert not await asked(owner, PARTLY | {"facts": '{"refund:r1": ["succeeded", 5]}'})
    assert not await asked(owner, PARTLY | {"refund_status": "full"})
    assert await asked(owner, PARTLY | {"dispute_status": "open"})


async def name(owner: asyncpg.Connection[Any], payment_id: uuid.UUID, *refs: str) -> None:
    for ref in refs:
        kind, _, own = ref.partition(":")
        await insert(owner, "payment_refs", provider="stripe", account="Acme", merchant_account="", livemode=True,
                     kind=kind, ref=own, payment_id=payment_id)  # fmt: skip


async def test_by_the_references_of_a_kind_that_a_payment_has(owner: asyncpg.Connection[Any]) -> None:
    longest = "c" * (255 - len("capture:"))
    await name(owner, await pay(owner, status="authorized"), "charge:x", "capture:c1", f"capture:{longest}",
               f"capture:{longest}c")  # fmt: skip
    await name(owner, await pay(owner, provider_ref="final"), "capture:c2")
    assert await stale(owner, child="capture") == 2
    assert await queued(owner) == {"capture:c1", f"capture:{longest}"}


async def test_by_refunds_and_disputes_that_are_open(owner: asyncpg.Connection[Any]) -> None:
    await name(owner, await pay(owner, **PARTLY), "refund:r1", "refund:r2", "dispute:d0")
    pending = {"refund_status": "pending", "facts": '{"refund:r3": ["pending", 5]}', "provider_ref": "pi_2"}
    await name(owner, await pay(owner, **pending), "refund:r3")
    facts = json.dumps({"dispute:d1": ["open", 5], "dispute:d2": ["won", 5]})
    await name(owner, await pay(owner, dispute_status="open", facts=facts), "dispute:d1", "dispute:d2", "refund:r0")
    assert await stale(owner, child="refund") == 2
    assert await queued(owner) == {"refund:r2", "refund:r3"}
    assert await stale(owner, child="dispute") == 1
    assert await queued(owner) == {"refund:r2", "refund:r3", "dispute:d1"}


async def test_the_longest_silent_are_asked_about_first_each_reference_once(owner: asyncpg.Connection[Any]) -> None:
    """Two merchants may have one reference: it is as old as the older of the two."""
    for ref, hours in (("a", 3), ("z", 2), ("b", 4), ("z", 5)):
        await pay(owner, status="authorized", provider_ref=ref, updated_at=NOW - hours * HOUR)
    for expected in ({"z"}, {"z", "b"}, {"z", "b", "a"}):
        assert await stale(owner, most=1) == 1
        assert await queued(owner) == expected
    assert await stale(owner, most=1) == 0


ASKED_BEFORE: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"status": "queued"}, False),
    ({"updated_at": NOW - HOUR}, False),
    ({"status": "failed"}, False),
    ({"status": "failed", "next_attempt_at": NOW - HOUR}, True),
    *(({"status": "queued", name: "other"}, True) for name in ("provider", "account", "ref")),
]


async def test_what_was_asked_about_lately_or_fails_for_long_waits(owner: asyncpg.Connection[Any]) -> None:
    await pay(owner, status="authorized")
    for changed, again in ASKED_BEFORE:
        await owner.execute("delete from refetches")
        await insert(owner, "refetches", **REFETCH | changed)
        before = await owner.fetch("select * from refetches")
        assert await stale(owner) == again, changed
        rows = await owner.fetch("select * from refetches where (provider, account, ref) = ('stripe', 'Acme', 'pi')")
        if again:
            assert [shown(row) for row in rows] == [QUEUED], changed
        else:
            assert rows == before, changed


QUEUED = ("stale", "queued", 0, True, True, 5, True)


def shown(row: asyncpg.Record) -> tuple[Any, ...]:
    """Return what is written of a question that is queued; its times as whether they are of now."""
    times = {name: abs(row[name] - dt.datetime.now(dt.UTC)) < HOUR / 2 for name in ("next_attempt_at", "updated_at")}
    names = ("reason", "status", "attempts", "next_attempt_at", "known", "priority", "updated_at")
    return tuple(times.get(name, row[name]) for name in names)


async def test_what_is_queued_already_takes_nobody_s_place(owner: asyncpg.Connection[Any]) -> None:
    await pay(owner, status="authorized", updated_at=NOW - 9 * HOUR)
    await insert(owner, "refetches", **REFETCH | {"status": "queued"})
    await pay(owner, status="authorized", provider_ref="pi_2")
    assert await stale(owner, most=1) == 1
    assert await queued(owner) == {"pi_2"}


async def test_a_contradiction_that_is_queued_in_this_moment_stays_urgent(database: Database) -> None:
    clock, consumer, observer = [await asyncpg.connect(database.owner_dsn) for _ in range(3)]
    try:
        await pay(clock, status="authorized")
        await insert(clock, "refetches", **REFETCH)
        async with consumer.transaction():
            await consumer.execute(
                statement("consumer", "queue_refetches"), ["stripe"], ["Acme"], ["pi"], ["contradiction"]
            )
            looking = asyncio.create_task(stale(clock))
            await until_waiting(observer)
            urgent = await consumer.fetchrow("select * from refetches")
        assert await looking == 0
        assert await clock.fetchrow("select * from refetches") == urgent
        assert (urgent["status"], urgent["priority"]) == ("queued", 0)  # type: ignore[index]
    finally:
        for connection in (clock, consumer, observer):
            connection.terminate()


async def debit(owner: asyncpg.Connection[Any], **changed: Any) -> None:
    await insert(owner, "debits", **DEBIT | changed)


async def test_a_debit_is_asked_about_after_its_first_days_and_then_at_intervals(
    owner: asyncpg.Connection[Any],
) -> None:
    for changed, due in (
        ({}, True),
        ({"provider": "mollie"}, False),
        ({"account": "other"}, False),
        ({"until": NOW - HOUR}, False),
        ({"noted_at": NOW - 3 * DAY}, False),
        ({"asked_at": NOW - 3 * DAY}, True),
        ({"asked_at": NOW - DAY}, False),
    ):
        await owner.execute("delete from refetches; delete from debits")
        await debit(owner, **changed)
        assert await debits(owner) == due, changed
        [row] = await owner.fetch("select * from debits") or [None]
        if row is not None:
            assert (row["asked_at"] is not None and row["asked_at"] > NOW - HOUR) == due, changed
        assert [shown(row) for row in await owner.fetch("select * from refetches")] == [QUEUED] * due


async def test_a_debit_of_the_same_id_elsewhere_does_not_count_as_asked(owner: asyncpg.Connection[Any]) -> None:
    for changed in ({}, {"account": "other"}, {"provider": "mollie"}):
        await debit(owner, **changed)
    assert await debits(owner) == 1
    rows = await owner.fetch("select provider, account from debits where asked_at is not null")
    assert [tuple(row) for row in rows] == [("stripe", "Acme")]


async def test_debits_of_which_the_time_is_over_are_forgotten(owner: asyncpg.Connection[Any]) -> None:
    over = {"until": NOW - HOUR}
    await debit(owner, **over)
    kept = [{"ref": "young", "noted_at": NOW}, {"ref": "a", "provider": "mollie"}, {"ref": "b", "account": "other"}]
    for changed in (kept[0], kept[1] | over, kept[2] | over):
        await debit(owner, **changed)
    assert await debits(owner) == 0
    assert {row["ref"] for row in await owner.fetch("select ref from debits")} == {"young", "a", "b"}


async def test_the_debit_that_nobody_asked_about_the_longest_comes_first(owner: asyncpg.Connection[Any]) -> None:
    """None that is not asked about now counts as asked."""
    for ref, noted, last in (("asked", 60, 3), ("new", 6, None), ("old", 7, None)):
        await debit(owner, ref=ref, noted_at=NOW - noted * DAY, asked_at=None if last is None else NOW - last * DAY)
    for expected in ({"old"}, {"old", "new"}, {"old", "new", "asked"}):
        assert await debits(owner, most=1) == 1
        assert await queued(owner) == expected
        rows = await owner.fetch("select ref from debits where asked_at > $1", NOW - HOUR)
        assert {row["ref"] for row in rows} == expected
    assert await debits(owner, most=1) == 0


async def test_a_debit_that_its_provider_does_not_know_waits_until_it_is_due_again(
    owner: asyncpg.Connection[Any],
) -> None:
    for changed, again in (
        ({}, True),
        ({"status": "failed"}, False),
        ({"status": "failed", "next_attempt_at": NOW - HOUR}, True),
        *(({"status": "failed", name: "other"}, True) for name in ("provider", "account", "ref")),
    ):
        await owner.execute("delete from refetches; delete from debits")
        await debit(owner)
        await insert(owner, "refetches", **REFETCH | changed)
        assert await debits(owner) == again, changed
        rows = await owner.fetch("select * from refetches where (provider, account, ref) = ('stripe', 'Acme', 'pi')")
        assert [shown(row) for row in rows] == [QUEUED] if again else [row["status"] for row in rows] == ["failed"]


async def test_a_debit_that_is_asked_about_already_is_not_put_back(owner: asyncpg.Connection[Any]) -> None:
    await debit(owner)
    await insert(owner, "refetches", **REFETCH | {"status": "queued", "reason": "contradiction", "priority": 0})
    before = await owner.fetch("select * from refetches")
    assert await debits(owner) == 0
    assert await owner.fetch("select * from refetches") == before
