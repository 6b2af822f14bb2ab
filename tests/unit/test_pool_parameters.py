"""What each role's sessions of Postgres are opened with: a pool's own bounds win over those that all have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from pydantic import SecretStr

from consumer.dispatcher import role as dispatcher_role
from consumer.role import _open_pool as open_consumer_pool
from ops.console.outcomes import OutcomeCounter
from ops.console.passwords import Password
from ops.console.reader import Reader
from ops.console.session_rows import SessionRows
from ops.database import connected
from producers.ingress.clock_check import ClockCheck
from producers.ingress.publishing.spool import Spool
from producers.ingress.transactions import Transactions
from producers.relay import rebase
from producers.relay import role as relay_role
from runtime import migrations
from runtime.clock import SystemClock
from runtime.settings import ConsoleSettings, OpsSettings, PostgresSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.unit

SETTINGS = Settings(
    postgres=PostgresSettings(
        dsn=SecretStr("postgresql://x"),
        statement_timeout_seconds=7,
        lock_timeout_seconds=2.5,
        idle_in_transaction_timeout_seconds=9,
    ),
    console=ConsoleSettings(statement_timeout_seconds=1.25),
    ops=OpsSettings(lookup_timeout_seconds=11),
)
ALL = {"statement_timeout": "7000", "lock_timeout": "2500", "idle_in_transaction_session_timeout": "9000",
       "synchronous_commit": "on", "timezone": "UTC"}  # fmt: skip


class OpenedError(Exception):
    """The pool was asked for: nothing more is looked at."""


POOLS: dict[str, tuple[Callable[[], Awaitable[object]], dict[str, str | None]]] = {
    "consumer": (lambda: open_consumer_pool(SETTINGS), {"jit": "off", "enable_seqscan": "off"}),
    "intents": (
        Transactions(SETTINGS)._pool.get,
        {"lock_timeout": "1000", "jit": "off", "enable_seqscan": "off"},
    ),
    "hints": (Transactions(SETTINGS, role="ingress hints", connections=2)._pool.get, {"lock_timeout": "1000"}),
    "spool": (Spool(SETTINGS, ClockCheck(SystemClock()))._pool.get, {}),
    "console": (
        Reader(SETTINGS)._pool.get,
        {"statement_timeout": "1250", "default_transaction_read_only": "on", "jit": "off"},
    ),
    "console's sessions": (
        SessionRows(SETTINGS, Password(None))._pool.get,
        {"statement_timeout": "1250", "default_transaction_read_only": None, "jit": "off"},
    ),
    "console's counter": (
        OutcomeCounter(SETTINGS, Reader(SETTINGS))._pool.get,
        {"statement_timeout": "1250", "default_transaction_read_only": None, "jit": "off"},
    ),
    "relay": (
        lambda: relay_role._open(SETTINGS),
        {"plan_cache_mode": "force_custom_plan"},
    ),
    "dispatcher": (
        lambda: dispatcher_role._open(SETTINGS),
        {},
    ),
}
"""Every pool of the product, and what its sessions have beside, or in place of, what all have; None: they have not."""


@pytest.mark.parametrize("role", POOLS)
async def test_what_a_pool_asks_for_itself_wins(monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    asked: dict[str, str] = {}

    async def create_pool(*_: Any, server_settings: dict[str, str], **__: Any) -> None:
        asked.update(server_settings)
        raise OpenedError

    async def no_topics(*_: Any) -> None:
        return None

    monkeypatch.setattr(asyncpg, "create_pool", create_pool)
    monkeypatch.setattr(relay_role, "ensure_topics", no_topics)
    opened, own = POOLS[role]
    with pytest.raises(OpenedError):
        await opened()
    wanted = {**ALL, **own}
    assert {name: asked.get(name) for name in wanted} == wanted


async def _migrates(**_: Any) -> None:
    async with migrations._connected("postgresql://x"):
        pass


async def _asks(*, as_it_is: bool = False) -> None:
    async with connected(SETTINGS, as_it_is=as_it_is):
        pass


DURABLE = {"synchronous_commit": "on", "timezone": "UTC"}
SINGLE: dict[str, tuple[Callable[[], Awaitable[object]], dict[str, str | None]]] = {
    "migrations": (_migrates, {**DURABLE, "statement_timeout": None}),
    "rebase": (lambda: rebase.rebase("postgresql://x"), DURABLE),
    "rebase of a copy": (lambda: rebase.rebase_if_restored("postgresql://x"), DURABLE),
    "the command line": (_asks, {**DURABLE, "statement_timeout": "11000"}),
    "the command line that looks at what is set": (
        lambda: _asks(as_it_is=True),
        {"synchronous_commit": None, "timezone": None, "statement_timeout": "11000"},
    ),
}
"""Every session of the product that is in no pool."""


@pytest.mark.parametrize("whose", SINGLE)
async def test_what_a_single_session_asks_for(monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    asked: dict[str, str] = {}

    async def connect(*_: Any, server_settings: dict[str, str], **__: Any) -> None:
        asked.update(server_settings)
        raise OpenedError

    monkeypatch.setattr(asyncpg, "connect", connect)
    opened, wanted = SINGLE[whose]
    with pytest.raises(OpenedError):
        await opened()
    assert {name: asked.get(name) for name in wanted} == wanted


OPENERS = {
    "consumer/dispatcher/role.py": "dispatcher",
    "consumer/role.py": "consumer",
    "ops/console/outcomes.py": "console's counter",
    "ops/console/reader.py": "console",
    "ops/console/session_rows.py": "console's sessions",
    "ops/database.py": "the command line",
    "producers/ingress/publishing/spool.py": "spool",
    "producers/ingress/transactions.py": "intents",
    "producers/relay/rebase.py": "rebase",
    "producers/relay/role.py": "relay",
    "runtime/migrations.py": "migrations",
    "runtime/postgres.py": "what all pools go through",
    "runtime/postgres_hosts.py": "what all sessions go through",
    "runtime/stack/postgres.py": "the embedded server's own superuser, before there is a role of ours",
}
"""Who opens sessions, and under which name it is looked at above."""


def test_no_session_is_opened_that_nobody_looks_at() -> None:
    root = Path(__file__).parents[2]
    opening = re.compile(r"(?<!def )\b(?:open_pool|open_pool_for|create_pool)\(|(?:asyncpg|Hosts\(dsn\))\.connect\(")
    files = (one for package in ("consumer", "producers", "ops", "runtime") for one in (root / package).rglob("*.py"))
    product = (one for one in files if "bench" not in one.parts)
    found = {str(one.relative_to(root)) for one in product if opening.search(one.read_text())}
    assert found == OPENERS.keys()
