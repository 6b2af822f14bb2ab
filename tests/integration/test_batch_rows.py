"""What a batch writes beside the ledger, row by row: each beside rows that differ in one thing."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import until_waiting
from filled_database import by_heap, filled_database, undone
from written_rows import insert

from consumer import rows
from runtime.postgres_arrays import bytes_array, plain_array, text_array
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

    Session = asyncpg.Connection[Any]

pytestmark = pytest.mark.integration

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
PAYMENT: dict[str, Any] = {
    "provider": "p",
    "account": "a",
    "provider_ref": "ref",
    "client": "shop",
    "reference": "order 1",
    "phone": "+491511234567",
    "merged_into": None,
    "status": "created",
    "refund_status": "none",
    "dispute_status": "none",
    "currency": "EUR",
    "amount": 1,
    "authorized": 2,
    "captured": 3,
    "refunded": 4,
    "disputed": 5,
    "version": 1,
    "facts": "{}",
    "head_hash": b"",
    "head_xid": 6,
    "merchant_account": "m",
    "livemode": True,
    "intent_id": None,
    "flags": "",
}
"""A payment as the columns of write_payments.sql, in their order."""


def pay(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


MOVED = PAYMENT | {
    "provider_ref": "ref anew",
    "client": "shop anew",
    "reference": "order 2",
    "phone": "+491511234568",
    "merged_into": pay(8),
    "status": "captured",
    "refund_status": "partial",
    "dispute_status": "open",
    "currency": "USD",
    "amount": 11,
    "authorized": 12,
    "captured": 13,
    "refunded": 14,
    "disputed": 15,
    "version": 2,
    "facts": '{"a": 1}',
    "head_hash": b"h" * 32,
    "head_xid": 16,
    "merchant_account": "n",
    "intent_id": pay(9),
}


@pytest.fixture(scope="module")
async def filled(stack: Any, template_database: str) -> AsyncIterator[Session]:
    """Give a superuser's connection to a database with payments; what a test does is undone."""
    async with filled_database(stack, template_database, "") as connection:
        for number in (9, 8, 3, 2, 1):
            times = {"created_at": NOW - DAY, "updated_at": NOW - DAY}
            await insert(connection, "payments", **PAYMENT | times | {"id": pay(number), "flags": []})
        yield connection


@pytest.fixture
async def some(filled: Session) -> AsyncIterator[Session]:
    """Give the connection within a transaction that is undone."""
    async with undone(filled):
        yield filled


async def run(connection: Session, name: str, *arguments: Any) -> list[Any]:
    return await connection.fetch(statement("consumer", name), *arguments)


async def of_table(connection: Session, columns: str, table: str) -> list[Any]:
    """Return columns of a table in order; of one column its values."""
    found = await connection.fetch(f"select {columns} from {table} order by {columns}")
    return [row[0] if len(row) == 1 else tuple(row) for row in found]


async def write(
    connection: Session,
    *payments: tuple[int, dict[str, Any], bool],
    bindings: dict[Any, uuid.UUID] | None = None,
) -> None:
    """Write payments (number, columns, whether opened) and bind names."""
    columns = zip(*((pay(number), *columns.values(), opened) for number, columns, opened in payments), strict=True)
    plain = {0, 7, *range(12, 18), 20, 22, 23, 25}
    arrays = [
        plain_array(one) if at in plain else bytes_array(one) if at == 19 else text_array(one)
        for at, one in enumerate(columns)
    ]
    await run(connection, "write_payments", *arrays, NOW, *rows.binding_arrays(bindings or {}))


async def payment(connection: Session, number: int) -> dict[str, Any]:
    row = await connection.fetchrow("select * from payments where id = $1", pay(number))
    return {} if row is None else dict(row)


