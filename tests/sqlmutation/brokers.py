"""Brokers, a template database and one that statements are prepared in, for all trials of a run."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from mutants.brokers import Brokers

from runtime.migrations import migrate_up
from runtime.stack import read_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEMPLATE: Final = "TESTS_TEMPLATE_DATABASE"
"""Names the migrated database, of which each test gets a copy, to tests/conftest.py."""
MEMORY: Final = Path("/dev/shm")


class Prepared:
    """Which statements Postgres would run, and the environment for the tests."""

    def __init__(self, environment: dict[str, str], dsn: str) -> None:
        self.environment = environment
        self._dsn = dsn

    def refused(self, texts: Iterable[str]) -> set[str]:
        """Return those that Postgres does not prepare."""
        return asyncio.run(self._refused(list(texts)))

    async def _refused(self, texts: list[str]) -> set[str]:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(self._dsn)
        found = set()
        try:
            for text in texts:
                try:
                    await connection.prepare(text)
                except asyncpg.PostgresError:
                    found.add(text)
        finally:
            await connection.close()
        return found


@contextmanager
def prepared() -> Iterator[Prepared]:
    """Start brokers and make the databases; their files are in memory where that can be had."""
    brokers = Brokers(0)
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        brokers.home = MEMORY / f"ratchet-test-of-{os.getuid()}-mutation-{os.getpid()}"
    with brokers as environment:
        state = read_state(brokers.home)
        assert state is not None, "they have just been started"
        template, plain = (f"mutation_{name}_{os.getpid()}" for name in ("template", "plain"))
        owner, app = (urlsplit(dsn) for dsn in (state.endpoints.owner_dsn, state.endpoints.dsn))

        async def make() -> None:
            superuser = await asyncpg.connect(state.endpoints.superuser_dsn)
            await superuser.execute(f"create database {template} owner {owner.username}")
            await migrate_up(urlunsplit(owner._replace(path=f"/{template}")), str(app.username))
            await superuser.execute(f"create database {plain} template {template} owner {owner.username}")
            await superuser.close()

        asyncio.run(make())
        yield Prepared({**environment, TEMPLATE: template}, urlunsplit(owner._replace(path=f"/{plain}")))
