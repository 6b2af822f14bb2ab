"""What two sessions do to each other: how strongly each statement locks, in which order, and who waits for nobody.

`tests/unit/test_lock_clauses.py` lists every lock and what goes wrong without it; here Postgres itself is asked.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest
from consumer_harness import until_waiting
from filled_database import undone
from written_rows import insert

from consumer import rows
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import Database

pytestmark = pytest.mark.integration

FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)
NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
UPPER, LOWER = "B", "a"
"""Names in the order of their bytes. The embedded server sorts so too and has no language to sort by: that each order
says `collate "C"` is in `tests/unit/test_lock_clauses.py` alone."""
FILL = f"""
insert into payments (id, provider, account, status, refund_status, dispute_status, amount, authorized, captured,
    refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at, provider_ref)
select id, 'p', '', 'created', 'none', 'none', 0, 0, 0, 0, 0, 1, '{{}}', '', 0, now() - interval '1 day',
    now() - silent, ref
from (values ('{SECOND}'::uuid, 's-2', interval '2 hours'), ('{FIRST}', 's-1', '1 hour')) as made (id, ref, silent);
insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
values ('p', '', '', true, 'payment', '{LOWER}', '{FIRST}'), ('p', '', '', true, 'payment', '{UPPER}', '{SECOND}');
insert into dead_letters (id, topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values,
    source, event_id, reason, message, relay_xid, created_at, status)
overriding system value
select n, 't', 0, n, sha256(n::text::bytea), 1, null, 'v', '{{}}', '{{}}', 'p', 'e-' || n, 'orphan', 'why', 1,
    now() - interval '1 year', case when n > 10 then 'discarded' else 'open' end
from unnest('{{12,11,2,1}}'::bigint[]) as n;
insert into redrives (id, requested_by, filter, rate_per_second, policy, failure_ratio_max, failures_min, forced,
    matched, selected)
overriding system value values (1, 'a', '{{}}', 1, 'keep_going', 0.5, 1, false, 2, 2);
insert into redrive_messages (redrive_id, dead_letter_id, would) values (1, 2, 'apply'), (1, 1, 'apply');
insert into parked_events (id, source, event_id, event_type, reason, detail, facts, topic, partition, "offset",
    timestamp_ms, header_names, header_values, parked_at, deadline)
overriding system value
select n, 'p', 'parked-' || n, 'k', 'orphan', '', '[]', 't', 0, n, 0, '{{}}', '{{}}', '2026-11-28 13:00Z', '2026-11-29Z'
from unnest('{{2,1}}'::bigint[]) as n;
insert into consumer_marks (topic, partition, start_offset, unclean_ends) values ('t', 0, 0, 0);
insert into leases (name, holder, token, expires_at) values ('l', 'h', 1, now() + interval '1 hour');
insert into recalled_events (source, event_id, kind, ref, occurred_at, history)
select 'p', 'e-' || n, 'k', 'o-' || n, now(), false from unnest('{{2,1}}'::integer[]) as n
union all select source, 'e-3', 'k', 'o-3', now(), false from unnest('{{q,p}}'::text[]) as source;
insert into refetches (provider, account, ref, reason, known, priority, next_attempt_at, status, updated_at)
values ('p', '', 'due', 'stale', true, 1, now(), 'queued', now()),
    ('p', '', 'old', 'stale', true, 1, now(), 'done', now() - interval '1 year');
insert into sms_transactions (payment_id, to_number, template, child, amount, status, created_at, next_attempt_at)
values ('{FIRST}', '+491511234567', 'captured', '', 1, 'queued', now(), now()),
    ('{SECOND}', '+491511234567', 'captured', '', 1, 'delivered', now() - interval '1 year', now());
insert into debits (provider, account, ref, noted_at, until)
values ('p', '', 'd-2', now() - interval '9 days', now() + interval '9 days'),
    ('p', '', 'd-1', now() - interval '8 days', now() + interval '9 days');
insert into body_claims (source, digest, event_id) values ('p', sha256('x'), 'gone');
insert into intent_claims (client, idempotency_key, fingerprint, command, payment_id, event_id, record_key, amount,
    created_at, expires_at, answer)
values ('c', '{FIRST}', sha256('x'), 'refund', '{FIRST}', 'e', 'k', 1, now() - interval '9 days',
    now() - interval '1 day', 'x');