async def test_payments_are_written_with_all_that_they_are(some: Session) -> None:
    """A column that stays behind is money that the customer's order, the relay and the audit see otherwise."""
    beside = await payment(some, 2)
    await write(some, (1, MOVED, False), (4, MOVED | {"merged_into": None}, True))
    times = {"flags": [], "flagged_at": None, "updated_at": NOW, "metadata": None}
    assert await payment(some, 1) == {**MOVED, "id": pay(1), "created_at": NOW - DAY, **times}
    assert await payment(some, 4) == {**MOVED, "merged_into": None, "id": pay(4), "created_at": NOW, **times}
    assert await payment(some, 2) == beside


async def test_a_payment_is_flagged_since_the_first_of_its_flags(some: Session) -> None:
    await some.execute("update payments set updated_at = $1 where id = $2", NOW + HOUR, pay(3))
    await write(some, (1, PAYMENT | {"flags": "underpaid,paid_again"}, False), (3, PAYMENT, False))
    await write(some, (4, PAYMENT | {"flags": "underpaid"}, True), (5, PAYMENT, True))
    found = {number: await payment(some, number) for number in (1, 3, 4, 5)}
    assert found[1]["flags"] == ["underpaid", "paid_again"]
    assert [one["flagged_at"] for one in found.values()] == [NOW, None, NOW, None]
    assert [one["updated_at"] - NOW for one in found.values()] == [HOUR * 0, HOUR, HOUR * 0, HOUR * 0]
    await some.execute("update payments set flagged_at = $1 where flagged_at is not null", NOW - HOUR)
    await write(some, (1, PAYMENT | {"flags": "underpaid"}, False), (4, PAYMENT, False))
    found = {number: await payment(some, number) for number in (1, 4)}
    assert [(one["flags"], one["flagged_at"]) for one in found.values()] == [(["underpaid"], NOW - HOUR), ([], None)]


async def test_a_name_is_bound_alone(some: Session) -> None:
    """Another merchant's name bound to this payment is his money in this row."""
    name = {"provider": "p", "account": "a", "merchant_account": "m", "livemode": True, "kind": "payment", "ref": "r"}
    other = {"provider": "q", "account": "b", "merchant_account": "n", "livemode": False, "kind": "charge", "ref": "s"}
    for one in (name, *(name | {part: value} for part, value in other.items())):
        await insert(some, "payment_refs", **one)
    key = tuple(name.values())
    await write(some, (1, PAYMENT, False), bindings={key: pay(1)})
    bound = await some.fetch("select * from payment_refs where payment_id is not null")
    assert [dict(row) for row in bound] == [{**name, "payment_id": pay(1)}]


async def test_metadata_are_kept_with_their_payment(some: Session) -> None:
    await run(some, "note_metadata", [pay(1)], ['{"cart": 7}'])
    assert await of_table(some, "id, metadata", "payments where id < lpad('4', 32, '0')::uuid") == [
        (pay(1), '{"cart": 7}'),
        (pay(2), None),
        (pay(3), None),
    ]


async def test_a_message_is_queued_once(some: Session) -> None:
    for amount, status in ((5, "queued"), (6, "sent")):
        await run(some, "queue_messages", [pay(1)], ["+491511234567"], ["captured"], [""], [amount])
        found = await of_table(some, "template, child, amount, status", "sms_transactions")
        assert found == [("captured", "", 5, status)], "what was sent is not sent again"
        await some.execute("update sms_transactions set status = 'sent', provider_sid = 'SM1'")


async def test_a_debit_is_watched_for_its_days(some: Session) -> None:
    for days in (3, 9):
        await run(some, "note_debits", ["p"], ["a"], ["r"], [days])
    (until,) = await of_table(some, "until", "debits")
    left = until - await some.fetchval("select clock_timestamp()")
    assert 3 * DAY - HOUR < left <= 3 * DAY, "it is watched from the first time on"


REFETCH = {"provider": "p", "account": "a", "ref": "r", "reason": "stale", "known": True, "priority": 0, "attempts": 0}


