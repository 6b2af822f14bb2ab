"""What the console counts and lists, as rows: what each statement means, beside what differs from it in one thing."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from plain_rows import DAY, HOUR, MOMENT, add, lying

from runtime.sql import statement

if TYPE_CHECKING:
    import asyncpg
    from conftest import Database

pytestmark = pytest.mark.integration

FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)
MINUTE = HOUR / 60


async def run(connection: asyncpg.Connection[Any], name: str, *arguments: Any) -> list[asyncpg.Record]:
    return await connection.fetch(statement("ops.console", name), *arguments)


async def test_money_is_summed_a_currency_of_what_is_live_and_stands_for_itself(
    heap: asyncpg.Connection[Any],
) -> None:
    """A payment is impossible where it breaks refunded <= captured <= authorized and no flag says so."""
    sums = {"currency": "EUR", "authorized": 100, "captured": 90, "refunded": 30, "disputed": 7}
    intent = await add(heap, "payments", id=FIRST, **sums)
    for columns in (
        {"captured": 101},
        {"captured": 101, "flags": ["over_captured"]},
        {"captured": 100, "refunded": 100},
        {"refunded": 91},
        {"refunded": 91, "flags": ["over_refunded"]},
        {"captured": 101, "flags": ["over_refunded"]},
        {"refunded": 91, "flags": ["over_captured"]},
        {"merged_into": intent},
        {"intent_id": intent},
        {"livemode": False},
    ):
        await add(heap, "payments", **sums | columns)
    statuses = await run(heap, "count_statuses")
    assert [tuple(row) for row in statuses] == [("created", 8)]
    for currency in ("USD", "GBP", "GBP", "CHF"):
        await add(heap, "payments", currency=currency, authorized=1)
    found = await run(heap, "sum_money")
    assert [(row["currency"], row["payments"]) for row in found] == [("EUR", 8), ("GBP", 2), ("CHF", 1), ("USD", 1)]
    names = ("authorized", "captured", "refunded", "disputed", "net", "impossible")
    captured, refunded = 4 * 90 + 3 * 101 + 100, 4 * 30 + 3 * 91 + 100
    assert [found[0][name] for name in names] == [800, captured, refunded, 56, captured - refunded - 56, 4]
    many = """insert into payments
        select (jsonb_populate_record(p, jsonb_build_object('id', gen_random_uuid(), 'currency', 'X' || code))).*
        from payments p, (select chr(65 + n / 26) || chr(65 + n % 26) as code from generate_series(0, 200) n) c
        where p.id = $1"""
    await heap.execute(many, FIRST)
    assert len(await run(heap, "sum_money")) == 200


async def test_orders_are_counted_by_status_the_most_first(heap: asyncpg.Connection[Any]) -> None:
    for status, many in (("created", 1), ("captured", 3), ("failed", 2)):
        for _ in range(many):
            await add(heap, "payments", status=status)
    found = await run(heap, "count_statuses")
    assert [tuple(row) for row in found] == [("captured", 3), ("failed", 2), ("created", 1)]


async def test_every_event_counts_where_it_stands(heap: asyncpg.Connection[Any]) -> None:
    for outcome, many in (("applied", 1), ("noop", 2), ("late", 3), ("conflict", 4)):
        for number in range(many):
            payment = {"payment_id": FIRST, "version": number + 1} if outcome == "applied" else {}
            await add(heap, "payment_logs", outcome=outcome, event_id=f"{outcome}-{number}", **payment)
    for event, source, status in (
        *(("noop-0", "stripe", "open"), ("noop-1", "paypal", "open"), ("late-0", "stripe", "discarded")),
        *(("nowhere", "stripe", "open"), ("late-1", "stripe", "redriven"), ("late-1", "paypal", "open")),
    ):
        await add(heap, "dead_letters", event_id=event, source=source, status=status)
    for event, source in (("late-2", "stripe"), ("noop-1", "paypal"), ("noop-0", "paypal"), ("elsewhere", "stripe")):
        await add(heap, "parked_events", event_id=event, source=source)
    (found,) = await run(heap, "count_events")
    names = ("applied", "noop", "late", "conflict", "parked", "dead_letters_open", "letters_processed_since", "doubled")
    assert [found[name] for name in names] == [1, 2, 3, 4, 4, 4, 1, 1]


async def test_open_letters_are_counted_a_reason_the_most_first(heap: asyncpg.Connection[Any]) -> None:
    for number, reason, status in (
        *((3, "orphan", "open"), (2, "orphan", "open"), (4, "orphan", "open"), (5, "orphan", "discarded")),
        *((6, "fatal", "open"), (8, "conflict", "open"), (7, "conflict", "applied"), (1, "orphan", "discarded")),
        (9, "unexpected", "discarded"),
    ):
        await add(heap, "dead_letters", id=number, reason=reason, status=status, created_at=MOMENT + number * DAY)
    note = {"source": "stripe", "event_type": "charge.captured", "note": "why", "author": "alice"}
    for reason in ("orphan", "orphan", "fatal"):
        until = MOMENT + 4000 * DAY
        await add(heap, "dead_letter_notes", reason=reason, made_at=MOMENT, silent_until=until, **note)
    found = await run(heap, "count_open_letters", ["unexpected", "fatal", "orphan", "conflict"], 9)
    assert [tuple(row) for row in found] == [
        ("orphan", 3, 3, MOMENT + 2 * DAY, MOMENT + 4 * DAY),
        ("conflict", 1, 0, MOMENT + 8 * DAY, MOMENT + 8 * DAY),
        ("fatal", 1, 1, MOMENT + 6 * DAY, MOMENT + 6 * DAY),
    ]
    (bounded,) = await run(heap, "count_open_letters", ["orphan"], 2)
    assert bounded["open"] == 2


async def test_what_a_transaction_under_way_may_come_before_is_counted_later(database: Database) -> None:
    """Otherwise its own row would stand before the place that was reached, and never count."""
    async with lying(database.owner_dsn) as heap, lying(database.owner_dsn) as other:
        for number in (12, 11, 13):
            await add(heap, "parked_events", id=number, parked_at=MOMENT, source="stripe/acct")
        await other.execute("begin")
        xid = int(await other.fetchval("select pg_current_xact_id()::text"))
        for number, place in ((3, 6), (2, 5), (1, 6), (4, xid), (5, xid + 10**6)):
            moment = MOMENT + (number > 2) * MINUTE
            await add(heap, "payment_logs", id=number, relay_xid=place, recorded_at=moment, outcome="late")
            await add(heap, "dead_letters", id=number, relay_xid=place, created_at=moment, source=None)
        await add(heap, "payment_logs", id=9, relay_xid=5, recorded_at=MOMENT, source="stripe/acct")
        await add(heap, "parked_events", id=15, parked_at=MOMENT, source="stripe/acct")
        assert [tuple(row) for row in await run(heap, "find_ledger_end")] == [(6, 3)]
        for place, rows, wanted in (
            ((0, 0), 9, {("late", 3, 6, 3), ("noop", 1, 6, 3)}),
            ((5, 2), 9, {("late", 2, 6, 3), ("noop", 1, 6, 3)}),
            ((0, 0), 3, {("late", 2, 6, 1), ("noop", 1, 6, 1)}),
            ((6, 3), 9, set()),
        ):
            assert {tuple(row) for row in await run(heap, "count_processed", *place, rows)} == wanted, (place, rows)
        for place, rows, wanted, reached in (
            (
                (0, 0, 0, 0, 0),
                9,
                {
                    (MOMENT, "stripe", "late", "", 2),
                    (MOMENT + MINUTE, "stripe", "late", "", 1),
                    (MOMENT, "stripe", "noop", "", 1),
                    (MOMENT, "unknown", "dead_letter", "conflict", 2),
                    (MOMENT + MINUTE, "unknown", "dead_letter", "conflict", 1),
                    (MOMENT, "stripe", "parked", "orphan", 3),
                },
                (6, 3, 6, 3, 13),
            ),
            (
                (5, 9, 5, 2, 11),
                1,
                {
                    (MOMENT, "stripe", "late", "", 1),
                    (MOMENT, "unknown", "dead_letter", "conflict", 1),
                    (MOMENT, "stripe", "parked", "orphan", 1),
                },
                (6, 1, 6, 1, 12),
            ),
            (
                (0, 0, 6, 3, 13),
                2,
                {(MOMENT, "stripe", "late", "", 1), (MOMENT, "stripe", "noop", "", 1)},
                (5, 9, None, None, None),
            ),
        ):
            found = await run(heap, "count_fresh_outcomes", *place, rows)
            assert {tuple(row)[:5] for row in found} == wanted, (place, rows)
            assert {tuple(row)[5:] for row in found} == {reached}, (place, rows)
        await add(other, "parked_events", id=14, parked_at=MOMENT, source="stripe/acct")
        await other.execute("commit")
        found = await run(heap, "count_fresh_outcomes", 0, 0, 0, 0, 13, 9)
        assert {(row["outcome"], row["events"], row["parked_id"]) for row in found} >= {("parked", 2, 15)}


async def test_the_letters_of_a_payment_name_it_by_any_of_its_names(heap: asyncpg.Connection[Any]) -> None:
    for payment in (FIRST, SECOND):
        await add(heap, "payments", id=payment)
    for columns in (
        {"ref": "pi_1", "payment_id": FIRST},
        {"ref": "pi_1", "kind": "charge", "payment_id": FIRST},
        {"ref": "pi_2", "payment_id": SECOND},
    ):
        await add(heap, "payment_refs", returning=None, **columns)
    for kind, ref in (("reference", "ORDER-1"), ("shared", "SHARED-1")):
        await add(heap, "reference_payments", kind=kind, ref=ref, payment_id=FIRST, returning=None)
    for number, ref, source in (
        *((2, "pi_1", "stripe/acct"), (1, "ORDER-1", "stripe"), (3, "pi_1", "paypal"), (4, "pi_2", "stripe")),
        *((5, "SHARED-1", "stripe"), (6, "pi_1", "stripe"), (7, None, "stripe")),
    ):
        await add(heap, "dead_letters", id=number, payment_ref=ref, source=source)
    for rows, wanted in ((9, [6, 2, 1]), (2, [6, 2])):
        assert [row["id"] for row in await run(heap, "find_letters_of_payment", FIRST, rows)] == wanted
    names = await run(heap, "list_payment_refs", FIRST, 9)
    every = [("charge", "pi_1"), ("payment", "pi_1"), ("reference", "ORDER-1"), ("shared", "SHARED-1")]
    assert [tuple(row) for row in names] == every
    assert [tuple(row) for row in await run(heap, "list_payment_refs", FIRST, 2)] == every[:2]


async def test_names_come_in_their_order_each_once(heap: asyncpg.Connection[Any]) -> None:
    await add(heap, "payments", id=FIRST)
    for ref in ("ORDER-2", "ORDER-1", "ORDER-3"):
        await add(heap, "payment_refs", kind="reference", ref=ref, payment_id=FIRST, returning=None)
        await add(heap, "reference_payments", ref=ref, payment_id=FIRST, returning=None)
    names = await run(heap, "list_payment_refs", FIRST, 9)
    assert [row["ref"] for row in names] == ["ORDER-1", "ORDER-2", "ORDER-3"]


async def test_what_waits_is_listed_by_its_end_with_some_of_its_names(heap: asyncpg.Connection[Any]) -> None:
    for number in range(10):
        kind = "charge" if number % 2 else "payment"
        await add(heap, "payment_refs", ref=f"r-{number}", kind=kind, returning=None)
    for number, days, refs in ((14, 2, range(9, -1, -1)), (13, 2, (5,)), (12, 1, (6,)), (15, 9, ())):
        await add(heap, "parked_events", id=number, event_id=f"evt_{number}", deadline=MOMENT + days * DAY)
        for one in refs:
            kind = "charge" if one % 2 else "payment"
            await add(heap, "parked_refs", ref=f"r-{one}", kind=kind, parked_id=number, returning=None)
    for asked, rows, wanted in (
        (None, 9, [12, 13, 14, 15]),
        (None, 2, [12, 13]),
        ("r-5", 9, [13, 14]),
        ("evt_12", 9, [12]),
        ("nothing", 9, []),
    ):
        assert [row["id"] for row in await run(heap, "list_parked", asked, rows)] == wanted, asked
    whole = await run(heap, "list_parked", "evt_14", 9)
    odd, even = [f"charge r-{one}" for one in (1, 3, 5, 7, 9)], [f"payment r-{one}" for one in (0, 2, 4)]
    assert [row["refs"] for row in whole] == [odd + even]


async def test_recall_cursors_are_listed_by_their_names(heap: asyncpg.Connection[Any]) -> None:
    places = [("a", "x", "l"), ("a", "x", "m"), ("a", "y", "l"), ("b", "x", "l")]
    for number in (1, 3, 0, 2):
        names = dict(zip(("provider", "account", "list"), places[number], strict=True))
        await add(heap, "recall_cursors", returning=None, began_at=MOMENT, read_until=MOMENT, **names)
    for rows, wanted in ((9, places), (2, places[:2])):
        assert [tuple(row)[:3] for row in await run(heap, "list_recall_cursors", rows)] == wanted


async def test_what_came_back_or_was_skipped_comes_first_in_the_audit_of_a_redrive(
    heap: asyncpg.Connection[Any],
) -> None:
    for redrive in (2, 1):
        await add(heap, "redrives", id=redrive, status="running", started_at=MOMENT)
    for number, status, age in (
        *((15, "published", 1), (16, "published", 1), (13, "published", 2), (14, "published", 0)),
        *((12, "skipped", 0), (11, "queued", 0), (17, "publishing", 0)),
    ):
        await add(heap, "dead_letters", id=number, event_id=f"evt_{number}", status="redriven")
        sent = {"claimed_at": MOMENT} if status in {"published", "publishing"} else {}
        sent |= {"published_at": MOMENT - age * DAY} if status == "published" else {}
        sent |= {"detail": "why"} if status == "skipped" else {}
        row = {"redrive_id": 1, "dead_letter_id": number, "status": status, "returning": None}
        await add(heap, "redrive_messages", **row | sent)
    await add(heap, "redrive_messages", redrive_id=2, dead_letter_id=13, status="skipped", detail="y", returning=None)
    await add(heap, "dead_letters", id=23, event_id="evt_13", redrive_count=1, reason="fatal")
    both = {"dead_letter_id": 18, "returning": None}
    for number, count in ((18, 0), (28, 1)):
        await add(heap, "dead_letters", id=number, event_id="evt_18", redrive_count=count)
    await add(heap, "redrive_messages", redrive_id=1, status="skipped", detail="why", **both)
    sent = {"claimed_at": MOMENT, "published_at": MOMENT}
    await add(heap, "redrive_messages", redrive_id=2, status="published", **both | sent)
    found = await run(heap, "list_redrive_messages", 1, 9)
    assert [(row["dead_letter_id"], row["returned_id"]) for row in found] == [
        *((13, 23), (12, None), (18, None), (14, None), (15, None), (16, None), (17, None)),
    ]
    assert [row["dead_letter_id"] for row in await run(heap, "list_redrive_messages", 1, 2)] == [13, 12]
    for letter, redrives in ((13, [(2, None), (1, 23)]), (14, [(1, None)]), (18, [(2, 28), (1, None)])):
        found = await run(heap, "list_redrives_of_letter", letter)
        assert [(row["redrive_id"], row["returned_id"]) for row in found] == redrives
    for redrive in range(3, 24):
        await add(heap, "redrives", id=redrive)
        await add(heap, "redrive_messages", redrive_id=redrive, dead_letter_id=14, returning=None)
    found = await run(heap, "list_redrives_of_letter", 14)
    assert [row["redrive_id"] for row in found] == list(range(23, 3, -1))


async def test_commands_are_listed_with_when_their_money_is_free(heap: asyncpg.Connection[Any]) -> None:
    now = dt.datetime.now(dt.UTC)
    for number, state, expires in (
        (2, None, -HOUR),
        (1, "accepted", -3 * HOUR),
        (3, "refused", -HOUR),
        (4, "done", -HOUR),
        (5, None, HOUR),
    ):
        await add(heap, "commands", id=number, state=state, asked_at=now - DAY, expires_at=now + expires)
    names = {row["command_id"]: row["id"] for row in await heap.fetch("select id, command_id from commands")}
    shown = {1: "accepted", 2: "asked", 3: "refused", 4: "done", 5: "asked"}
    for name, rows, wanted in (
        ("list_newest_commands", 9, [(5, False), (4, False), (3, False), (2, False), (1, True)]),
        ("list_newest_commands", 2, [(5, False), (4, False)]),
        ("list_unanswered_commands", 9, [(1, True), (2, False)]),
        ("list_unanswered_commands", 1, [(1, True)]),
    ):
        found = await run(heap, name, rows, 7200.0)
        assert [(names[row["command_id"]], row["free"]) for row in found] == wanted, name
        assert all(row["free_at"] - row["expires_at"] == 2 * HOUR for row in found)
        assert [row["state"] for row in found] == [shown[number] for number, _ in wanted]


async def test_windows_of_webhooks_that_did_not_come(heap: asyncpg.Connection[Any]) -> None:
    async def bring(source: str, event: int, minutes: int, kind: str = "k", **columns: Any) -> None:
        row = {"source": source, "event_id": f"e-{event}", "kind": kind, "occurred_at": MOMENT + minutes * MINUTE}
        await add(heap, "recalled_events", returning=None, **row | {"history": False, "first_at": MOMENT} | columns)

    for event, (minutes, columns) in enumerate(
        (
            (59, {"kind": "b", "lost_at": MOMENT}),
            (0, {"kind": "a", "webhook_at": MOMENT}),
            (30, {"kind": "b"}),
            (118, {"kind": "a", "webhook_at": MOMENT, "lost_at": MOMENT}),
            (178, {"kind": "z"}),
            (90, {"history": True, "kind": "not shown"}),
            (150, {"first_at": None, "kind": "not shown"}),
        )
    ):
        await bring("stripe", event, minutes, **columns)
    for source, event, minutes in (("adyen", 11, 40), ("adyen", 12, 41), ("gocardless", 13, 150)):
        await bring(source, event, minutes, "c")
    for number, kind in enumerate("gfedcba"):
        await bring("paypal", 20 + number, 600, kind)
    names = ("source", "since", "until", "events", "lost", "late", "waiting", "kinds")
    windows = [
        ("paypal", MOMENT + 600 * MINUTE, MOMENT + 600 * MINUTE, 7, 0, 0, 7, list("abcdef")),
        ("stripe", MOMENT + 178 * MINUTE, MOMENT + 178 * MINUTE, 1, 0, 0, 1, ["z"]),
        ("gocardless", MOMENT + 150 * MINUTE, MOMENT + 150 * MINUTE, 1, 0, 0, 1, ["c"]),
        ("adyen", MOMENT + 40 * MINUTE, MOMENT + 41 * MINUTE, 2, 0, 0, 2, ["c"]),
        ("stripe", MOMENT, MOMENT + 118 * MINUTE, 4, 2, 1, 1, ["a", "b"]),
    ]
    for rows, wanted in ((9, windows), (2, windows[:2])):
        found = await run(heap, "list_lost_windows", rows)
        assert [tuple(row[name] for name in names) for row in found] == wanted


async def test_messages_and_discards_are_of_what_was_asked(heap: asyncpg.Connection[Any]) -> None:
    for payment in (FIRST, SECOND):
        await add(heap, "payments", id=payment)
    for number, payment in ((3, FIRST), (2, FIRST), (1, SECOND)):
        child = f"{number}"
        await add(heap, "sms_transactions", id=number, payment_id=payment, child=child, attempts=number)
    assert [row["attempts"] for row in await run(heap, "list_messages", FIRST)] == [2, 3]
    for number, who in ((1, "alice"), (2, "bob")):
        await add(heap, "dead_letters", id=number, status="discarded")
        await add(heap, "discards", dead_letter_id=number, discarded_by=who, returning=None)
    assert [row["discarded_by"] for row in await run(heap, "read_discard", 2)] == ["bob"]
