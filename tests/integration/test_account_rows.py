"""Accounts, tokens and sessions of the console as rows: whom each statement means, and who is left alone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from plain_rows import DAY, HOUR, MOMENT, add

from runtime.sql import statement

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.integration

HASH = "scrypt$of-a-password"
OTHER = "scrypt$of-another-one"
ONE, TWO, THREE, FOUR = (bytes([number]) * 32 for number in (1, 2, 3, 4))
"""Digests of sessions and tokens."""


async def run(connection: asyncpg.Connection[Any], name: str, *arguments: Any) -> list[tuple[Any, ...]]:
    package = "ops" if name.endswith(("_operator", "_operators", "_token", "_tokens")) else "ops.console"
    package = "ops.console" if name.startswith("find_") else package
    return [tuple(row) for row in await connection.fetch(statement(package, name), *arguments)]


async def person(heap: asyncpg.Connection[Any], name: str, **columns: Any) -> int:
    return int(
        await add(
            heap, "operators", **{"name": name, "role": "viewer", "password_hash": HASH, "added_by": "x"} | columns
        )
    )


async def session(heap: asyncpg.Connection[Any], digest: bytes, began: dt.timedelta, **columns: Any) -> None:
    """Begin a session so long ago."""
    moment = dt.datetime.now(dt.UTC) - began
    row = {"person": "ada", "address": "10.0.0.1", "began_at": moment, "used_at": moment}
    await add(heap, "console_sessions", returning=None, digest=digest, **row | columns)


async def sessions(heap: asyncpg.Connection[Any]) -> set[bytes]:
    return {row[0] for row in await heap.fetch("select digest from console_sessions")}


async def noted(heap: asyncpg.Connection[Any]) -> list[tuple[Any, ...]]:
    return [
        tuple(row) for row in await heap.fetch("select who, origin, action, target from operator_actions order by id")
    ]


async def test_people_are_added_once_listed_by_name_and_removed_alone(heap: asyncpg.Connection[Any]) -> None:
    for name, role in (("bob", "admin"), ("ada", "viewer"), ("cy", "viewer")):
        await run(heap, "add_operator", name, role, HASH, 72, "boss")
    assert await run(heap, "add_operator", "ada", "admin", OTHER, 72, "boss") == []
    listed = await run(heap, "list_operators")
    now = dt.datetime.now(dt.UTC)
    assert [row[:2] for row in listed] == [("ada", "viewer"), ("bob", "admin"), ("cy", "viewer")]
    assert all(71 * HOUR < row[2] - now <= 72 * HOUR for row in listed)
    assert await run(heap, "remove_operator", "bob") == [("admin",)]
    assert [row[0] for row in await run(heap, "list_operators")] == ["ada", "cy"]


async def test_a_token_is_of_whom_it_was_made_for_and_is_taken_back_alone(heap: asyncpg.Connection[Any]) -> None:
    for name in ("bob", "ada"):
        await person(heap, name)
    made = [(await run(heap, "add_token", *words))[0] for words in (
        ("bob", "viewer", ONE, 30, "boss"), ("ada", "viewer", TWO, 30, "boss"), ("bob", "viewer", THREE, 30, "boss"),
    )]  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    assert all(29 * DAY < ends_at - now <= 30 * DAY for _, ends_at in made)
    await heap.execute("update operator_tokens set made_by = made_by where id = $1", made[0][0])  # behind the others
    numbers = [number for number, _ in made]
    listed = [row[:2] for row in await run(heap, "list_tokens")]
    assert listed == [(numbers[1], "ada"), (numbers[0], "bob"), (numbers[2], "bob")]
    assert await run(heap, "remove_token", numbers[1]) == [("ada",)]
    assert [row[0] for row in await run(heap, "list_tokens")] == [numbers[0], numbers[2]]


async def test_a_token_opens_for_its_person_until_its_end(heap: asyncpg.Connection[Any]) -> None:
    ada, new = await person(heap, "ada", role="admin"), await person(heap, "new", one_time_until=MOMENT + 4000 * DAY)
    await person(heap, "bob")
    ends = MOMENT + 4000 * DAY
    for digest, whose, end in ((ONE, ada, ends), (TWO, ada, MOMENT), (THREE, new, ends)):
        row = {"role": "viewer", "made_by": "boss", "made_at": MOMENT - DAY}
        await add(heap, "operator_tokens", digest=digest, operator_id=whose, ends_at=end, **row)
    assert await run(heap, "find_token", ONE) == [(ada, "ada", "admin", "viewer")]
    for digest in (TWO, THREE, FOUR):
        assert await run(heap, "find_token", digest) == []


async def test_a_name_is_its_person_s_and_a_one_time_password_opens_in_its_time(heap: asyncpg.Connection[Any]) -> None:
    own = await person(heap, "ada")
    in_time = await person(heap, "bob", one_time_until=MOMENT + 4000 * DAY)
    too_late = await person(heap, "cy", one_time_until=MOMENT)
    for name, row in (
        ("ada", (own, "ada", "viewer", False, HASH)),
        ("bob", (in_time, "bob", "viewer", True, HASH)),
        ("cy", (too_late, "cy", "viewer", True, None)),
    ):
        assert await run(heap, "find_operator", name) == [row]
    assert await run(heap, "find_operator", "dan") == []


async def test_a_session_is_found_until_it_is_too_old_or_idle(heap: asyncpg.Connection[Any]) -> None:
    new = await person(heap, "ada", role="admin", one_time_until=MOMENT + 4000 * DAY)
    await person(heap, "bob")
    now = dt.datetime.now(dt.UTC)
    await session(heap, ONE, 2 * HOUR, operator_id=new, used_at=now)
    await session(heap, TWO, 2 * HOUR, person="somebody", role="operator", used_at=now)
    await session(heap, THREE, 4 * HOUR, used_at=now)
    await session(heap, FOUR, 2 * HOUR)
    for digest, rows in (
        (ONE, [("ada", "admin", new, True)]),
        (TWO, [("somebody", "operator", None, None)]),
        (THREE, []),
        (FOUR, []),
    ):
        found = await run(heap, "find_session", digest, 3 * 3600, 3600)
        assert [(*row[:3], row[3] or None) for row in found] == rows, digest[:1]
    for seconds_ago, found in ((3700.0, 0), (3500.0, 1), (7000.0, 1)):
        await run(heap, "use_session", FOUR, seconds_ago)
        assert len(await run(heap, "find_session", FOUR, 3 * 3600, 3600)) == found, "the latest use counts"
    await run(heap, "use_session", FOUR, 0.0)
    idle = await heap.fetchval("select count(*) from console_sessions where used_at > $1", now)
    assert idle == 1, "no other session is kept by it"
    await run(heap, "end_session", TWO)
    assert await sessions(heap) == {ONE, THREE, FOUR}


async def test_who_begins_a_session_is_noted_and_what_is_too_old_goes(heap: asyncpg.Connection[Any]) -> None:
    ada, bob = await person(heap, "ada"), await person(heap, "bob")
    await session(heap, ONE, 4 * HOUR)
    await session(heap, TWO, 2 * HOUR)
    words = "ada", "10.0.0.1", 3 * 3600, ada, "console.sign_in", "console, 10.0.0.1", None
    await run(heap, "begin_session", THREE, *words)
    assert await sessions(heap) == {TWO, THREE}
    assert await noted(heap) == [("ada", "console, 10.0.0.1", "console.sign_in", "console")]
    seen = await heap.fetch("select id from operators where signed_in_at is not null")
    assert ([row["id"] for row in seen], bob > ada) == ([ada], True)
    assert len(await run(heap, "find_session", THREE, 3600, 3600)) == 1


async def test_another_password_ends_the_sessions_of_its_person(heap: asyncpg.Connection[Any]) -> None:
    ada = await person(heap, "ada", one_time_until=MOMENT)
    bob = await person(heap, "bob", one_time_until=MOMENT)
    for digest, whose in ((ONE, ada), (TWO, bob), (THREE, None), (FOUR, ada)):
        await session(heap, digest, HOUR, operator_id=whose)
    assert len(await run(heap, "choose_password", ada, OTHER, "ada", "console")) == 1
    kept = await heap.fetch("select id, password_hash, one_time_until from operators order by id")
    assert [tuple(row) for row in kept] == [(ada, OTHER, None), (bob, HASH, MOMENT)]
    assert await sessions(heap) == {TWO, THREE}
    assert await run(heap, "choose_password", bob + 1, OTHER, "gone", "console") == []
    assert await noted(heap) == [("ada", "console", "operator.choose_password", "ada")]


async def test_another_password_of_the_console_makes_another_key_once(heap: asyncpg.Connection[Any]) -> None:
    await session(heap, ONE, HOUR)
    for key in (b"1" * 32, b"2" * 32):
        await run(heap, "insert_console_key", key, HASH)
    assert await run(heap, "read_console_key") == [(b"1" * 32, HASH)], "who came first"
    await heap.execute("update console_keys set made_at = $1", MOMENT)
    await run(heap, "change_console_key", b"3" * 32, OTHER, "scrypt$of-no-password")
    assert (await run(heap, "read_console_key"), await sessions(heap)) == ([(b"1" * 32, HASH)], {ONE})
    await run(heap, "change_console_key", b"3" * 32, OTHER, HASH)
    assert (await run(heap, "read_console_key"), await sessions(heap)) == ([(b"3" * 32, OTHER)], set())
    assert await heap.fetchval("select made_at > $1 from console_keys", MOMENT)


async def test_all_are_signed_out_at_once(heap: asyncpg.Connection[Any]) -> None:
    for digest in (ONE, TWO):
        await session(heap, digest, HOUR)
    assert await run(heap, "end_sessions", "boss", "console") == [(2,)]
    assert (await sessions(heap), await noted(heap)) == (
        set(),
        [("boss", "console", "console.sign_out_everywhere", "2 sessions")],
    )


async def test_refused_sign_ins_are_noted_up_to_a_number_a_minute(heap: asyncpg.Connection[Any]) -> None:
    sql = statement("ops", "note_action")
    for action, age in (("console.sign_in_refused", 2), ("console.sign_in", 0), ("console.sign_in", 0)):
        await heap.execute(sql, "ada", "console", action, "console", "")
        moment = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=age)
        await heap.execute(
            "update operator_actions set acted_at = $1 where id = (select max(id) from operator_actions)", moment
        )
    for wanted in (1, 2, 2):
        await run(heap, "note_refused_sign_in", "eve", "console, 10.0.0.9", 2)
        assert (await noted(heap)).count(("eve", "console, 10.0.0.9", "console.sign_in_refused", "console")) == wanted
