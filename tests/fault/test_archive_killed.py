"""Archiving and retention that end by SIGKILL at every step: nothing is lost, and nothing goes that is not archived."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import signal
import sys
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import batch_harness, lives, records, webhook

from consumer.decode import decoded
from ops.archive import Archive
from ops.audit import AuditInputs, walk
from ops.seal import SealReader, SealWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("pyarrow", reason="the extra `archive` is not installed: make test-archive")

import pyarrow.parquet as pq  # noqa: E402

from ops.archive_check import ArchiveCheck  # noqa: E402

CHILD = Path(__file__).parent / "archiving_child.py"
KEY = b"a key that nobody who owns the schema has"
COUNT = 6
ROWS = COUNT * 5 + 3


class Runs:
    """The child that runs archiving and retention, again and again."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, step: int) -> tuple[int, list[int]]:
        """Run both up to a step; return the exit status, and of a run that ended by itself its figures."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{step}\n".encode())
        figures: list[int] = []
        while words := (await self._process.stdout.readline()).split():
            if words[0] == b"status":
                return int(words[1]), figures
            figures = [int(word) for word in words]
        raise AssertionError("the child is gone")


@asynccontextmanager
async def child(owner_dsn: str, folder: Path, seal: Path) -> AsyncIterator[Runs]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), owner_dsn, str(folder), str(seal),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Runs(process)
    finally:
        process.kill()
        await process.wait()


async def history(owner: asyncpg.Connection[Any], folder: Path) -> dict[int, bytes]:
    """Return every ledger row that is in the table or in a file that counts."""
    found = {row["id"]: row["hash"] for row in await owner.fetch("select id, hash from payment_logs")}
    for manifest in Archive.opened(folder, KEY).files:
        for row in pq.read_table(folder / manifest.file).to_pylist():
            assert found.setdefault(row["id"], row["hash"]) == row["hash"]
    return found


async def check(owner: asyncpg.Connection[Any], folder: Path, seal: Path, whole: dict[int, bytes], step: int) -> None:
    assert await history(owner, folder) == whole, f"killed at step {step}"
    if not Archive.opened(folder, KEY).files:
        return
    with closing(ArchiveCheck.of(folder, KEY, seal)) as checked, closing(SealReader(seal, KEY)) as reader:
        found = await walk(owner, 10, AuditInputs(KEY, reader, archive=checked))
        assert (checked.broken, found.broken) == ([], []), f"killed at step {step}"


async def test_killed_at_every_step_nothing_is_lost_and_a_second_run_goes_on(
    database: Database, tmp_path: Path
) -> None:
    events = [event for life in lives(COUNT) for event in life.events()]
    events += [webhook("customer.updated", f"n{number}") for number in range(3)]
    async with batch_harness(database.dsn) as consumer:
        await consumer.processor().write([decoded(record) for record in records(events)])
    owner = await asyncpg.connect(database.owner_dsn)
    newest = "select relay_xid, id from payment_logs order by 1 desc, 2 desc limit 1"
    await owner.execute(f"update relay_cursors set (relay_xid, id) = ({newest})")
    await owner.execute("create table ledger_copy as select * from payment_logs")
    seal = tmp_path / "newest.seal"
    writer = SealWriter(seal, KEY, dt.datetime.now(dt.UTC))
    assert (await walk(owner, 10, AuditInputs(KEY, writer=writer))).ok
    writer.finish()
    whole = {row["id"]: row["hash"] for row in await owner.fetch("select id, hash from payment_logs")}
    assert len(whole) == ROWS

    async def begin_anew(folder: Path) -> None:
        """Put everything back as it was before the first run."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()  # noqa: ASYNC240
        await owner.execute("truncate payment_logs, ledger_anchors")
        await owner.execute("insert into payment_logs overriding system value select * from ledger_copy")
        await owner.execute("update anchor_without_payment set ledger_id = 0, rows_removed = 0, mac = null")
        await owner.execute("delete from leases where name = 'retention'")

    folder = tmp_path / "archive"
    await begin_anew(folder)
    async with child(database.owner_dsn, folder, seal) as runs:
        status, figures = await runs.run(0)
        archived, steps = figures
        assert (status, await owner.fetchval("select count(*) from payment_logs")) == (0, 0)
        await check(owner, folder, seal, whole, 0)
        assert 40 < archived < steps, "the steps are many, of both"
        for step in range(1, steps + 1):
            await begin_anew(folder)
            status, _ = await runs.run(step)
            assert status == -signal.SIGKILL, f"step {step} of {steps}"
            await check(owner, folder, seal, whole, step)
            await owner.execute("update leases set expires_at = now() where name = 'retention'")  # its time is over
            status, _ = await runs.run(0)
            assert (status, await owner.fetchval("select count(*) from payment_logs")) == (0, 0), f"after step {step}"
            await check(owner, folder, seal, whole, step)
    print(f"killed at each of {steps} steps, {archived} of them of archiving")  # noqa: T201
    await owner.close()
