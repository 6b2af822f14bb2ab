"""Which refetches and messages the dispatcher's statements take and change: each beside near ones."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from written_rows import insert

from runtime.sql import statement

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.integration

NOW = dt.datetime.now(dt.UTC)
HOUR = dt.timedelta(hours=1)
DISPATCHER = "consumer.dispatcher"
ALONE = """
set lock_timeout = '2s'; set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off
"""
"""Waits for nobody for long, and has an order of its own: by an index small tables are often read in it anyway."""
REFETCH = {
    "provider": "stripe",
    "account": "Acme",
    "reason": "stale",
    "next_attempt_at": NOW - HOUR,
    "created_at": NOW,
    "updated_at": NOW - HOUR,
    "priority": 5,
}
PAYMENT = {
    "provider": "stripe",
    "account": "Acme",
    "status": "captured",
    "refund_status": "none",
    "dispute_status": "none",
    "amount": 1000,
    "authorized": 1000,
    "captured": 1000,
    "refunded": 0,
    "disputed": 0,
    "version": 1,
    "facts": "{}",
    "head_hash": b"",
    "head_xid": 9,
    "created_at": NOW,
    "updated_at": NOW,
}


async def refetch(owner: asyncpg.Connection[Any], **changed: Any) -> int:
    row = await insert(owner, "refetches", **{"ref": uuid.uuid4().hex} | REFETCH | changed)
    return int(row["id"])


async def payment(owner: asyncpg.Connection[Any], **changed: Any) -> uuid.UUID:
    row = await insert(owner, "payments", **{"id": uuid.uuid4()} | PAYMENT | changed)
    return uuid.UUID(str(row["id"]))


async def claim(owner: asyncpg.Connection[Any], *, guess: bool = False) -> asyncpg.Record | None:
    sql = statement(DISPATCHER, "claim_refetch")
    return await owner.fetchrow(sql, ["stripe", "mollie"], ["acme", "other"], 60.0, [guess, guess], 3600.0)


async def test_what_is_due_at_an_api_that_can_be_asked_is_claimed(owner: asyncpg.Connection[Any]) -> None:
    for changed, taken, guessed in [
        ({}, True, True),
        ({"status": "done"}, False, False),
        ({"status": "failed"}, False, False),
        ({"next_attempt_at": NOW + HOUR}, False, False),
        ({"provider": "mollie"}, False, False),
        ({"account": "other"}, False, False),
        ({"known": False}, False, True),
        ({"about": "pi_1"}, False, False),
        ({"about": "pi_1", "created_at": NOW - 2 * HOUR}, True, True),
    ]:
        for guess, claimed in ((False, taken), (True, guessed)):
            one = await refetch(owner, **changed)
            row = await claim(owner, guess=guess)
            assert (row and row["id"]) == (one if claimed else None), (changed, guess)
            assert row is None or row["about"] is None
            await owner.execute("delete from refetches")


async def test_what_belongs_to_something_is_claimed_once_money_of_that_is_known(owner: asyncpg.Connection[Any]) -> None:
    named = {"provider": "stripe", "account": "Acme", "merchant_account": "", "livemode": True, "ref": "pi_1"}
    for changed, claimed in [
        ({"kind": "payment"}, True),
        ({"kind": "reference"}, False),
        ({"kind": "payment", "ref": "pi_2"}, False),
        ({"kind": "payment", "provider": "mollie"}, False),
        ({"kind": "payment", "account": "other"}, False),
    ]:
        payment_id = await payment(owner)
        await insert(owner, "payment_refs", **named | changed, payment_id=payment_id)
        one = await refetch(owner, about="pi_1")
        await owner.execute("update payments set captured = 0")
        assert await claim(owner) is None, "nothing has been captured"
        await owner.execute("update payments set captured = 1")
        row = await claim(owner)
        assert (row and (row["id"], row["about"])) == ((one, "pi_1") if claimed else None), changed
        for table in ("refetches", "payment_refs", "payments"):
            await owner.execute(f"delete from {table}")


async def test_the_most_urgent_that_nobody_holds_is_claimed_first(
    owner: asyncpg.Connection[Any], other: asyncpg.Connection[Any]
) -> None:
    ids = [
        await refetch(owner, priority=priority, next_attempt_at=NOW - hours * HOUR)
        for priority, hours in ((9, 9), (1, 2), (1, 3), (0, 1))
    ]
    async with other.transaction():
        await other.execute("select from refetches where id = $1 for update", ids[3])
        await owner.execute(ALONE)
        row = await claim(owner)
    assert row is not None
    assert (row["id"], row["attempts"]) == (ids[2], 1)
    stored = await owner.fetchrow("select * from refetches where id = $1", ids[2])
    assert stored is not None
    assert stored["updated_at"] == row["updated_at"]
    assert dt.timedelta(seconds=50) < stored["next_attempt_at"] - stored["updated_at"] < dt.timedelta(seconds=70)
    assert [claimed["id"] for _ in range(3) if (claimed := await claim(owner))] == [ids[3], ids[1], ids[0]]
    assert await owner.fetchval("select count(*) from refetches where attempts = 1") == 4


FINISHED: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("fail_refetch", ("no such payment", 60.0, 3600.0), {"status": "failed", "last_error": "no such payment"}),
    (
        "finish_refetch",
        ("t", b"k", b"v", [b"ce_id", b"x"], [b"e5", b"y"], 60.0, [b"e9", b"e2", b"e7", b"e1"]),
        {"status": "done", "last_error": None, "known": True},
    ),
]


@pytest.mark.parametrize(("name", "more", "expected"), FINISHED, ids=[name for name, *_ in FINISHED])
async def test_the_end_of_a_question_is_that_of_its_claim(
    owner: asyncpg.Connection[Any], name: str, more: tuple[Any, ...], expected: dict[str, Any]
) -> None:
    """Asked for again since it was claimed, it is queued once more with its tries counted anew."""
    sql, before = statement(DISPATCHER, name), {"known": False, "attempts": 3, "last_error": "before"}
    claimed = await refetch(owner, **before)
    asked_again = await refetch(owner, **before, status="queued")
    await owner.execute("update refetches set updated_at = $1 where id = $2", NOW, asked_again)
    untouched = [await refetch(owner, **before), await refetch(owner, **before, status="done")]
    for one, attempts in ((claimed, 2), (untouched[1], 3)):
        await owner.execute(sql, one, attempts, NOW - HOUR, *more)
    rows = {row["id"]: dict(row) for row in await owner.fetch("select * from refetches")}
    assert {row["attempts"] for row in rows.values()} == {3}
    assert await owner.fetchval("select count(*) from spool") == 0
    for one in (claimed, asked_again):
        await owner.execute(sql, one, 3, NOW - HOUR, *more)
    after = {row["id"]: dict(row) for row in await owner.fetch("select * from refetches")}
    assert {one: after[one] for one in untouched} == {one: rows[one] for one in untouched}
    assert {key: after[claimed][key] for key in expected} == expected
    queued = expected | {"status": "queued"}
    assert {key: after[asked_again][key] for key in queued} == queued
    assert (after[claimed]["attempts"], after[asked_again]["attempts"]) == (3, 0)
    ahead = [after[one]["next_attempt_at"] - after[one]["updated_at"] for one in (claimed, asked_again)]
    assert [round(one.total_seconds()) for one in ahead] == [3600 if name == "fail_refetch" else 60, 60]
    assert all(after[one]["updated_at"] > NOW for one in (claimed, asked_again))
    spooled = await owner.fetch("select topic, key, value, header_names, header_values from spool order by id")
    answers = [("t", b"k", b"v", [b"ce_id", b"x"], [event, b"y"]) for event in (b"e5", b"e9", b"e2", b"e7", b"e1")]
    assert [tuple(row) for row in spooled] == (answers * 2 if name == "finish_refetch" else []), "in the answer's order"


async def test_a_try_that_comes_again_is_that_of_its_claim(owner: asyncpg.Connection[Any]) -> None:
    retry, wait = statement(DISPATCHER, "retry_refetch"), statement(DISPATCHER, "await_refetch")
    one = await refetch(owner, attempts=3, last_error="before")
    untouched = [await refetch(owner, attempts=3), await refetch(owner, attempts=3, status="done")]
    before = [dict(row) for row in await owner.fetch("select * from refetches order by id")]
    for sql, more in ((retry, (60.0, "why", 1)), (wait, (NOW - HOUR, "q1", 60.0))):
        for which, attempts in ((one, 2), (untouched[1], 3)):
            await owner.execute(sql, which, attempts, *more)
    assert [dict(row) for row in await owner.fetch("select * from refetches order by id")] == before
    await owner.execute(retry, one, 3, 60.0, None, 1)
    row = await owner.fetchrow("select *, next_attempt_at - now() as ahead from refetches where id = $1", one)
    assert row is not None
    assert (row["attempts"], row["last_error"], row["updated_at"]) == (2, "before", NOW - HOUR)
    assert 50 < row["ahead"].total_seconds() < 70
    await owner.execute(retry, one, 2, 60.0, "why", 0)
    assert await owner.fetchrow("select attempts, last_error from refetches where id = $1", one) == (2, "why")
    await owner.execute(wait, one, 2, NOW - 2 * HOUR, "q1", 600.0)
    row = await owner.fetchrow("select *, next_attempt_at - now() as ahead from refetches where id = $1", one)
    assert row is not None
    assert (row["query_id"], row["query_at"], row["attempts"], row["status"]) == ("q1", NOW - 2 * HOUR, 2, "queued")
    assert "has not come" in row["last_error"]
    assert 590 < row["ahead"].total_seconds() < 610
    left = [dict(row) for row in await owner.fetch("select * from refetches where id <> $1 order by id", one)]
    assert left == before[1:]


async def test_the_newest_failures_of_ids_that_nobody_knows_are_kept(owner: asyncpg.Connection[Any]) -> None:
    guessed = {"known": False, "status": "failed"}
    ids = [await refetch(owner, **guessed, updated_at=NOW - hours * HOUR) for hours in (3, 1, 2, 2)]
    kept = [
        await refetch(owner, **guessed | changed, updated_at=NOW - 9 * HOUR)
        for changed in ({"known": True}, {"status": "queued"}, {"status": "done"})
    ]
    await owner.execute(statement(DISPATCHER, "trim_refetches"), 2)
    assert {row["id"] for row in await owner.fetch("select id from refetches")} == {ids[1], ids[3], *kept}


async def test_an_open_query_is_answered_or_refused_by_its_own_webhook(owner: asyncpg.Connection[Any]) -> None:
    for name, more in (("answer_query", ("r1", "t", b"k", b"v", [b"a"], [b"b"], 60.0)), ("refuse_query", ("why",))):
        sql = statement("producers", name)
        query = {"query_id": "q1", "query_at": NOW - HOUR, "attempts": 3, "known": False, "ref": "r1"}
        for changed in ({"query_id": "q2"}, {"provider": "mollie"}, {"account": "other"}, {"status": "done"}):
            await refetch(owner, **query | changed)
            assert await owner.fetchval(sql, "stripe", "ACME", "q1", *more) is None, (name, changed)
            await owner.execute("delete from refetches")
        if name == "answer_query":
            await refetch(owner, **query | {"ref": "another"})
            assert await owner.fetchval(sql, "stripe", "ACME", "q1", *more) is None
            await owner.execute("delete from refetches")
        for asked_again in (False, True):
            one = await refetch(owner, **query, updated_at=NOW if asked_again else NOW - HOUR, last_error="before")
            assert await owner.fetchval(sql, "stripe", "ACME", "q1", *more) is not None
            row = await owner.fetchrow("select *, next_attempt_at - now() as ahead from refetches where id = $1", one)
            assert row is not None
            stored = (row["status"], row["attempts"], row["query_id"], row["last_error"], row["known"])
            if name == "refuse_query":
                assert stored == ("queued", 3, None, "why", False)
                assert (row["next_attempt_at"], row["updated_at"]) == (NOW - HOUR, NOW if asked_again else NOW - HOUR)
            else:
                assert stored == ("queued" if asked_again else "done", 0 if asked_again else 3, None, None, True)
                assert 50 < row["ahead"].total_seconds() < 70
                assert row["updated_at"] > NOW
            await owner.execute("delete from refetches")
    assert await owner.fetchval("select count(*) from spool") == 2


async def test_asking_again_wakes_what_has_ended_and_hurries_what_waits(owner: asyncpg.Connection[Any]) -> None:
    """A hint counts as one that nobody knows, and takes nothing back of what somebody did."""
    sql = statement("consumer", "queue_refetches")
    for ref, row in {
        "waits": {"status": "queued", "reason": "hint", "known": False, "priority": 3, "next_attempt_at": NOW + HOUR},
        "done": {"status": "done", "reason": "hint", "known": False, "priority": 3, "next_attempt_at": NOW + HOUR},
        "failed": {"status": "failed", "reason": "hint", "known": True, "priority": 3, "next_attempt_at": NOW + HOUR},
    }.items():
        await refetch(owner, ref=ref, attempts=2, **row)
    refs = ["waits", "done", "failed", "new"]

    async def ask(reason: str) -> dict[str, tuple[Any, ...]]:
        await owner.execute(sql, ["stripe"] * 4, ["Acme"] * 4, refs, [reason] * 4)
        found = await owner.fetch(
            "select *, next_attempt_at > clock_timestamp() as later, updated_at > $1 as now from refetches", NOW
        )
        names = ("reason", "status", "attempts", "later", "known", "priority", "now")
        return {row["ref"]: tuple(row[name] for name in names) for row in found}

    assert await ask("hint") == {
        "waits": ("hint", "queued", 2, True, False, 3, True),
        "done": ("hint", "queued", 0, False, False, 9, True),
        "failed": ("hint", "queued", 0, False, True, 3, True),
        "new": ("hint", "queued", 0, False, False, 9, True),
    }
    await owner.execute("update refetches set status = 'done', attempts = 2 where ref = 'new'")
    assert await ask("contradiction") == {
        "waits": ("hint", "queued", 2, True, True, 0, True),
        "done": ("hint", "queued", 0, False, True, 0, True),
        "failed": ("hint", "queued", 0, False, True, 0, True),
        "new": ("contradiction", "queued", 0, False, True, 0, True),
    }


MESSAGE = {"to_number": "+4915112345678", "status": "sending", "next_attempt_at": NOW - HOUR}


async def message(owner: asyncpg.Connection[Any], payment_id: uuid.UUID, **changed: Any) -> int:
    row = {"payment_id": payment_id, "template": uuid.uuid4().hex} | MESSAGE | changed
    return int((await insert(owner, "sms_transactions", **row))["id"])


async def messages(owner: asyncpg.Connection[Any]) -> dict[int, tuple[Any, ...]]:
    found = await owner.fetch(
        "select *, round(extract(epoch from next_attempt_at - now()) / 60)::int as ahead from sms_transactions"
    )
    return {row["id"]: (row["status"], row["attempts"], row["provider_sid"], row["ahead"]) for row in found}


async def test_the_message_that_is_due_longest_and_nobody_holds_is_claimed(
    owner: asyncpg.Connection[Any], other: asyncpg.Connection[Any]
) -> None:
    last = await payment(owner, captured=7)
    merged = await payment(owner, merged_into=await payment(owner, merged_into=last))
    ids = [
        await message(owner, merged, status=status, next_attempt_at=NOW - hours * HOUR)
        for status, hours in (("queued", 1), ("sending", 2), ("queued", 3), ("queued", -1), ("sent", 9), ("failed", 9))
    ]
    sql = statement(DISPATCHER, "claim_sms")
    async with other.transaction():
        await other.execute("select from sms_transactions where id = $1 for update", ids[2])
        await owner.execute(ALONE)
        row = await owner.fetchrow(sql, 600.0)
    assert row is not None
    assert (row["id"], row["attempts"], row["captured"]) == (ids[1], 1, 7)
    assert (await messages(owner))[ids[1]] == ("sending", 1, None, 10)
    assert [claimed["id"] for _ in range(3) if (claimed := await owner.fetchrow(sql, 600.0))] == [ids[2], ids[0]]


async def test_the_end_of_a_message_is_that_of_its_claim(owner: asyncpg.Connection[Any]) -> None:
    paid = await payment(owner)
    one, same, queued = [
        await message(owner, paid, attempts=3, status=status) for status in ("sending",) * 2 + ("queued",)
    ]
    for name, arguments in (("finish_sms", ("sent", "SM1")), ("hold_sms", (60.0,)), ("retry_sms", (60.0,))):
        before = await messages(owner)
        for which, attempts in ((one, 2), (queued, 3)):
            await owner.execute(statement(DISPATCHER, name), which, attempts, *arguments)
        assert await messages(owner) == before, name
    await owner.execute(statement(DISPATCHER, "hold_sms"), one, 3, 600.0)
    assert (await messages(owner))[one] == ("queued", 2, None, 10)
    await owner.execute("update sms_transactions set status = 'sending' where id = $1", one)
    await owner.execute(statement(DISPATCHER, "retry_sms"), one, 2, 1200.0)
    assert (await messages(owner))[one] == ("queued", 2, None, 20)
    await owner.execute("update sms_transactions set status = 'sending' where id = $1", one)
    await owner.execute(statement(DISPATCHER, "finish_sms"), one, 2, "sent", "SM1")
    assert (await messages(owner))[one][:3] == ("sent", 2, "SM1")
    assert (await messages(owner))[same][:3] == ("sending", 3, None)
    await owner.execute(statement(DISPATCHER, "finish_sms"), one, 2, "failed", "SM2")
    assert (await messages(owner))[one][:3] == ("sent", 2, "SM1"), "what has been noted stands"


LEDGER_ROW = """
insert into payment_logs (source, event_id, event_type, outcome, facts, topic, partition, "offset", recorded_at,
    relay_xid, hash)