"""
REFS = [("p", "", "", True, "payment", name) for name in (UPPER, LOWER)]


def refs(*, turned: bool = False) -> list[str]:
    return rows.ref_arrays(REFS[::-1] if turned else REFS)


class Held(NamedTuple):
    """What a statement holds on a row until its transaction ends."""

    package: str
    name: str
    arguments: tuple[Any, ...]
    row: str
    strength: str


STRENGTHS = ("key share", "share", "no key update", "update")
HELD = (
    Held("consumer", "lock_refs", (*refs(), "{f,f}", "{}", 10), "payment_refs where ref = 'a'", "no key update"),
    Held("consumer", "lock_refs", (*refs(), "{f,f}", "{}", 10), f"payments where id = '{FIRST}'", "no key update"),
    Held("consumer", "lock_refs", ("{}", "{}", "{}", "{}", "{}", "{}", "{}", f"{{{SECOND}}}", 10),
         f"payments where id = '{SECOND}'", "no key update"),
    Held("consumer", "lock_refs_only", tuple(refs()), "payment_refs where ref = 'a'", "no key update"),
    Held("consumer", "lock_letters", ([1],), "dead_letters where id = 1", "no key update"),
    Held("consumer", "lengthen_deadlines", (0, NOW, NOW, 9), "parked_events where id = 1", "no key update"),
    Held("consumer", "note_recalled", ("{p}", "{e-1}", "{webhook}"),
         "recalled_events where event_id = 'e-1'", "update"),
    Held("consumer", "note_object_webhooks", ("{p}", "{o-1}"), "recalled_events where event_id = 'e-1'", "update"),
    Held("consumer", "read_mark", ("t", 0), "consumer_marks", "update"),
    Held("consumer", "read_parking_clock", (), "parking_clock", "update"),
    Held("producers", "read_redrive_next", (1, 9, 999, 999), "dead_letters where id = 1", "no key update"),
    Held("producers", "move_cursor", ("changes", 1, 1, 2, 2, "l", 1, "h"), "leases", "share"),
    Held("producers", "delete_spool", ([], "l", 1, "h", [], [], [], [], [], []), "leases", "share"),
    Held("ops", "lock_chains", ([FIRST],), f"payments where id = '{FIRST}'", "no key update"),
    Held("ops.console", "lock_outcome_cursor", (), "outcome_cursors", "update"),
    Held("runtime", "guard_lease", ("l", 1, "h"), "leases", "share"),
)  # fmt: skip


@asynccontextmanager
async def sessions(dsn: str, count: int) -> AsyncIterator[list[asyncpg.Connection[Any]]]:
    opened = [await asyncpg.connect(dsn, server_settings={"lock_timeout": "5s"}) for _ in range(count)]
    try:
        yield opened
    finally:
        for one in opened:
            one.terminate()


@pytest.fixture
async def filled(database: Database) -> str:
    async with sessions(database.owner_dsn, 1) as (owner,):
        await owner.execute(FILL)
    return database.owner_dsn


async def refused(connection: asyncpg.Connection[Any], row: str) -> list[str]:
    """Return which locks on a row another session keeps us from."""
    found = []
    for strength in STRENGTHS:
        try:
            got = await connection.fetch(f"select from {row} for {strength} nowait")
            assert got, row
        except asyncpg.LockNotAvailableError:
            found.append(strength)
    return found


CONFLICTS = {
    "key share": ["update"],
    "share": ["no key update", "update"],
    "no key update": ["share", "no key update", "update"],
    "update": list(STRENGTHS),
}
"""PostgreSQL manual, table 13.3: conflicting row-level locks."""


@pytest.mark.parametrize("held", HELD, ids=lambda held: f"{held.name} {held.row}")
async def test_a_statement_holds_what_it_says_until_its_transaction_ends(filled: str, held: Held) -> None:
    async with sessions(filled, 2) as (one, other):
        assert await refused(other, held.row) == []
        async with one.transaction():
            await one.fetch(statement(held.package, held.name), *held.arguments)
            assert await refused(other, held.row) == CONFLICTS[held.strength]
        assert await refused(other, held.row) == []


class Passing(NamedTuple):
    """A statement that leaves out a row which another session holds, and comes back for it."""

    package: str
    name: str
    arguments: tuple[Any, ...]
    row: str
    left: str


PASSING = (
    Passing("consumer.dispatcher", "claim_refetch", (["p"], [""], 60, [True], 0), "refetches where ref = 'due'",
            "select from refetches where attempts = 0 and ref = 'due'"),
    Passing("consumer.dispatcher", "claim_sms", (60,), "sms_transactions where status = 'queued'",
            "select from sms_transactions where status = 'queued'"),
    Passing("consumer.dispatcher", "queue_debits", ("p", "", 1, 1, 9), "debits",
            "select from debits where asked_at is null"),
    Passing("producers", "delete_idempotency_records", (9,), "intent_claims", "select from intent_claims"),
    Passing("ops", "remove_letters", (NOW, 9), "dead_letters where status <> 'open'",
            "select from dead_letters where status <> 'open'"),
    Passing("ops", "remove_messages", (NOW, 9), "sms_transactions where status = 'delivered'",
            "select from sms_transactions where status = 'delivered'"),
    Passing("ops", "remove_refetches", (NOW, 9), "refetches where ref = 'old'",
            "select from refetches where ref = 'old'"),
    Passing("ops", "remove_body_claims", (NOW, 9), "body_claims", "select from body_claims"),
)  # fmt: skip


@pytest.mark.parametrize("passing", PASSING, ids=lambda passing: passing.name)
async def test_what_another_holds_is_passed_and_taken_the_next_time(filled: str, passing: Passing) -> None:
    async with sessions(filled, 2) as (holder, passer):
        await passer.execute("set lock_timeout = '500ms'")
        sql = statement(passing.package, passing.name)
        async with holder.transaction():
            await holder.fetch(f"select from {passing.row} for no key update")
            await passer.fetch(sql, *passing.arguments)
            assert await passer.fetch(passing.left)
        await passer.fetch(sql, *passing.arguments)
        assert not await passer.fetch(passing.left)


async def test_one_console_counts_and_the_other_goes_without(filled: str) -> None:
    async with sessions(filled, 2) as (one, other):
        sql = statement("ops.console", "lock_outcome_cursor")
        async with one.transaction():
            assert len(await one.fetch(sql)) == 1
            assert await other.fetch(sql) == []


class Ordered(NamedTuple):
    """A statement that locks two rows one after the other: `second` is another's, so it waits with `first` in hand."""

    package: str
    name: str
    arguments: tuple[Any, ...]
    first: str
    second: str