async def refetched(connection: Session, reason: str, /, **held: Any) -> dict[str, Any]:
    """Ask for a refetch where one is held already; return the row, times as whether they are now."""
    async with undone(connection):
        if held:
            times = {"next_attempt_at": NOW - DAY, "updated_at": NOW - DAY, "created_at": NOW - DAY}
            await insert(connection, "refetches", **REFETCH | times | held)
        await run(connection, "queue_refetches", ["p"], ["a"], ["r"], [reason])
        (row,) = await connection.fetch(
            "select reason, status, attempts, known, priority,"
            " next_attempt_at > clock_timestamp() - interval '1 hour' as due_anew,"
            " updated_at > clock_timestamp() - interval '1 hour' as touched from refetches"
        )
        return dict(row)


async def test_a_refetch_is_asked_for_anew_by_what_is_known(some: Session) -> None:
    """One that loses its place or its knowledge is asked last, or not at all: a payment stays as it is."""
    new = {"status": "queued", "attempts": 0, "due_anew": True, "touched": True}
    assert await refetched(some, "stale") == {**new, "reason": "stale", "known": True, "priority": 0}
    assert await refetched(some, "hint") == {**new, "reason": "hint", "known": False, "priority": 9}
    queued = {"status": "queued", "attempts": 3, "priority": 5}
    stands = {"status": "queued", "attempts": 3, "due_anew": False, "touched": True}
    for known in (True, False):
        found = await refetched(some, "contradiction", **queued, known=known)
        assert found == {**stands, "reason": "stale", "known": True, "priority": 0}
        found = await refetched(some, "hint", **queued, known=known)
        assert found == {**stands, "reason": "stale", "known": known, "priority": 5}
    for status in ("done", "failed"):
        ended = {"status": status, "attempts": 3, "priority": 5, "reason": "contradiction"}
        found = await refetched(some, "stale", **ended)
        assert found == {**new, "reason": "stale", "known": True, "priority": 0}
        found = await refetched(some, "hint", **ended, known=True)
        assert found == {**new, "reason": "hint", "known": True, "priority": 5}
        found = await refetched(some, "hint", **ended, known=False)
        assert found == {**new, "reason": "hint", "known": False, "priority": 9}


COMMAND: dict[str, Any] = {
    "command": "refund",
    "client": "shop",
    "provider": "p",
    "account": "a",
    "merchant_account": "",
    "livemode": True,
    "amount": 100,
    "asked_at": NOW,
    "expires_at": NOW + HOUR,
    "relay_xid": 5,
}
CLAIM: dict[str, Any] = {
    "command": "refund",
    "client": "shop",
    "fingerprint": b"f" * 32,
    "record_key": "k",
    "answer": b"",
    "amount": 100,
    "created_at": NOW,
    "expires_at": NOW + DAY,
}
STATES = (None, "accepted", "refused", "done")


async def command(connection: Session, payment: int, command_id: str, **changed: Any) -> None:
    row = COMMAND | {"payment_id": pay(payment), "attempt_id": pay(payment), "command_id": command_id} | changed
    await insert(connection, "commands", **row)


async def claim(connection: Session, payment: int, event_id: str, **changed: Any) -> None:
    row = CLAIM | {"payment_id": pay(payment), "event_id": event_id, "idempotency_key": uuid.uuid4()} | changed
    await insert(connection, "intent_claims", **row)


async def test_the_latest_answer_to_a_command_stands(some: Session) -> None:
    """An answer that is taken back frees the money of a refund that was carried out, or holds that of a refused one."""
    for place, held in enumerate(STATES):
        for state in ("accepted", "refused", "done"):
            async with undone(some):
                before = {"state": held, "refusal": "first" if held == "refused" else None}
                for payment, command_id in ((1, "c"), (1, "d"), (2, "c")):
                    await command(some, payment, command_id, **before)
                    await claim(some, payment, command_id, **before)
                await claim(some, 1, "c", command="create", provider="p", account="a", currency="EUR")
                reason = "then" if state == "refused" else None
                await run(some, "answer_commands", [pay(1)], ["c"], [state], [reason])
                later = STATES.index(state) > place
                after = (state, reason) if later else tuple(before.values())
                rest = tuple(before.values())
                found = await of_table(some, "payment_id, command_id, state, refusal", "commands")
                assert found == [(pay(1), "c", *after), (pay(1), "d", *rest), (pay(2), "c", *rest)]
                found = await of_table(
                    some, "payment_id, event_id, state, refusal", "intent_claims where command <> 'create'"
                )
                assert found == [(pay(1), "c", *after), (pay(1), "d", *rest), (pay(2), "c", *rest)]
                assert await of_table(some, "state", "intent_claims where command = 'create'") == [None]


