"""A statement that reads rows until they have so many bytes leaves none out for what it lacks.

A record of Kafka may have no key, or no value: a sum over nothing is nothing, and a row whose size is nothing would
never be read. Of every such statement the rows come as they are, and the one that passes the bound is the last.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest

from consumer import rows
from runtime.sql import statement
from tests.conftest import run_as_superuser, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

LATE = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
P = [uuid.UUID(int=number) for number in range(1, 5)]
FILL = """
create temporary table shapes as select * from (values
    (1, null::bytea, repeat('v', 50)::bytea), (2, 'k', null), (3, null, null), (4, 'k', repeat('v', 50)::bytea)
) as s (n, key, value);
insert into dead_letters (id, topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values,
    source, event_id, reason, message, relay_xid, created_at)
overriding system value
select n, 't', 0, n, sha256(n::text::bytea), 1, key, value, '{}', '{}', 'p', 'e-' || n, 'orphan', '', 1, now()
from shapes;
insert into redrives (id, requested_by, filter, rate_per_second, policy, failure_ratio_max, failures_min, forced,
    matched, selected)
overriding system value
values (1, 'a', '{}', 1, 'keep_going', 0.5, 1, false, 4, 4), (2, 'a', '{}', 1, 'keep_going', 0.5, 1, false, 4, 4);
insert into redrive_messages (redrive_id, dead_letter_id, would) select 1, n, 'apply' from shapes;
insert into redrive_messages (redrive_id, dead_letter_id, would, status, claimed_at)
select 2, n, 'apply', 'publishing', now() from shapes;
insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)
values ('p', '', '', true, 'payment', 'r');
insert into parked_events (id, source, event_id, event_type, reason, detail, facts, topic, partition, "offset",
    timestamp_ms, key, value, header_names, header_values, parked_at, deadline)
overriding system value
select n, 'p', 'parked-' || n, 'k', 'orphan', '', '[]', 't', 0, n, 0, key, value, '{}', '{}', now(), now()
from shapes;
insert into parked_refs (provider, account, merchant_account, livemode, kind, ref, parked_id)
select 'p', '', '', true, 'payment', 'r', n from shapes;
insert into orphan_refs (provider, account, merchant_account, livemode, kind, ref, letter_id)
select 'p', '', '', true, 'payment', 'r', n from shapes;
insert into wake_marks (provider, account, merchant_account, livemode, kind, ref)
values ('p', '', '', true, 'payment', 'r');
insert into spool (id, topic, key, value, header_names, header_values) overriding system value
select n, 't', key, coalesce(value, ''), '{}', '{}' from shapes;
insert into payments (id, provider, account, status, refund_status, dispute_status, amount, authorized, captured,
    refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at, metadata)
select lpad(n::text, 32, '0')::uuid, 'p', '', 'created', 'none', 'none', 0, 0, 0, 0, 0, 1, '{}', '', 0, now(), now(),
    case when n in (1, 4) then '{"a": "b"}'::jsonb end
from shapes;
insert into payment_logs (id, payment_id, source, event_id, event_type, outcome, version, facts, topic, partition,
    "offset", recorded_at, relay_xid, hash)
overriding system value
select n, lpad(n::text, 32, '0')::uuid, 'p', 'e-' || n, 'k', 'applied', 1, '[]', 't', 0, n, now(), 1, sha256('')
from shapes;
insert into commands (id, payment_id, command_id, client, command, attempt_id, provider, account, merchant_account,
    livemode, amount, asked_at, expires_at, relay_xid, metadata)
overriding system value
select n, lpad(n::text, 32, '0')::uuid, 'c', 'c', 'refund', lpad(n::text, 32, '0')::uuid, 'p', '', '', true, 1, now(),
    now() + interval '1 day', 1, case when n in (1, 4) then '{"a": "b"}'::jsonb end
from shapes;
"""
NAMES = rows.ref_columns([("p", "", "", True, "payment", "r")])


class Sized(NamedTuple):
    """A statement that is bounded in bytes: what stands before the bound, what behind it, and its rows' column."""

    package: str
    name: str
    before: tuple[Any, ...]
    after: tuple[Any, ...] = ()
    column: str = "id"


SIZED = (
    Sized("consumer", "find_expired", (LATE, 9)),
    Sized("ops", "foresee_parked", (*NAMES, [], 9)),
    Sized("producers", "read_letters", (0, 0, 9), (999,)),
    Sized("producers", "read_redrive_next", (1, 9), (999,)),
    Sized("producers", "read_redrive_doubtful", (2, 9)),
    Sized("producers", "read_spool", (9,), ([],)),
    Sized("producers", "read_changes", (0, 0, 9)),
    Sized("producers", "read_states", (0, 0, 9)),
    Sized("producers", "read_commands", (0, 0, 9)),
)
PLENTY = 10**9


@pytest.fixture(scope="module")
async def filled(stack: Endpoints, template_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    name = f"bytes_{uuid.uuid4().hex[:12]}"
    await run_as_superuser(stack, f"create database {name} template {template_database}")
    connection = await asyncpg.connect(with_database(stack.superuser_dsn, name))
    await connection.execute(FILL)
    yield connection
    await connection.close()
    await run_as_superuser(stack, f"drop database {name} with (force)")


@pytest.mark.parametrize("sized", SIZED, ids=lambda sized: sized.name)
async def test_every_row_is_read_whatever_it_lacks(filled: asyncpg.Connection[Any], sized: Sized) -> None:
    sql = statement(sized.package, sized.name)
    found = await filled.fetch(sql, *sized.before, PLENTY, *sized.after)
    assert [row[sized.column] for row in found] == [1, 2, 3, 4]
    found = await filled.fetch(sql, *sized.before, 1, *sized.after)
    assert [row[sized.column] for row in found] == [1], "the row that passes the bound is the last one"


@pytest.mark.parametrize("sized", [one for one in SIZED if one.after == (999,)], ids=lambda sized: sized.name)
async def test_a_value_is_left_out_above_its_bound_alone(filled: asyncpg.Connection[Any], sized: Sized) -> None:
    for bound in (50, 49):
        found = await filled.fetch(statement(sized.package, sized.name), *sized.before, PLENTY, bound)
        value = None if bound == 49 else b"v" * 50
        assert [(row["value"], row["value_left_out"]) for row in found] == [
            *((value, bound == 49), (None, False), (None, False), (value, bound == 49)),
        ]


@pytest.mark.parametrize("name", ["find_marked"])
async def test_what_waits_has_a_size_whatever_it_lacks(filled: asyncpg.Connection[Any], name: str) -> None:
    found = await filled.fetch(statement("consumer", name), None, 9)
    assert len(found) == 8
    assert all(row["bytes"] > 0 for row in found)


async def test_letters_that_are_chosen_have_a_size_whatever_they_lack(filled: asyncpg.Connection[Any]) -> None:
    found = await filled.fetch(statement("ops", "choose_letters"), *[None] * 9, 9)
    assert [row["id"] for row in found] == [1, 2, 3, 4]
    assert all(row["bytes"] > 0 for row in found)


async def test_no_statement_is_bounded_in_bytes_that_is_not_looked_at() -> None:
    from tests.unit.test_lock_clauses import FOLDERS, ROOT, plain

    asked = {one.name for one in SIZED} | {"find_marked", "choose_letters"}
    found = {
        path.stem for folder in FOLDERS for path in (ROOT / folder).glob("*.sql") if "octet_length(" in plain(path)
    }
    assert found == asked
