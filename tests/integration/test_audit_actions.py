"""What people did: written in the transaction of what it speaks of, chained, and part of the audit and of the seal."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import closing
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from ops import redrives
from ops.audit import Audit, AuditInputs, walk
from ops.audit_actions import CHANGED, MISSING, SEALED, read_head
from ops.dlq_filters import LetterFilter
from ops.operators import ActionFilter, Operator, list_actions, note_action
from ops.seal import SealReader, SealWriter
from runtime.migrations import migrate_down, migrate_up
from runtime.settings import Settings
from schemas.dead_letter import Reason
from tests.conftest import Database, role_of
from tests.integration.console_harness import add_letter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

KEY = b"k" * 32
NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
NOTHING = AuditInputs()
ADA, BOB = Operator("ada", "console, 192.0.2.1"), Operator("bob")


@pytest.fixture
async def application(database: Database) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


async def act(connection: Any, *names: str) -> None:
    for name in names:
        await note_action(connection, ADA, name, "dead letter 7", "größe")


async def whys(connection: Any, inputs: AuditInputs = NOTHING) -> list[tuple[int | None, str]]:
    return [(one.id, one.why) for one in (await walk(connection, 10, inputs)).broken]


async def unguarded(owner: Any, *statements: str) -> None:
    """Do what only the schema's owner can: change rows that are only added."""
    for statement in statements:
        await owner.execute(statement)


async def test_the_chain_holds_and_every_change_shows(application: Any, owner: Any) -> None:
    assert await walk(application, 10) == Audit(10)
    await act(application, "dead_letter.discard", "dead_letter.redact", "redrive.start")
    assert await walk(application, 10) == Audit(10, actions=3)
    kept = await owner.fetchrow("select * from operator_actions where id = 2")
    columns = ("who", "'eve'"), ("because", "''"), ("acted_at", "now()"), ("target", "'dead letter 8'")
    for column, value in columns:
        await unguarded(owner, f"update operator_actions set {column} = {value} where id = 2")
        assert await whys(application) == [(2, CHANGED)], column
        await owner.execute(f"update operator_actions set {column} = $1 where id = 2", kept[column])
        assert await whys(application) == []
    await unguarded(owner, "delete from operator_actions where id = 3")
    assert await whys(application) == [(3, MISSING)]
    await unguarded(owner, "delete from operator_actions where id = 1")
    assert await whys(application) == [(2, CHANGED)]


async def test_a_chain_rewritten_to_its_end_is_seen_by_the_seal_alone(
    application: Any, owner: Any, tmp_path: Path
) -> None:
    await act(application, "dead_letter.discard", "dead_letter.redact")
    path = tmp_path / "today.seal"
    writer = SealWriter(path, KEY, NOW, await read_head(application))
    writer.finish()
    await act(application, "redrive.start")
    with closing(SealReader(path, KEY)) as reader:
        sealed = reader.actions
    assert sealed is not None
    assert sealed.id == 2
    assert await whys(application, AuditInputs(KEY, actions=sealed)) == []
    await unguarded(
        owner,
        "update operator_actions set who = 'eve' where id = 1",
        """do $$
        declare one public.operator_actions%rowtype; head bytea := '';
        begin
            for one in select * from operator_actions order by id loop
                head := hash_operator_action(head, one);
                update operator_actions set hash = head where id = one.id;
            end loop;
            update operator_action_heads set hash = head;
        end $$""",
    )
    assert await whys(application) == [], "every hash fits"
    assert await whys(application, AuditInputs(KEY, actions=sealed)) == [(2, SEALED)]


async def test_writers_at_once_make_one_chain(database: Database, application: Any) -> None:
    async def write(number: int) -> None:
        connection = await asyncpg.connect(database.dsn)
        for turn in range(5):
            await note_action(connection, Operator(f"person {number}"), "redrive.start", f"redrive {turn}", "")
        await connection.close()

    await asyncio.gather(*map(write, range(6)))
    assert await walk(application, 10) == Audit(10, actions=30)
    rows = await application.fetch("select id, acted_at, db_role from operator_actions order by id")
    assert [row["id"] for row in rows] == list(range(1, 31))
    assert [row["acted_at"] for row in rows] == sorted(row["acted_at"] for row in rows)


