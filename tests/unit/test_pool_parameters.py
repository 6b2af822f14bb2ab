"""What each role's sessions of Postgres are opened with: a pool's own bounds win over those that all have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from pydantic import SecretStr

from consumer.role import _open_pool as open_consumer_pool
from ops.console.reader import Reader
from producers.ingress.clock_check import ClockCheck
from producers.ingress.publishing.spool import Spool
from producers.ingress.transactions import Transactions
from runtime.clock import SystemClock
from runtime.settings import ConsoleSettings, PostgresSettings, Settings

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
)
ALL = {"statement_timeout": "7000", "lock_timeout": "2500", "idle_in_transaction_session_timeout": "9000",
       "synchronous_commit": "on", "timezone": "UTC"}  # fmt: skip


class OpenedError(Exception):
    """The pool was asked for: nothing more is looked at."""


POOLS: dict[str, tuple[Callable[[], Awaitable[object]], dict[str, str]]] = {
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
}


@pytest.mark.parametrize("role", POOLS)
async def test_what_a_pool_asks_for_itself_wins(monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    asked: dict[str, str] = {}

    async def create_pool(*_: Any, server_settings: dict[str, str], **__: Any) -> None:
        asked.update(server_settings)
        raise OpenedError

    monkeypatch.setattr(asyncpg, "create_pool", create_pool)
    opened, own = POOLS[role]
    with pytest.raises(OpenedError):
        await opened()
    wanted = {**ALL, **own}
    assert {name: asked.get(name) for name in wanted} == wanted
