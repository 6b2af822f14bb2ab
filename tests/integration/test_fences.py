"""A statement that is fenced writes for who holds the fence, and nothing at all for who held it before.

Of each, every part of the fence is put wrong by itself: another's lease, a token of before or one that was given twice
(the holder tells them apart), a lease that expired, a claim that was made anew, an owner that is gone.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from filled_database import filled_database, undone

from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

pytestmark = pytest.mark.integration

P, OWNER, OTHER = uuid.UUID(int=1), uuid.UUID(int=7), uuid.UUID(int=8)
MARK = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
LATER = MARK + dt.timedelta(seconds=1)
ROWS = f"""
insert into leases (name, holder, token, expires_at)
values ('l', 'h', 2, now() + interval '1 hour'), ('other', 'h', 2, now() + interval '1 hour');
insert into payments (id, provider, account, status, refund_status, dispute_status, amount, authorized, captured,
    refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at)
values ('{P}', 'p', '', 'created', 'none', 'none', 0, 0, 0, 0, 0, 1, '{{}}', '', 0, now(), now());
insert into refetches (id, provider, account, ref, reason, attempts, updated_at, query_id, query_at)
overriding system value values (1, 'p', '', 'r', 'stale', 2, '{MARK}', 'q', '{MARK}');
insert into sms_transactions (id, payment_id, to_number, template, status, attempts)
overriding system value values (1, '{P}', '+491511234567', 'captured', 'sending', 2);
insert into recall_cursors (provider, account, list, began_at, read_until, turns)
values ('p', '', 'l', '{MARK}', '{MARK}', 2),
    ('p', '', 'm', '{MARK}', '{MARK}', 2), ('p', 'b', 'l', '{MARK}', '{MARK}', 2);
insert into recall_orders (id, provider, account, since, until, dry_run, requested_by, because, status, started_at,
    turns)
overriding system value
values (1, 'p', '', '{MARK}', '{LATER}', false, 'a', '', 'running', now(), 2);
insert into consumer_marks (topic, partition, owner, start_offset, unclean_ends, careful_until, probing_offset)
values ('t', 0, '{OWNER}', 5, 3, 50, 6), ('t', 1, '{OWNER}', 5, 3, null, 6);
insert into spool (id, topic, value, header_names, header_values)
overriding system value values (100, 't', '', '{{}}', '{{}}');
update relay_cursors set relay_xid = 5, id = 5, system_identifier = null, epoch = null;
update epochs set timeline = timeline + 1000;
"""


class Fence(NamedTuple):
    """A fenced statement with what is right, and at which places what else is wrong."""

    package: str
    name: str
    right: tuple[Any, ...]
    wrong: dict[int, tuple[Any, ...]]
    table: str


def lease(first: int) -> dict[int, tuple[Any, ...]]:
    """Return what is wrong of a lease whose name is the argument `first`, from 0 on; token and holder follow it."""
    return {first: ("nobody",), first + 1: (1, 3), first + 2: ("another",)}


HELD = ("l", 2, "h")
FENCES = (
    Fence("runtime", "renew_lease", (*HELD, 7200), lease(0), "leases"),
    Fence("runtime", "release_lease", HELD, lease(0), "leases"),
    Fence("producers", "move_cursor", ("changes", 5, 5, 6, 6, *HELD), {1: (4, 6), 2: (4, 6), **lease(5)},
          "relay_cursors"),
    Fence("producers", "delete_spool", ([100], *HELD, [], [], [], [], [], []), lease(1), "spool"),
    Fence("producers", "restart_states", HELD, lease(0), "relay_cursors"),
    Fence("producers", "stamp_cursors", (77, *HELD), lease(1), "relay_cursors"),
    Fence("producers", "begin_epoch", HELD, lease(0), "epochs"),
    Fence("consumer.dispatcher", "await_refetch", (1, 2, MARK, "new", 60), {0: (9,), 1: (1, 3)}, "refetches"),
    Fence("consumer.dispatcher", "finish_refetch", (1, 2, MARK, "t", None, b"", [], [], 1, []), {0: (9,), 1: (1, 3)},
          "refetches"),
    Fence("consumer.dispatcher", "fail_refetch", (1, 2, MARK, "why", 1, 1), {0: (9,), 1: (1, 3)}, "refetches"),
    Fence("consumer.dispatcher", "retry_refetch", (1, 2, 60, "why", 1), {0: (9,), 1: (1, 3)}, "refetches"),
    Fence("producers", "answer_query", ("p", "", "q", "r", "t", None, b"", [], [], 1),
          {0: ("o",), 1: ("b",), 2: ("other",), 3: ("s",)}, "refetches"),
    Fence("producers", "refuse_query", ("p", "", "q", "why"), {0: ("o",), 1: ("b",), 2: ("other",)}, "refetches"),
    Fence("consumer.dispatcher", "finish_sms", (1, 2, "sent", "SM"), {0: (9,), 1: (1, 3)}, "sms_transactions"),
    Fence("consumer.dispatcher", "hold_sms", (1, 2, 60), {0: (9,), 1: (1, 3)}, "sms_transactions"),
    Fence("consumer.dispatcher", "retry_sms", (1, 2, 60), {0: (9,), 1: (1, 3)}, "sms_transactions"),
    Fence("consumer.dispatcher", "move_recall", ("p", "", "l", 2, None, None, None, LATER),
          {0: ("o",), 1: ("c",), 2: ("n",), 3: (1, 3)}, "recall_cursors"),
    Fence("consumer.dispatcher", "move_recall_order",
          (1, 2, "l", None, None, None, 1, 0, 0, 0, "{}", None, None), {0: (9,), 1: (1, 3)}, "recall_orders"),
    Fence("consumer.dispatcher", "delay_recall_order", (1, 60, "why", 1), {0: (9,)}, "recall_orders"),
    Fence("consumer.dispatcher", "end_recall_order", (1, "failed", "why"), {0: (9,)}, "recall_orders"),
    Fence("consumer", "end_quarantine", ("t", 0, OWNER), {0: ("u",), 1: (9,), 2: (OTHER,)}, "consumer_marks"),
    Fence("consumer", "note_probe", ("t", 0, 7, OWNER), {0: ("u",), 1: (9,), 2: (4,), 3: (OTHER,)}, "consumer_marks"),
    Fence("consumer", "let_go", (OWNER, True), {0: (OTHER,)}, "consumer_marks"),
    Fence("consumer", "drop_marks", (OWNER,), {0: (OTHER,)}, "consumer_marks"),
    Fence("consumer", "excuse_owners", ([OWNER],), {0: ([OTHER],)}, "consumer_marks"),
)  # fmt: skip
GONE = {
    "refetches": "update refetches set status = 'done'",
    "sms_transactions": "update sms_transactions set status = 'queued'",
    "recall_orders": "update recall_orders set status = 'stopped', stopped_by = 'a', ended_at = now()",
}
"""What ends a claim beside its number: it was answered, given back, or stopped by somebody."""


@pytest.fixture(scope="module")
async def fenced(stack: Any, template_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    async with filled_database(stack, template_database, ROWS) as connection:
        yield connection


async def writes(
    connection: asyncpg.Connection[Any], fence: Fence, arguments: tuple[Any, ...], before: str = ""
) -> bool:
    """Tell whether the statement changes its table, or the spool; all of it is undone."""
    shown = (
        f"select array(select t::text from {fence.table} t order by 1) || array(select s::text from spool s order by 1)"
    )
    async with undone(connection):
        if before:
            await connection.execute(before)
        was = await connection.fetchval(shown)
        await connection.fetch(statement(fence.package, fence.name), *arguments)
        return bool(was != await connection.fetchval(shown))


@pytest.mark.parametrize("fence", FENCES, ids=lambda fence: fence.name)
async def test_a_fence_keeps_out_who_is_not_the_one(fenced: asyncpg.Connection[Any], fence: Fence) -> None:
    assert await writes(fenced, fence, fence.right), "who holds it writes"
    let_in = [
        (place, value)
        for place, values in fence.wrong.items()
        for value in values
        if await writes(fenced, fence, (*fence.right[:place], value, *fence.right[place + 1 :]))
    ]
    assert let_in == []


@pytest.mark.parametrize("fence", [one for one in FENCES if "h" in one.right], ids=lambda fence: fence.name)
async def test_a_lease_that_expired_is_nobody_s(fenced: asyncpg.Connection[Any], fence: Fence) -> None:
    """It expires by Postgres' clock of this moment, not of when the transaction began."""
    assert not await writes(fenced, fence, fence.right, "update leases set expires_at = now() - interval '1 second'")
    expired = "update leases set expires_at = clock_timestamp(); select pg_sleep(0.002)"
    assert not await writes(fenced, fence, fence.right, expired)