async def test_what_was_rolled_back_leaves_no_hole(application: Any) -> None:
    await act(application, "redrive.start")
    with pytest.raises(asyncpg.CheckViolationError):
        await act(application, "Not An Action")
    await act(application, "redrive.stop")
    assert await walk(application, 10) == Audit(10, actions=2)
    assert await application.fetchval("select max(id) from operator_actions") == 2


async def test_nobody_writes_the_chain_by_hand(application: Any) -> None:
    for statement in (
        "update operator_action_heads set last_id = 0",
        "delete from operator_action_heads",
        "insert into operator_actions (id, who, origin, action, target, because) values (9, 'a', 'a', 'a', 'a', 'a')",
        "insert into operator_actions (who, origin, action, target, because, hash) values ('a', 'a', 'a', 'a', '', '')",
        "update operator_actions set hash = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(statement)


async def test_redrives_and_discards_are_written_down_with_what_they_do(application: Any) -> None:
    letter_id = await add_letter(application, "conflict")
    other = await add_letter(application, "unexpected")
    order = redrives.RedriveRequest(
        LetterFilter(reason=Reason.CONFLICT), "ada", origin="console, 192.0.2.1", because="mended in 4711"
    )
    started = await redrives.start(application, Settings(), order)
    redrive_id = started.redrive_id
    assert redrive_id is not None
    await redrives.stop(application, redrive_id, "bob")
    await redrives.stop(application, redrive_id, "bob")
    await application.execute("update redrives set status = 'stopped', stop_reason = 'x', ended_at = now()")
    await redrives.resume(application, redrive_id, "bob")
    await redrives.discard(application, LetterFilter(ids=(other,)), who="ada", because="a test's")
    await redrives.discard(application, LetterFilter(ids=(other,)), who="ada", because="again")
    page = await list_actions(application, ActionFilter(), 10)
    assert [(one["who"], one["action"], one["target"], one["because"]) for one in page.actions] == [
        ("ada", "dead_letter.discard", f"dead letter {other}", "a test's"),
        ("bob", "redrive.resume", f"redrive {redrive_id}", ""),
        ("bob", "redrive.stop", f"redrive {redrive_id}", ""),
        (
            "ada",
            "redrive.start",
            f'redrive {redrive_id}, 1 of 1 dead letters, filter {{"reason": "conflict"}}',
            "mended in 4711",
        ),
    ]
    assert page.actions[-1]["origin"] == "console, 192.0.2.1"
    assert letter_id != other


async def test_finding_actions(application: Any) -> None:
    await act(application, "redrive.start", "redrive.stop", "dead_letter.discard")
    await note_action(application, BOB, "redrive.start", "redrive 9", "call +254712345678")

    async def found(limit: int = 10, **filters: Any) -> list[int]:
        return [one["id"] for one in (await list_actions(application, ActionFilter(**filters), limit)).actions]

    now = await application.fetchval("select clock_timestamp()")
    assert await found() == [4, 3, 2, 1]
    assert await found(who="bob") == [4]
    assert await found(action="redrive") == [4, 2, 1]
    assert await found(action="redrive.stop") == [2]
    assert await found(action="re") == []
    assert await found(since=now) == []
    assert await found(until=now, action="dead_letter") == [3]
    first = await list_actions(application, ActionFilter(), 2)
    assert ([one["id"] for one in first.actions], first.before) == ([4, 3], 3)
    last = await list_actions(application, ActionFilter(before=3), 2)
    assert ([one["id"] for one in last.actions], last.before) == ([2, 1], None)
    assert "712345" not in first.actions[0]["because"]


async def test_rows_from_before_the_chain_are_taken_into_it(database: Database, owner: Any, application: Any) -> None:
    role = role_of(database.dsn)
    await act(application, "redrive.start", "redrive.stop")
    await migrate_down(database.owner_dsn, role, steps=1)
    await owner.execute(
        "insert into operator_actions (who, origin, action, target, because) values ('a','a','a','a','')"
    )
    await migrate_up(database.owner_dsn, role)
    assert await walk(owner, 10) == Audit(10, actions=3)
    await act(owner, "dead_letter.redact")
    assert await walk(owner, 10) == Audit(10, actions=4)
