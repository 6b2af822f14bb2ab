"""Migrations as they run, without a server: what is one transaction with its row, what is tried again, what is left."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from runtime import migrations
from runtime.migrations import migrate_down, migrate_up, parse
from schemas.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.unit

FILES = {
    "0001_create_a.sql": "-- migrate:up\nup 1\n-- migrate:down\ndown 1\n",
    "0002_index_b.sql": "-- migrate:up transaction:false\nup 2a;\nup 2b;\n-- migrate:down\ndown 2\n",
    "0003_drop_c.sql": "-- migrate:up\nup 3\n-- migrate:down transaction:false\ndown 3a;\ndown 3b;\n",
    "grants.sql": "grants",
}
WITHIN, AFTER = "within", "alone"


class Server:
    """One connection: what was done within a transaction and stands, what was done alone, and what is applied."""

    def __init__(self, *applied: int) -> None:
        self.applied = [(number, *self._row(number)) for number in applied]
        self.done: list[str] = []
        self.errors: dict[str, list[Exception]] = {}
        self.locks = [True]
        self._open: list[str] | None = None

    @staticmethod
    def _row(number: int) -> tuple[str, str, None]:
        name = next(name for name in FILES if name.startswith(f"{number:04d}"))
        found = parse(name, FILES[name])
        return found.name, found.checksum, None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        assert self._open is None
        self._open = []
        try:
            yield
            self.done += [f"{WITHIN} {one}" for one in self._open]
        finally:
            self._open = None

    async def execute(self, query: str, *arguments: Any) -> None:
        await asyncio.sleep(0)
        if "lock_timeout" in query or "create table if not exists" in query:
            return
        shown = query if not arguments else f"{query.split(maxsplit=1)[0]} {arguments[0]}"
        if errors := self.errors.get(shown):
            raise errors.pop(0)
        if self._open is None:
            self.done.append(f"{AFTER} {shown}")
        else:
            self._open.append(shown)

    async def fetch(self, _query: str) -> list[tuple[Any, ...]]:
        await asyncio.sleep(0)
        return self.applied

    async def fetchval(self, query: str, *_: Any) -> Any:
        await asyncio.sleep(0)
        if "pg_try_advisory_lock" in query:
            return self.locks.pop(0) if len(self.locks) > 1 else self.locks[0]
        return "owner" if "current_user" in query else True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(migrations, "PAUSE_SECONDS_MAX", 0.001)


def connected(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    @asynccontextmanager
    async def connect(_dsn: str) -> AsyncIterator[Server]:
        await asyncio.sleep(0)
        yield server

    monkeypatch.setattr(migrations, "_connected", connect)
    return server


GRANTED = [f"{WITHIN} select app", f"{WITHIN} grants"]
ONE = [f"{WITHIN} up 1", f"{WITHIN} insert 1"]
TWO = [f"{AFTER} up 2a", f"{AFTER} up 2b", f"{WITHIN} insert 2"]
THREE = [f"{WITHIN} up 3", f"{WITHIN} insert 3"]


@pytest.mark.parametrize(
    ("applied", "expected"), [([], ONE + TWO + THREE), ([1], TWO + THREE), ([1, 2], THREE), ([1, 2, 3], [])]
)
async def test_what_is_pending_is_applied_in_order_each_with_its_row(
    applied: list[int], expected: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = connected(Server(*applied), monkeypatch)
    titles = [name.removesuffix(".sql") for name in FILES][:3]
    assert await migrate_up("", "app", folder=folder) == titles[len(applied) :]
    assert server.done == expected + GRANTED


async def test_the_newest_are_undone_first_and_no_more_than_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = [f"{AFTER} down 3a", f"{AFTER} down 3b", f"{WITHIN} delete 3"]
    before = [f"{WITHIN} down 2", f"{WITHIN} delete 2"]
    server = connected(Server(1, 2, 3), monkeypatch)
    assert await migrate_down("", "app", folder=folder) == ["0003_drop_c"]
    assert server.done == last + GRANTED
    server = connected(Server(1, 2, 3), monkeypatch)
    assert await migrate_down("", "app", 2, folder=folder) == ["0003_drop_c", "0002_index_b"]
    assert server.done == last + before + GRANTED
    server = connected(Server(1, 2), monkeypatch)
    assert await migrate_down("", "app", 9, folder=folder) == ["0002_index_b", "0001_create_a"]
    assert server.done == [*before, f"{WITHIN} down 1", f"{WITHIN} delete 1"], "of no schema there is nothing to grant"


async def test_a_table_in_use_is_tried_again_whole_and_not_for_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = connected(Server(), monkeypatch)
    server.errors = {"up 1": [asyncpg.LockNotAvailableError(), asyncpg.DeadlockDetectedError()]}
    await migrate_up("", "app", folder=folder)
    assert server.done == ONE + TWO + THREE + GRANTED
    monkeypatch.setattr(migrations, "LOCK_WAIT_SECONDS", 0.01)
    server = connected(Server(), monkeypatch)
    server.errors = {"insert 1": [asyncpg.LockNotAvailableError() for _ in range(100_000)]}
    async with asyncio.timeout(10.0):
        with pytest.raises(MigrationError, match=r"0001_create_a: a table it needs was in use .* nothing of it"):
            await migrate_up("", "app", folder=folder)
    assert server.done == []


async def test_what_fails_alone_has_no_row_and_nothing_follows_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = connected(Server(1), monkeypatch)
    server.errors = {"up 2b": [asyncpg.UniqueViolationError("twice")]}
    with pytest.raises(MigrationError, match="0002_index_b failed"):
        await migrate_up("", "app", folder=folder)
    assert server.done == [f"{AFTER} up 2a"]


async def test_one_migration_runs_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = connected(Server(1, 2, 3), monkeypatch)
    server.locks = [False, False, True]
    assert await migrate_up("", "app", folder=folder) == []
    assert server.done == GRANTED
    monkeypatch.setattr(migrations, "LOCK_WAIT_SECONDS", 0.01)
    server = connected(Server(), monkeypatch)
    server.locks = [False]
    async with asyncio.timeout(10.0):
        with pytest.raises(MigrationError, match="another migration"):
            await migrate_up("", "app", folder=folder)
    assert server.done == []


async def test_who_owns_the_schema_is_granted_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = connected(Server(1, 2, 3), monkeypatch)
    await migrate_up("", "owner", folder=folder)
    assert server.done == []