@pytest.mark.parametrize("fence", [one for one in FENCES if one.table in GONE], ids=lambda fence: fence.name)
async def test_a_claim_that_ended_is_not_ended_again(fenced: asyncpg.Connection[Any], fence: Fence) -> None:
    assert not await writes(fenced, fence, fence.right, GONE[fence.table])


async def test_who_was_asked_again_meanwhile_is_asked_once_more(fenced: asyncpg.Connection[Any]) -> None:
    """An answer, or its absence, may be older than what happened since it was asked for."""
    for name, arguments in {
        "finish_refetch": (1, 2, LATER, "t", None, b"", [], [], 1, []),
        "fail_refetch": (1, 2, LATER, "why", 1, 1),
    }.items():
        async with undone(fenced):
            await fenced.fetch(statement("consumer.dispatcher", name), *arguments)
            row = await fenced.fetchrow("select status, attempts from refetches")
        assert tuple(row) == ("queued", 0), name


async def test_a_guard_needs_the_very_lease(fenced: asyncpg.Connection[Any]) -> None:
    sql = statement("runtime", "guard_lease")
    asked = [HELD, ("other", 2, "h"), ("l", 1, "h"), ("l", 3, "h"), ("l", 2, "another"), ("nobody", 2, "h")]
    assert [await fenced.fetchval(sql, *one) for one in asked] == [2, 2, None, None, None, None]


@pytest.mark.parametrize(("seconds", "taken"), [(-1, True), (1, False)])
async def test_a_lease_is_taken_when_it_expired_and_its_token_grows(
    fenced: asyncpg.Connection[Any], seconds: int, *, taken: bool
) -> None:
    async with undone(fenced):
        await fenced.execute("update leases set expires_at = now() + make_interval(secs => $1)", seconds)
        token = await fenced.fetchval(statement("runtime", "acquire_lease"), "l", "another", 60)
        row = await fenced.fetchrow("select holder, token from leases where name = 'l'")
    assert (token, tuple(row)) == ((3, ("another", 3)) if taken else (None, ("h", 2)))
