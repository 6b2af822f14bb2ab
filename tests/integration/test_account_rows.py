"""Accounts, tokens and sessions of the console as rows: whom each statement means, and who is left alone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from filled_database import undone
from plain_rows import DAY, HOUR, MOMENT, add, lying_database

from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

HASH = "scrypt$of-a-password"
OTHER = "scrypt$of-another-one"
ONE, TWO, THREE, FOUR = (bytes([number]) * 32 for number in (1, 2, 3, 4))
"""Digests of sessions and tokens."""


@pytest.fixture(scope="module")
async def filled(stack: Endpoints, template_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    async with lying_database(stack, template_database) as connection:
        yield connection


@pytest.fixture
async def owner(filled: asyncpg.Connection[Any]) -> AsyncIterator[asyncpg.Connection[Any]]:
    async with undone(filled):
        yield filled


async def run(connection: asyncpg.Connection[Any], name: str, *arguments: Any) -> list[tuple[Any, ...]]:
    package = "ops" if name.endswith(("_operator", "_operators", "_token", "_tokens")) else "ops.console"
    package = "ops.console" if name.startswith("find_") else package
    return [tuple(row) for row in await connection.fetch(statement(package, name), *arguments)]


async def person(owner: asyncpg.Connection[Any], name: str, **columns: Any) -> int:
    return int(
        await add(
            owner, "operators", **{"name": name, "role": "viewer", "password_hash": HASH, "added_by": "x"} | columns
        )
    )


async def session(owner: asyncpg.Connection[Any], digest: bytes, began: dt.timedelta, **columns: Any) -> None:
    """Begin a session so long ago."""
    moment = dt.datetime.now(dt.UTC) - began
    row = {"person": "ada", "address": "10.0.0.1", "began_at": moment, "used_at": moment}
    await add(owner, "console_sessions", returning=None, digest=digest, **row | columns)


async def sessions(owner: asyncpg.Connection[Any]) -> set[bytes]:
    return {row[0] for row in await owner.fetch("select digest from console_sessions")}


async def noted(owner: asyncpg.Connection[Any]) -> list[tuple[Any, ...]]:
    return [
        tuple(row) for row in await owner.fetch("select who, origin, action, target from operator_actions order by id")
    ]


async def test_people_are_added_once_listed_by_name_and_removed_alone(owner: asyncpg.Connection[Any]) -> None:
    for name, role in (("bob", "admin"), ("ada", "viewer"), ("cy", "viewer")):
        await run(owner, "add_operator", name, role, HASH, 72, "boss")
    assert await run(owner, "add_operator", "ada", "admin", OTHER, 72, "boss") == []
    listed = await run(owner, "list_operators")
    now = dt.datetime.now(dt.UTC)
    assert [row[:2] for row in listed] == [("ada", "viewer"), ("bob", "admin"), ("cy", "viewer")]
    assert all(71 * HOUR < row[2] - now <= 72 * HOUR for row in listed)
    assert await run(owner, "remove_operator", "bob") == [("admin",)]
    assert [row[0] for row in await run(owner, "list_operators")] == ["ada", "cy"]


async def test_a_token_is_of_whom_it_was_made_for_and_is_taken_back_alone(owner: asyncpg.Connection[Any]) -> None:
    for name in ("bob", "ada"):
        await person(owner, name)
    made = [(await run(owner, "add_token", *words))[0] for words in (
        ("bob", "viewer", ONE, 30, "boss"), ("ada", "viewer", TWO, 30, "boss"), ("bob", "viewer", THREE, 30, "boss"),
    )]  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    assert all(29 * DAY < ends_at - now <= 30 * DAY for _, ends_at in made)
    await owner.execute("update operator_tokens set made_by = made_by where id = $1", made[0][0])  # behind the others
    numbers = [number for number, _ in made]
    listed = [row[:2] for row in await run(owner, "list_tokens")]
    assert listed == [(numbers[1], "ada"), (numbers[0], "bob"), (numbers[2], "bob")]
    assert await run(owner, "remove_token", numbers[1]) == [("ada",)]
    assert [row[0] for row in await run(owner, "list_tokens")] == [numbers[0], numbers[2]]


async def test_a_token_opens_for_its_person_until_its_end(owner: asyncpg.Connection[Any]) -> None:
    ada, new = await person(owner, "ada", role="admin"), await person(owner, "new", one_time_until=MOMENT + 4000 * DAY)
    await person(owner, "bob")
    ends = MOMENT + 4000 * DAY
    for digest, whose, end in ((ONE, ada, ends), (TWO, ada, MOMENT), (THREE, new, ends)):
        row = {"role": "viewer", "made_by": "boss", "made_at": MOMENT - DAY}
        await add(owner, "operator_tokens", digest=digest, operator_id=whose, ends_at=end, **row)
    assert await run(owner, "find_token", ONE) == [(ada, "ada", "admin", "viewer")]
    for digest in (TWO, THREE, FOUR):
        assert await run(owner, "find_token", digest) == []


async def test_a_name_is_its_person_s_and_a_one_time_password_opens_in_its_time(owner: asyncpg.Connection[Any]) -> None:
    own = await person(owner, "ada")
    in_time = await person(owner, "bob", one_time_until=MOMENT + 4000 * DAY)
    too_late = await person(owner, "cy", one_time_until=MOMENT)
    for name, row in (
        ("ada", (own, "ada", "viewer", False, HASH)),
        ("bob", (in_time, "bob", "viewer", True, HASH)),
        ("cy", (too_late, "cy", "viewer", True, None)),
    ):
        assert await run(owner, "find_operator", name) == [row]
    assert await run(owner, "find_operator", "dan") == []


async def test_a_session_is_found_until_it_is_too_old_or_idle(owner: asyncpg.Connection[Any]) -> None:
    new = await person(owner, "ada", role="admin", one_time_until=MOMENT + 4000 * DAY)
    await person(owner, "bob")
    now = dt.datetime.now(dt.UTC)
    await session(owner, ONE, 2 * HOUR, operator_id=new, used_at=now)
    await session(owner, TWO, 2 * HOUR, person="somebody", role="operator", used_at=now)
    await session(owner, THREE, 4 * HOUR, used_at=now)
    await session(owner, FOUR, 2 * HOUR)
    for digest, rows in (
        (ONE, [("ada", "admin", new, True)]),
        (TWO, [("somebody", "operator", None, None)]),
        (THREE, []),
        (FOUR, []),
    ):
        found = await run(owner, "find_session", digest, 3 * 3600, 3600)
        assert [(*row[:3], row[3] or None) for row in found] == rows, digest[:1]
    await run(owner, "use_session", FOUR)
    assert await run(owner, "find_session", FOUR, 3 * 3600, 3600) != []
    idle = await owner.fetchval("select count(*) from console_sessions where used_at > $1", now)
    assert idle == 1, "no other session is kept by it"
    await run(owner, "end_session", TWO)
    assert await sessions(owner) == {ONE, THREE, FOUR}


async def test_who_begins_a_session_is_noted_and_what_is_too_old_goes(owner: asyncpg.Connection[Any]) -> None:
    ada, bob = await person(owner, "ada"), await person(owner, "bob")
    await session(owner, ONE, 4 * HOUR)
    await session(owner, TWO, 2 * HOUR)
    words = "ada", "10.0.0.1", 3 * 3600, ada, "console.sign_in", "console, 10.0.0.1", None
    await run(owner, "begin_session", THREE, *words)
    assert await sessions(owner) == {TWO, THREE}
    assert await noted(owner) == [("ada", "console, 10.0.0.1", "console.sign_in", "console")]
    seen = await owner.fetch("select id from operators where signed_in_at is not null")
    assert ([row["id"] for row in seen], bob > ada) == ([ada], True)
    assert len(await run(owner, "find_session", THREE, 3600, 3600)) == 1


async def test_another_password_ends_the_sessions_of_its_person(owner: asyncpg.Connection[Any]) -> None:
    ada = await person(owner, "ada", one_time_until=MOMENT)
    bob = await person(owner, "bob", one_time_until=MOMENT)
    for digest, whose in ((ONE, ada), (TWO, bob), (THREE, None), (FOUR, ada)):
        await session(owner, digest, HOUR, operator_id=whose)
    assert len(await run(owner, "choose_password", ada, OTHER, "ada", "console")) == 1
    kept = await owner.fetch("select id, password_hash, one_time_until from operators order by id")
    assert [tuple(row) for row in kept] == [(ada, OTHER, None), (bob, HASH, MOMENT)]
    assert await sessions(owner) == {TWO, THREE}
    assert await run(owner, "choose_password", bob + 1, OTHER, "gone", "console") == []
    assert await noted(owner) == [("ada", "console", "operator.choose_password", "ada")]


async def test_another_password_of_the_console_makes_another_key_once(owner: asyncpg.Connection[Any]) -> None:
    await session(owner, ONE, HOUR)
    for key in (b"1" * 32, b"2" * 32):
        await run(owner, "insert_console_key", key, HASH)
    assert await run(owner, "read_console_key") == [(b"1" * 32, HASH)], "who came first"
    await owner.execute("update console_keys set made_at = $1", MOMENT)
    await run(owner, "change_console_key", b"3" * 32, OTHER, "scrypt$of-no-password")
    assert (await run(owner, "read_console_key"), await sessions(owner)) == ([(b"1" * 32, HASH)], {ONE})
    await run(owner, "change_console_key", b"3" * 32, OTHER, HASH)
    assert (await run(owner, "read_console_key"), await sessions(owner)) == ([(b"3" * 32, OTHER)], set())
    assert await owner.fetchval("select made_at > $1 from console_keys", MOMENT)


async def test_all_are_signed_out_at_once(owner: asyncpg.Connection[Any]) -> None:
    for digest in (ONE, TWO):
        await session(owner, digest, HOUR)
    assert await run(owner, "end_sessions", "boss", "console") == [(2,)]
    assert (await sessions(owner), await noted(owner)) == (
        set(),
        [("boss", "console", "console.sign_out_everywhere", "2 sessions")],
    )


async def test_refused_sign_ins_are_noted_up_to_a_number_a_minute(owner: asyncpg.Connection[Any]) -> None:
    sql = statement("ops", "note_action")
    for action, age in (("console.sign_in_refused", 2), ("console.sign_in", 0), ("console.sign_in", 0)):
        await owner.execute(sql, "ada", "console", action, "console", "")
        moment = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=age)
        await owner.execute(
            "update operator_actions set acted_at = $1 where id = (select max(id) from operator_actions)", moment
        )
    for wanted in (1, 2, 2):
        await run(owner, "note_refused_sign_in", "eve", "console, 10.0.0.9", 2)
        assert (await noted(owner)).count(("eve", "console, 10.0.0.9", "console.sign_in_refused", "console")) == wanted
