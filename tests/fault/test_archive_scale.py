"""Archiving a ledger of many rows by the commands: what it takes, what it makes, and that memory does not grow with it.

ARCHIVE_ROWS=200000 .venv/bin/pytest -s tests/fault/test_archive_scale.py
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest
from consumer_harness import batch_harness, lives, records

from consumer.decode import decoded

if TYPE_CHECKING:
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]
pytest.importorskip("pyarrow", reason="the extra `archive` is not installed: make test-archive")

ROWS = int(os.environ.get("ARCHIVE_ROWS", "20000"))
ROWS_A_LIFE = 5
ROWS_A_FILE = 10_000 if ROWS < 100_000 else 100_000
BATCH = 1000
KEY = "a key that nobody who owns the schema has"
PEAK_MAX = 280 * 1024**2 + 1200 * ROWS_A_FILE
"""What archiving may hold: pyarrow and the command, and what a file's rows take; nothing for the ledger's."""


class LongAgo:
    """A clock of a year and a half ago."""

    def now(self) -> float:
        return time.time() - 550 * 86400


class Ran(NamedTuple):
    """What a command printed, how long it took by the clock and in CPU, and how much memory it held at most."""

    document: dict[str, Any]
    seconds: float
    cpu: float
    peak: int


def peak_of(process: subprocess.Popen[bytes]) -> int:
    """Return the most memory that a process has held since it began, 0 where it has ended; only Linux tells."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def run(environment: dict[str, str], *arguments: str) -> Ran:
    """Run a command as a process and wait for it."""
    begun, peak, before = time.monotonic(), 0, resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", "from ops.cli import main; main()", *arguments, "--json"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdout=output)
        while process.poll() is None:
            peak = max(peak, peak_of(process))
            time.sleep(0.02)
        output.seek(0)
        text = output.read()
    assert process.returncode == 0, text
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(json.loads(text), time.monotonic() - begun, cpu, peak)


async def test_the_commands_on_a_ledger_of_many_rows(stack: Endpoints, database: Database, tmp_path: Path) -> None:
    folder, owner = tmp_path / "archive", await asyncpg.connect(database.owner_dsn)
    folder.mkdir()
    events = [event for life in lives(ROWS // ROWS_A_LIFE) for event in life.events()]
    async with batch_harness(database.dsn) as consumer:
        consumer.clock = LongAgo()
        for start in range(0, len(events), BATCH):
            batch = records(events[start : start + BATCH], first=start)
            await consumer.processor().write([decoded(record) for record in batch])
    newest = "select relay_xid, id from payment_logs order by 1 desc, 2 desc limit 1"
    await owner.execute(f"update relay_cursors set (relay_xid, id) = ({newest})")
    await owner.execute("vacuum analyze payment_logs")
    table = await owner.fetchval("select pg_table_size('payment_logs')")
    whole = await owner.fetchval("select pg_total_relation_size('payment_logs')")
    environment = dict(os.environ) | stack.environment() | {
        "RATCHET_POSTGRES__DSN": database.dsn,
        "RATCHET_POSTGRES__OWNER_DSN": database.owner_dsn,
        "RATCHET_AUDIT__SEAL_KEY": KEY,
        "RATCHET_AUDIT__ARCHIVE": str(folder),
        "RATCHET_AUDIT__ARCHIVE_FILE_ROWS_MAX": str(ROWS_A_FILE),
    }  # fmt: skip
    seal, ran = str(tmp_path / "a.seal"), dict[str, Ran]()
    commands = {
        "seal": ("audit", "seal", seal),
        "archive": ("audit", "archive", "--days", "120", "--seal", seal),
        "verify before": ("audit", "verify", "--archive", str(folder), "--seal", seal),
        "retain": ("audit", "retain", "--days", "120", "--yes"),
        "verify after": ("audit", "verify", "--archive", str(folder), "--seal", seal),
    }
    for name, command in commands.items():
        ran[name] = await asyncio.to_thread(run, environment, *command)
    assert ran["archive"].document["rows"] == ran["retain"].document["removed"] == len(events)
    assert ran["verify after"].document["ok"]
    assert (ran["verify after"].document["rows"], ran["verify after"].document["archived_rows"]) == (0, len(events))
    parquet = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    manifests = sum(path.stat().st_size for path in folder.glob("*.manifest"))
    print(f"\n{dt.date.today()}: {len(events):,} rows in files of {ROWS_A_FILE:,}")  # noqa: DTZ011, T201
    print(f"table {table:,} bytes, with indexes {whole:,}; Parquet {parquet:,}, manifests {manifests:,}")  # noqa: T201
    for name, one in ran.items():
        print(f"{name}: {one.seconds:.1f} s, {one.cpu:.1f} s of CPU, {one.peak / 1024**2:.0f} MiB at most")  # noqa: T201
    assert max(ran["archive"].peak, ran["retain"].peak, ran["verify after"].peak) < PEAK_MAX
    await owner.close()