ORDERED = (
    Ordered("consumer", "lock_refs", (*refs(turned=True), "{f,f}", "{}", 10),
            "payment_refs where ref = 'B'", "payment_refs where ref = 'a'"),
    Ordered("consumer", "lock_refs", (*refs(turned=True), "{f,f}", "{}", 10),
            f"payments where id = '{FIRST}'", f"payments where id = '{SECOND}'"),
    Ordered("consumer", "lock_refs_only", tuple(refs(turned=True)),
            "payment_refs where ref = 'B'", "payment_refs where ref = 'a'"),
    Ordered("consumer", "lock_letters", ([2, 1],), "dead_letters where id = 1", "dead_letters where id = 2"),
    Ordered("consumer", "lengthen_deadlines", (0, NOW, NOW, 9),
            "parked_events where id = 1", "parked_events where id = 2"),
    Ordered("consumer", "note_recalled", ("{p,p}", "{e-2,e-1}", "{webhook,webhook}"),
            "recalled_events where event_id = 'e-1'", "recalled_events where event_id = 'e-2'"),
    Ordered("consumer", "note_object_webhooks", ("{p,p}", "{o-2,o-1}"),
            "recalled_events where event_id = 'e-1'", "recalled_events where event_id = 'e-2'"),
    Ordered("consumer", "note_recalled", ("{q,p}", "{e-3,e-3}", "{webhook,webhook}"),
            "recalled_events where source = 'p' and event_id = 'e-3'", "recalled_events where source = 'q'"),
    Ordered("consumer", "note_object_webhooks", ("{q,p}", "{o-3,o-3}"),
            "recalled_events where source = 'p' and event_id = 'e-3'", "recalled_events where source = 'q'"),
    Ordered("producers", "read_redrive_next", (1, 9, 999, 999),
            "dead_letters where id = 1", "dead_letters where id = 2"),
    Ordered("ops", "lock_chains", ([SECOND, FIRST],),
            f"payments where id = '{FIRST}'", f"payments where id = '{SECOND}'"),
)  # fmt: skip


@pytest.mark.parametrize("ordered", ORDERED, ids=lambda ordered: f"{ordered.name} {ordered.first}")
async def test_rows_are_locked_in_one_order(filled: str, ordered: Ordered) -> None:
    async with sessions(filled, 3) as (holder, asker, observer):
        async with holder.transaction():
            await holder.fetch(f"select from {ordered.second} for no key update")
            begun = asyncio.create_task(asker.fetch(statement(ordered.package, ordered.name), *ordered.arguments))
            await until_waiting(observer)
            assert await refused(observer, ordered.first) != [], "it waits for the second without the first"
        await begun


NAMED: dict[str, Any] = {"provider": "pq", "account": "ab", "merchant_account": "mn", "livemode": (False, True),
         "kind": ("charge", "payment"), "ref": "rs"}  # fmt: skip