values ($1, $2, 'x', 'noop', '[]', 't', 0, 0, now(), 5, sha256('x'))
"""


@pytest.mark.parametrize("last", ["delivered", "undelivered", "failed"])
async def test_a_last_word_of_the_very_message_stands(owner: asyncpg.Connection[Any], last: str) -> None:
    paid = await payment(owner)
    one, other_one = await message(owner, paid), await message(owner, paid)
    for source, event in (("twilio", f"SM2:{last}"), ("other", f"SM1:{last}"), ("twilio", "SM1:sent")):
        await owner.execute(LEDGER_ROW, source, event)
    await owner.execute(statement(DISPATCHER, "finish_sms"), one, 0, "sent", "SM1")
    assert (await messages(owner))[one][0] == "sent"
    await owner.execute(statement(DISPATCHER, "finish_sms"), other_one, 0, "sent", "SM2")
    assert (await messages(owner))[other_one][0] == last
    receipts = statement("consumer", "note_delivery_reports")
    await owner.execute(receipts, ["SM1", "SM2"], ["delivered", "sent"])
    assert [one[0] for _, one in sorted((await messages(owner)).items())] == ["delivered", last]


async def test_one_of_two_last_words_stands(owner: asyncpg.Connection[Any]) -> None:
    one = await message(owner, await payment(owner))
    for last in ("failed", "undelivered", "delivered"):
        await owner.execute(LEDGER_ROW, "twilio", f"SM1:{last}")
    await owner.execute(statement(DISPATCHER, "finish_sms"), one, 0, "sent", "SM1")
    assert (await messages(owner))[one][0] in {"failed", "undelivered", "delivered"}


async def test_what_waits_is_counted_and_what_waits_for_a_key_is_named(owner: asyncpg.Connection[Any]) -> None:
    """A hint waits whether there is a key or not: nothing else tells of its money."""
    for provider, account, reason, status in (
        ("stripe", "", "stale", "queued"), ("stripe", "Acme", "contradiction", "queued"),
        ("mollie", "", "hint", "queued"), ("mollie", "", "stale", "queued"), ("adyen", "X", "stale", "queued"),
        ("stripe", "", "hint", "done"), ("paypal", "", "stale", "failed"),
    ):  # fmt: skip
        await refetch(owner, provider=provider, account=account, reason=reason, status=status)
    paid = await payment(owner)
    for status in ("queued", *["sending"] * 2, *["sent"] * 4):
        await message(owner, paid, status=status)
    configured = ["stripe", "stripe"], ["", "acme"]
    counted = await owner.fetchrow(statement(DISPATCHER, "count_waiting"), *configured)
    assert counted is not None
    assert (counted["refetches"], counted["sms"], sorted(counted["without_key"])) == (3, 3, ["adyen/X", "mollie"])
    for number in range(30):
        await refetch(owner, provider=f"p{number}")
    counted = await owner.fetchrow(statement(DISPATCHER, "count_waiting"), *configured)
    assert counted is not None
    assert len(counted["without_key"]) == 20, "a line that can be read"
