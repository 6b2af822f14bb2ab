"""Whose transaction ids they are: what is asked and written first, and how a restored database is mended."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from producers.relay import rebase as rebases
from producers.relay.cluster import RelayHaltedError, check_cluster
from producers.relay.rebase import DEADLOCKS_MAX, rebase, rebase_if_restored
from runtime.lease import Lease
from runtime.postgres import EVERY_SESSION
from runtime.sql import statement
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

LEASE = Lease("relay", "me", 7)
STEPS = (
    "end_relay_term", "lock_for_rebase", "rebase_changes", "rebase_letters", "rebase_commands", "rebase_spool",
    "rebase_payments", "rebase_cursors", "rebase_epoch",
)  # fmt: skip
WRITES = {
    statement("producers", name): name
    for name in (*STEPS, "begin_epoch", "restart_states", "stamp_cursors", "read_cluster", "count_outbox")
} | {rebases.RELAY_LEADS: "leads"}


def cursor(name: str, known: int | None = 1, relay_xid: int = 5, highest: int | None = None) -> dict[str, Any]:
    return {
        "name": name, "known": known, "current": 1, "relay_xid": relay_xid, "highest_xid": highest, "next_xid": 10,
    }  # fmt: skip


class Database:
    """Cursors as given; it notes what is asked of it, and what of it within one transaction."""

    def __init__(self, *cursors: dict[str, Any], leads: bool = False, deadlocks: int = 0) -> None:
        self.cursors, self.leads, self.deadlocks = cursors, leads, deadlocks
        self.asked: list[str] = []
        self.given: list[tuple[Any, ...]] = []
        self.transactions = 0
        self.within = False
        self.closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.transactions += 1
        self.within = True
        try:
            yield
        finally:
            self.within = False

    async def _ask(self, sql: str, given: tuple[Any, ...] = ()) -> str:
        await asyncio.sleep(0)
        self.asked.append(WRITES[sql])
        self.given.append(given)
        return WRITES[sql]

    async def fetch(self, sql: str, *given: Any) -> list[dict[str, Any]]:
        await self._ask(sql, given)
        return list(self.cursors)

    async def fetchval(self, sql: str, *given: Any) -> object:
        return self.leads if await self._ask(sql, given) == "leads" else None

    async def fetchrow(self, sql: str, *_: Any) -> dict[str, int]:
        await self._ask(sql)
        assert self.within
        return {"changes": 3, "spool": 0}

    async def execute(self, sql: str, *given: Any) -> None:
        name = await self._ask(sql, given)
        if name in STEPS:
            assert self.within
        if name == "lock_for_rebase" and self.deadlocks:
            self.deadlocks -= 1
            raise asyncpg.DeadlockDetectedError("for another's sake")

    async def close(self, **_: Any) -> None:
        await asyncio.sleep(0)
        self.closed = True


@pytest.mark.parametrize("known", [(1, 1), (None, 1), (1, None)])
async def test_an_epoch_begins_before_states_are_filled_anew_in_it_and_cursors_without_a_cluster_get_this_one(
    known: tuple[int | None, int | None],
) -> None:
    """All under the lease: a relay that lost it must not begin what the next one publishes in."""
    database = Database(cursor("changes", known[0]), cursor("spool", known[1]))
    await check_cluster(database, LEASE)  # type: ignore[arg-type]
    stamped = None in known
    assert database.asked == ["read_cluster", "begin_epoch", "restart_states", *["stamp_cursors"] * stamped]
    assert database.given == [(), LEASE.fence, LEASE.fence, *[(1, *LEASE.fence)] * stamped]


STRANGE = [
    cursor("spool", known=2),
    cursor("spool", known=0),
    cursor("spool", relay_xid=10),
    cursor("spool", highest=10),
    cursor("spool", relay_xid=11, highest=3),
]


@pytest.mark.parametrize("strange", STRANGE)
async def test_ids_of_another_cluster_halt_the_relay_before_it_writes(strange: dict[str, Any]) -> None:
    database = Database(cursor("changes", known=None, relay_xid=9, highest=9), strange)
    with pytest.raises(RelayHaltedError, match=r"spool.*restored from a dump.*ratchet migrate rebase"):
        await check_cluster(database, LEASE)  # type: ignore[arg-type]
    assert database.asked == ["read_cluster"]


def connecting(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    async def connect(dsn: str, **how: Any) -> Database:
        await asyncio.sleep(0)
        assert (dsn, how["server_settings"]) == ("postgres://owner", EVERY_SESSION)
        return database

    monkeypatch.setattr(rebases.asyncpg, "connect", connect)


async def test_a_rebase_is_all_of_its_steps_in_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was published is known by the cursors as they stood, so those move last. Half of it would skip rows."""
    database = Database(STRANGE[0], leads=True)
    connecting(monkeypatch, database)
    assert await rebase("postgres://owner") == {"changes": 3, "spool": 0}
    assert database.asked == ["read_cluster", *STEPS, "count_outbox"]
    assert (database.transactions, database.closed) == (1, True)


@pytest.mark.parametrize("leads", [False, True])
async def test_where_the_ids_fit_a_rebase_by_hand_is_for_a_relay_that_stands(
    monkeypatch: pytest.MonkeyPatch, *, leads: bool
) -> None:
    database = Database(cursor("changes"), leads=leads)
    connecting(monkeypatch, database)
    if leads:
        with pytest.raises(RatchetError, match="stop all roles"):
            await rebase("postgres://owner")
    else:
        await rebase("postgres://owner")
    assert database.asked == ["read_cluster", "leads", *(() if leads else (*STEPS, "count_outbox"))]
    assert database.closed


async def test_a_start_rebases_nothing_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(cursor("changes"))
    connecting(monkeypatch, database)
    assert await rebase_if_restored("postgres://owner") is None
    assert (database.asked, database.closed) == (["read_cluster"], True)


@pytest.mark.parametrize("deadlocks", [0, DEADLOCKS_MAX, DEADLOCKS_MAX + 1])
async def test_a_rebase_that_was_ended_for_another_s_sake_begins_anew_so_often_and_no_more(
    monkeypatch: pytest.MonkeyPatch, deadlocks: int
) -> None:
    database = Database(STRANGE[2], deadlocks=deadlocks)
    connecting(monkeypatch, database)
    with capture_logs():
        if deadlocks > DEADLOCKS_MAX:
            with pytest.raises(asyncpg.DeadlockDetectedError):
                await asyncio.wait_for(rebase_if_restored("postgres://owner"), 5)
        else:
            assert await asyncio.wait_for(rebase_if_restored("postgres://owner"), 5) == {"changes": 3, "spool": 0}
            assert database.asked[-len(STEPS) - 2 :] == ["read_cluster", *STEPS, "count_outbox"]
    assert (database.transactions, database.closed) == (min(deadlocks, DEADLOCKS_MAX) + 1, True)