"""Of each part of a name two values, the one first that is locked first."""


@pytest.mark.parametrize("name", ["lock_refs", "lock_refs_only"])
async def test_refs_are_locked_in_the_order_of_all_their_parts(filled: str, name: str) -> None:
    """Two batches that name the same two in turned order would wait for each other."""
    more = ("{f,f}", "{}", 10) if name == "lock_refs" else ()
    async with sessions(filled, 4) as (holder, asker, observer, owner):
        for column, (first, second) in NAMED.items():
            pair = [{part: values[0] for part, values in NAMED.items()} | {column: one} for one in (first, second)]
            keys = [tuple(one.values()) for one in pair]
            for key in keys:
                await owner.execute(
                    "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)"
                    " values ($1, $2, $3, $4, $5, $6)", *key,
                )  # fmt: skip
            rest = " and ".join(f"{part} = '{value}'" for part, value in pair[0].items() if part != column)
            row = f"payment_refs where {rest} and {column} = "
            async with holder.transaction():
                await holder.fetch(f"select from {row}'{second}' for no key update")
                arrays = rows.ref_arrays(keys[::-1])
                begun = asyncio.create_task(asker.fetch(statement("consumer", name), *arrays, *more))
                await until_waiting(observer)
                assert await refused(observer, f"{row}'{first}'") != [], column
            await begun
            await owner.execute("delete from payment_refs where provider in ('p', 'q') and account in ('a', 'b')")


NEW = "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref) values "


async def test_refs_are_made_before_any_is_locked(filled: str) -> None:
    """Who held a reference and then waited for one that another makes would let that one wait for ever."""
    asked = (*rows.ref_arrays([REFS[0], ("p", "", "", True, "payment", "new")]), "{f,f}", "{}", 10)
    async with sessions(filled, 3) as (holder, asker, observer):
        await observer.execute("set lock_timeout = '300ms'")
        async with holder.transaction():
            await holder.fetch("select from payment_refs where ref = 'B' for no key update")
            begun = asyncio.create_task(asker.fetch(statement("consumer", "lock_refs"), *asked))
            await until_waiting(observer)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await observer.execute(f"{NEW} ('p', '', '', true, 'payment', 'new')")
        await begun


async def test_who_made_a_ref_a_moment_later_learns_that_it_has_not_seen_it(filled: str) -> None:
    asked = (*rows.ref_arrays([REFS[0], ("p", "", "", True, "payment", "new")]), "{f,f}", "{}", 10)
    async with sessions(filled, 3) as (holder, asker, observer):
        async with holder.transaction():
            await holder.execute(f"{NEW} ('p', '', '', true, 'payment', 'new')")
            begun = asyncio.create_task(asker.fetch(statement("consumer", "lock_refs"), *asked))
            await until_waiting(observer)
        assert (await begun)[0]["refs"] == 1


class Written(NamedTuple):
    """A statement that makes two rows: one that another makes in this moment it waits for with the first in hand."""

    package: str
    name: str
    arguments: tuple[Any, ...]
    first: str
    second: str