async def test_a_command_is_written_once_and_refused_by_its_reason(some: Session) -> None:
    place = ("p", "a", "", True, "ref", "order 1", "EUR")
    asked = (pay(1), "c", "shop", "refund", pay(1), *place, 100, 0, None, None, None)
    for refusal, more in ((None, 1), ("too late", 2)):
        await run(some, "insert_command", *asked, refusal, NOW, NOW + HOUR, 5)
        await run(some, "insert_command", asked[0], "d", *asked[2:], "too late", NOW, NOW + HOUR, 5 + more)
    assert await of_table(some, "command_id, state, refusal, relay_xid", "commands") == [
        ("c", None, None, 5),
        ("d", "refused", "too late", 6),
    ]


async def test_commands_are_read_in_the_order_in_which_they_were_checked(some: Session) -> None:
    """Read in another order, the one that took the room stands behind the one that was refused for it."""
    await by_heap(some)
    await some.execute("update payments set merged_into = $1 where id = $2", pay(3), pay(8))
    for number, payment, xid in ((4, 2, 1), (3, 1, 2), (2, 1, 1), (1, 1, 2), (9, 3, 1)):
        await command(some, payment, f"c-{number}", id=number, relay_xid=xid)
    found = await run(some, "read_commands", [pay(1), pay(2)], 60.0)
    assert [row["command_id"] for row in found] == ["c-2", "c-1", "c-3", "c-4"]


async def test_a_command_is_over_once_its_grace_is(some: Session) -> None:
    """Over too early, the money of a refund that is still carried out is given a second time."""
    now = await some.fetchval("select clock_timestamp()")
    await some.execute("update payments set merged_into = $1 where id = $2", pay(3), pay(8))
    times = {"c": now - HOUR, "d": now - 3 * HOUR, "e": now + HOUR}
    for command_id, expires_at in times.items():
        await command(some, 1, command_id, attempt_id=pay(8), asked_at=now - DAY, expires_at=expires_at)
    found = await run(some, "read_commands", [pay(1)], 7200.0)
    assert {row["command_id"]: row["over"] for row in found} == {"c": False, "d": True, "e": False}
    assert {row["attempt_id"] for row in found} == {pay(3)}, "the attempt turned out to be another payment"
    unknown = uuid.uuid4()
    await some.execute("update commands set attempt_id = $1", unknown)
    found = await run(some, "read_commands", [pay(1)], 7200.0)
    assert [row["attempt_id"] for row in found] == [unknown] * 3, "an attempt of which nothing is known yet"


async def test_the_last_word_of_a_receipt_stands(some: Session) -> None:
    """A message that was delivered is not sent again because an older receipt came late."""
    held = ("queued", "sending", "sent", "delivered", "undelivered", "failed")
    for status in held:
        row = {"payment_id": pay(1), "to_number": "+491511234567", "template": status, "status": status}
        await insert(some, "sms_transactions", **row, provider_sid=status)
    await insert(some, "sms_transactions", **row | {"template": "t", "status": "sent"}, provider_sid="another")
    await run(some, "note_delivery_reports", list(held), ["sent"] * 2 + ["failed"] * 4)
    found = dict(await of_table(some, "provider_sid, status", "sms_transactions"))
    last = {one: one for one in ("delivered", "undelivered", "failed")}
    assert found == {"another": "sent", "queued": "sent", "sending": "sent", "sent": "failed", **last}
    await run(
        some, "note_delivery_reports", ["delivered", "undelivered", "failed"], ["undelivered", "failed", "delivered"]
    )
    assert dict(await of_table(some, "provider_sid, status", "sms_transactions")) == found


