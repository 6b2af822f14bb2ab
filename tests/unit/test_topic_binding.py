"""Whose topics a database belongs to: noted once, asked each time a pool is opened, and no pool left open by a no."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import asyncpg
import pytest

from runtime.topic_binding import bound, mismatch
from schemas.errors import SchemaMismatchError, SettingsError

pytestmark = pytest.mark.unit


class Database:
    """A pool of a database that belongs to a prefix, or to none until somebody notes one."""

    def __init__(self, prefix: str | None = None, *, first: str | None = None) -> None:
        self.prefix, self.first = prefix, first
        self.noted: list[str] = []
        self.terminated = False
        self.error: Exception | None = None
        self.hangs = False

    async def fetchval(self, _query: str) -> str | None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        return self.prefix

    async def execute(self, _query: str, prefix: str) -> None:
        await asyncio.sleep(0)
        self.noted.append(prefix)
        self.prefix = self.prefix or self.first or prefix

    def terminate(self) -> None:
        self.terminated = True


def opened(database: Database, prefix: str, *, writing: bool = True) -> Any:
    return bound(cast("Any", database), prefix, writing=writing)


async def test_a_database_of_nobody_is_the_first_one_s_who_writes() -> None:
    database = Database()
    assert await opened(database, "shop.", writing=False) is database
    assert database.noted == [], "who only reads notes nothing"
    assert await opened(database, "shop.") is database
    assert await opened(database, "shop.") is database
    assert (database.noted, database.terminated) == (["shop."], False)


@pytest.mark.parametrize("writing", [True, False])
@pytest.mark.parametrize("prefix", ["payments.", "shop.eu.", "sho"])
async def test_another_prefix_is_refused_and_the_pool_is_closed(prefix: str, *, writing: bool) -> None:
    database = Database("shop.")
    with pytest.raises(SettingsError, match=r"TOPIC_PREFIX is .* belongs to the topics of 'shop\.'"):
        await opened(database, prefix, writing=writing)
    assert (database.noted, database.terminated) == ([], True)


async def test_of_two_that_note_a_prefix_at_once_the_later_one_is_refused() -> None:
    database = Database(first="theirs.")
    with pytest.raises(SettingsError, match="belongs to the topics of 'theirs"):
        await opened(database, "shop.")
    assert (database.noted, database.terminated) == (["shop."], True)


async def test_a_role_that_may_not_look_waits_for_a_migration() -> None:
    database = Database("shop.")
    database.error = asyncpg.InsufficientPrivilegeError("permission denied for table topic_prefix")
    with pytest.raises(SchemaMismatchError, match="ratchet migrate up"):
        await opened(database, "shop.")
    assert database.terminated


async def test_a_stop_while_it_is_asked_leaves_no_pool_behind() -> None:
    database = Database("shop.")
    database.hangs = True
    opening = asyncio.ensure_future(opened(database, "shop."))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert database.terminated


def test_what_is_wrong_is_named() -> None:
    assert mismatch(None, "shop.") is None
    assert mismatch("shop.", "shop.") is None
    assert "'payments.'" in (mismatch("payments.", "shop.") or "")
