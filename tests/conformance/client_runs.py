"""What the tests of the clients share: a client that runs, a database of its own, and what its table holds."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from client_builds import Client

    from runtime.stack import Endpoints

WAIT_SECONDS = 90.0
EXIT_SECONDS = 30.0


@asynccontextmanager
async def running(client: Client, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command of a client; it is killed at the end where it still runs."""
    process = await asyncio.create_subprocess_exec(
        *client.words, *words,
        env=client.environment(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        limit=4 * 1024**2,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Tell a reader to end; return its exit status and what it wrote."""
    process.send_signal(signal.SIGTERM)
    _, found = await asyncio.wait_for(process.communicate(), EXIT_SECONDS)
    return process.returncode or 0, found.decode()


async def published(client: Client, lines: Iterable[str], *words: str) -> list[dict[str, Any]]:
    """Publish lines; return where each record or batch stands."""
    async with running(client, "publish", *words) as process:
        out, found = await asyncio.wait_for(process.communicate("\n".join(lines).encode() + b"\n"), WAIT_SECONDS)
        assert process.returncode == 0, found.decode()
        return [json.loads(line) for line in out.splitlines()]


@asynccontextmanager
async def readers_database(endpoints: Endpoints) -> AsyncIterator[str]:
    """Give a reader an empty database that has nothing to do with Ratchet's."""
    name = f"reader_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(endpoints.superuser_dsn)
    await connection.execute(f"create database {name}")
    try:
        yield urlunsplit(urlsplit(endpoints.superuser_dsn)._replace(path=f"/{name}"))
    finally:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.close()


async def table(dsn: str) -> dict[str, dict[str, Any]]:
    """Return what a reader's table holds, by payment; nothing where it is not made yet."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("select payment_id::text, payment from ratchet_payments")
    except asyncpg.UndefinedTableError:
        return {}
    finally:
        await connection.close()
    return {row["payment_id"]: json.loads(row["payment"]) for row in rows}


async def effects(dsn: str) -> list[tuple[str, int, int]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(
            "select payment_id::text, epoch, version from ratchet_effects order by 1, 2, 3"
        )]  # fmt: skip
    finally:
        await connection.close()