async def recalled(connection: Session, event_id: str = "e", *, source: str = "p/a", **changed: Any) -> None:
    row = {"source": source, "event_id": event_id, "kind": "k", "occurred_at": NOW, "history": False}
    await insert(connection, "recalled_events", **row | changed)


async def noted(connection: Session, *what: str, **held: Any) -> tuple[Any, Any]:
    """Note what is known of an event that a list showed; return first_at and webhook_at, "now" where they are new."""
    async with undone(connection):
        await recalled(connection, **held)
        await recalled(connection, event_id="f")
        await recalled(connection, source="p/b")
        await run(connection, "note_recalled", *map(text_array, (["p/a"] * len(what), ["e"] * len(what), what)))
        await connection.execute("delete from refetches")
        (_, _, *times), *others = await of_table(
            connection, "source, event_id, first_at, webhook_at", "recalled_events"
        )
        assert others == [("p/a", "f", None, None), ("p/b", "e", None, None)]
        first, webhook = ("now" if one is not None and one > HELD + DAY else one for one in times)
        return first, webhook


HELD = NOW - 900 * DAY
"""Before anything that is noted now."""


async def test_what_a_list_showed_is_noted_by_what_came_first(some: Session) -> None:
    """An event that no webhook brought is a loss that somebody must hear of; one that did is none."""
    first, webhook = {"first_at": HELD}, {"webhook_at": HELD}
    assert await noted(some, "first") == ("now", None)
    assert await noted(some, "known") == (None, "now")
    assert await noted(some, "webhook") == (None, "now")
    assert await noted(some, "first", "known") == ("now", None)
    assert await noted(some, "first", "webhook") == ("now", "now")
    assert await noted(some, "known", "webhook") == (None, "now")
    assert await noted(some, "first", **first) == (HELD, None)
    assert await noted(some, "known", **first) == (HELD, None)
    assert await noted(some, "webhook", **first) == (HELD, "now")
    assert await noted(some, "first", "webhook", **first) == (HELD, "now")
    for what in ("first", "known", "webhook"):
        assert await noted(some, what, **webhook) == (None, HELD), what
        assert await noted(some, what, **first, **webhook) == (HELD, HELD), what


HINT = {"provider": "p", "account": "A", "ref": "o", "reason": "hint", "known": False, "priority": 9, "updated_at": NOW}


async def test_a_hint_of_an_object_is_its_webhook(some: Session) -> None:
    async def hinted(held: dict[str, Any], **changed: Any) -> tuple[Any, Any]:
        async with undone(some):
            await insert(some, "refetches", **HINT | changed)
            return await noted(some, "first", **{"ref": "o"} | held)

    assert await hinted({}) == ("now", "now")
    assert await hinted({}, updated_at=NOW + HOUR) == ("now", "now")
    for changed in (
        *({"provider": "q"}, {"account": "b"}, {"account": "p"}, {"ref": "x"}, {"reason": "stale"}),
        {"updated_at": NOW - HOUR},
    ):
        assert await hinted({}, **changed) == ("now", None), changed
    assert await hinted({"ref": None}) == ("now", None)
    assert await hinted({"webhook_at": HELD}) == (None, HELD)
    assert await hinted({"first_at": HELD}) == (HELD, None), "a hint counts when the event is noted for the first time"


async def test_an_object_s_webhook_is_noted_once(some: Session) -> None:
    for event_id, held in [
        ("e-1", {"ref": "o"}),
        ("e-2", {"ref": "o", "webhook_at": HELD}),
        ("e-3", {"ref": "x"}),
        ("e-1", {"ref": "o", "source": "p/b"}),
        ("e-4", {"ref": "o"}),
    ]:
        await recalled(some, event_id, **held)  # type: ignore[arg-type]
    await run(some, "note_object_webhooks", "{p/a}", "{o}")
    found = await of_table(some, "source, event_id, webhook_at", "recalled_events")
    shown = {row[:2]: "now" if row[2] is not None and row[2] > NOW - 90 * DAY else row[2] for row in found}
    assert shown == {
        ("p/a", "e-1"): "now",
        ("p/a", "e-2"): HELD,
        ("p/a", "e-3"): None,
        ("p/a", "e-4"): "now",
        ("p/b", "e-1"): None,
    }