WRITTEN = (
    Written("consumer", "lock_refs",
            (*rows.ref_arrays([("p", "", "", True, "payment", ref) for ref in ("n-1", "n-2")]), "{f,f}", "{}", 10),
            "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)"
            " values ('p', '', '', true, 'payment', 'n-1')",
            "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)"
            " values ('p', '', '', true, 'payment', 'n-2')"),
    Written("consumer", "insert_bodies", (["p", "p"], [b"2" * 32, b"1" * 32], ["e-2", "e-1"]),
            "insert into body_claims values ('p', repeat('1', 32)::bytea, 'e')",
            "insert into body_claims values ('p', repeat('2', 32)::bytea, 'e')"),
    Written("consumer", "note_debits", (["p", "p"], ["", ""], ["r-2", "r-1"], [1, 1]),
            "insert into debits (provider, account, ref, until) values ('p', '', 'r-1', now())",
            "insert into debits (provider, account, ref, until) values ('p', '', 'r-2', now())"),
    Written("consumer", "queue_refetches", (["p", "p"], ["", ""], ["r-2", "r-1"], ["stale", "stale"]),
            "insert into refetches (provider, account, ref, reason) values ('p', '', 'r-1', 'stale')",
            "insert into refetches (provider, account, ref, reason) values ('p', '', 'r-2', 'stale')"),
    *(
        Written("consumer.dispatcher", name, arguments,
                f"insert into refetches (provider, account, ref, reason) values ('p', '', '{ref}-1', 'stale')",
                f"insert into refetches (provider, account, ref, reason) values ('p', '', '{ref}-2', 'stale')")
        for name, ref, arguments in (
            ("queue_debits", "d", ("p", "", 1, 1, 9)),
            ("queue_stale", "s", ("p", "", ["created"], [], [], 1, 1, 99999, 9, None)),
        )
    ),
    Written("consumer", "queue_messages",
            ([FIRST] * 2, ["+491511234567"] * 2, ["refunded"] * 2, ["r-2", "r-1"], [1, 1]),
            f"insert into sms_transactions (payment_id, to_number, template, child, status)"
            f" values ('{FIRST}', '+491511234567', 'refunded', 'r-1', 'queued')",
            f"insert into sms_transactions (payment_id, to_number, template, child, status)"
            f" values ('{FIRST}', '+491511234567', 'refunded', 'r-2', 'queued')"),
    Written("consumer.dispatcher", "note_seen", ("p", ["n-2", "n-1"], ["k", "k"], [None, None], [NOW, NOW], NOW),
            "insert into recalled_events (source, event_id, kind, occurred_at, history)"
            " values ('p', 'n-1', 'k', now(), false)",
            "insert into recalled_events (source, event_id, kind, occurred_at, history)"
            " values ('p', 'n-2', 'k', now(), false)"),
)  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.name)
async def test_rows_are_made_in_one_order(filled: str, written: Written) -> None:
    async with sessions(filled, 3) as (holder, asker, observer):
        await observer.execute("set lock_timeout = '300ms'")
        async with asker.transaction():
            async with holder.transaction():
                await holder.execute(written.second)
                begun = asyncio.create_task(asker.fetch(statement(written.package, written.name), *written.arguments))
                await until_waiting(observer)
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await observer.execute(written.first)
            await begun


class Parts(NamedTuple):
    """A statement that makes rows in the order of several columns: of each two values, the earlier one first."""

    name: str
    table: str
    columns: dict[str, tuple[Any, Any]]
    arguments: tuple[str, ...]
    """The columns of which the statement takes arrays."""
    more: dict[str, Any]
    """What else is an argument."""
    table_more: dict[str, Any]
    """What else the table wants."""


PLACES = {"provider": ("p", "q"), "account": ("a", "b"), "ref": ("r-1", "r-2")}
PARTS = (
    Parts("insert_bodies", "body_claims", {"source": ("p", "q"), "digest": (b"1" * 32, b"2" * 32)},
          ("source", "digest", "event_id"), {"event_id": "e"}, {"event_id": "e"}),
    Parts("note_debits", "debits", PLACES, ("provider", "account", "ref", "days"), {"days": 1}, {"until": NOW}),
    Parts("queue_refetches", "refetches", PLACES, ("provider", "account", "ref", "reason"), {"reason": "stale"},
          {"reason": "stale"}),
    Parts("queue_messages", "sms_transactions",
          {"payment_id": (FIRST, SECOND), "template": ("captured", "refunded"), "child": ("r-1", "r-2")},
          ("payment_id", "phone", "template", "child", "amount"), {"phone": "+491511234567", "amount": 1},
          {"to_number": "+491511234567", "status": "queued"}),
)  # fmt: skip


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: parts.name)
async def test_rows_are_made_in_the_order_of_all_their_parts(filled: str, parts: Parts) -> None:
    async with sessions(filled, 3) as (holder, asker, observer):
        await observer.execute("set lock_timeout = '50ms'")
        for column, (one, another) in parts.columns.items():
            first = {part: values[0] for part, values in parts.columns.items()} | {column: one}
            second = first | {column: another}
            arrays = [[row[part] for row in (second | parts.more, first | parts.more)] for part in parts.arguments]
            async with undone(asker):
                async with undone(holder):
                    await insert(holder, parts.table, **second | parts.table_more)
                    begun = asyncio.create_task(asker.fetch(statement("consumer", parts.name), *arrays))
                    await until_waiting(observer)
                    with pytest.raises(asyncpg.LockNotAvailableError):
                        await insert(observer, parts.table, **first | parts.table_more)
                await begun


async def test_messages_are_locked_in_one_order(filled: str) -> None:
    taken = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))"
    async with sessions(filled, 3) as (holder, asker, observer):
        async with holder.transaction():
            await holder.execute(statement("consumer", "lock_reported_messages"), ["SM2"])
            begun = asyncio.create_task(asker.execute(statement("consumer", "lock_reported_messages"), ["SM2", "SM1"]))
            await until_waiting(observer)
            assert not await observer.fetchval(taken, "SM1")
        await begun