async def test_the_last_word_of_an_offset_stands(some: Session) -> None:
    """After a topic was made anew it is lower: the old one would pass over all that it has."""
    await insert(some, "consumer_offsets", topic="t", partition=0, next_offset=90, updated_at=NOW - 900 * DAY)
    await run(some, "note_offsets", ["t", "u"], [0, 1], [7, 8])
    assert await of_table(some, "topic, partition, next_offset", "consumer_offsets") == [("t", 0, 7), ("u", 1, 8)]
    assert await of_table(some, "updated_at > now() - interval '1 hour'", "consumer_offsets") == [True, True]
    assert [tuple(row) for row in await run(some, "read_offsets", ["t", "u"], [0, 0])] == [("t", 0, 7)]


async def test_a_database_is_known_by_its_first_epoch(some: Session) -> None:
    await by_heap(some)
    await some.execute("delete from epochs")
    for epoch in (9, 8):
        began = dt.datetime(2026, 1, 1, 0, 0, epoch, 123456, tzinfo=dt.UTC)
        await insert(some, "epochs", epoch=epoch, timeline=1, because="why", began_at=began)
    at = int(dt.datetime(2026, 1, 1, 0, 0, 8, tzinfo=dt.UTC).timestamp()) * 1_000_000 + 123_456
    assert await some.fetchval(statement("consumer", "read_identity")) == f"ratchet:8:{at}"


async def test_an_epoch_is_above_all_others_and_the_clock(some: Session) -> None:
    """One that is not lets readers take old versions for new ones."""
    await some.execute("delete from epochs where epoch <> (select min(epoch) from epochs)")
    first = await some.fetchval("select extract(epoch from clock_timestamp())::bigint")
    await run(some, "begin_epoch", "why")
    last = await some.fetchval("select extract(epoch from clock_timestamp())::bigint + 1")
    made = await some.fetchval("select max(epoch) from epochs")
    assert first <= made <= last
    await insert(some, "epochs", epoch=made + 1000, timeline=1, because="a clock that was ahead")
    await run(some, "begin_epoch", "why")
    assert await some.fetchval("select max(epoch) from epochs") == made + 1001


async def test_two_who_begin_an_epoch_begin_one(database: Database) -> None:
    one, other, observer = [await asyncpg.connect(database.owner_dsn) for _ in range(3)]
    await insert(one, "epochs", epoch=99_999_999_999, timeline=1, because="a clock that was ahead")
    async with one.transaction():
        await run(one, "begin_epoch", "one")
        begun = asyncio.create_task(run(other, "begin_epoch", "other"))
        await until_waiting(observer)
    await begun
    assert await of_table(one, "epoch, because", "epochs where epoch > 99999999999") == [(100_000_000_000, "one")]
    for connection in (one, other, observer):
        await connection.close()


async def test_an_instance_is_locked_for_its_session_which_ends_soon(filled: Session) -> None:
    """Consumers of two versions lock the same, or two processes have one instance's partitions."""
    assert await filled.fetchval(statement("consumer", "lock_instance"), "c-1") is True
    mine = "from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
    held = await filled.fetchval(f"select objid::bigint | (classid::bigint << 32) {mine}")
    assert held == await filled.fetchval("select hashtextextended('ratchet consumer c-1', 0)")
    for setting, value in (("idle", "5"), ("interval", "3"), ("count", "3")):
        assert await filled.fetchval(f"show tcp_keepalives_{setting}") == value
    await filled.execute("select pg_advisory_unlock_all()")
    await filled.execute("reset all")
