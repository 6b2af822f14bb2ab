"""What kind of failure an error of a transaction is, and how a pool is opened."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from runtime import postgres
from runtime.clock import SystemClock
from runtime.postgres import Failure, classify, open_pool
from runtime.settings import PostgresSettings
from runtime.sql import statement
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (asyncpg.UniqueViolationError(), Failure.TWIN),
        (asyncpg.DeadlockDetectedError(), Failure.TWIN),
        (asyncpg.SerializationError(), Failure.TWIN),
        (asyncpg.LockNotAvailableError(), Failure.TWIN),
        (asyncpg.CheckViolationError(), Failure.DATA),
        (asyncpg.ForeignKeyViolationError(), Failure.DATA),
        (asyncpg.NotNullViolationError(), Failure.DATA),
        (asyncpg.NumericValueOutOfRangeError(), Failure.DATA),
        (asyncpg.CharacterNotInRepertoireError(), Failure.DATA),
        (asyncpg.ProgramLimitExceededError(), Failure.DATA),
        (asyncpg.DataError(), Failure.DATA),
        (ConnectionRefusedError(), Failure.OUTAGE),
        (TimeoutError(), Failure.OUTAGE),
        (asyncpg.InterfaceError("x"), Failure.OUTAGE),
        (
            asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
            Failure.OUTAGE,
        ),
        (asyncpg.ConnectionDoesNotExistError(), Failure.OUTAGE),
        (asyncpg.TooManyConnectionsError(), Failure.OUTAGE),
        (asyncpg.DiskFullError(), Failure.OUTAGE),
        (asyncpg.QueryCanceledError(), Failure.OUTAGE),
        (asyncpg.AdminShutdownError(), Failure.OUTAGE),
        (asyncpg.CannotConnectNowError(), Failure.OUTAGE),
        (asyncpg.ReadOnlySQLTransactionError(), Failure.OUTAGE),
        (asyncpg.InvalidPasswordError(), Failure.OUTAGE),
        (asyncpg.InvalidCatalogNameError(), Failure.OUTAGE),
        (asyncpg.IdleInTransactionSessionTimeoutError(), Failure.OUTAGE),
        (asyncpg.UndefinedTableError(), Failure.UNEXPECTED),
        (asyncpg.InsufficientPrivilegeError(), Failure.UNEXPECTED),
        (ValueError(), Failure.UNEXPECTED),
        (RecursionError(), Failure.UNEXPECTED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.value,
)
def test_classify(error: Exception, failure: Failure) -> None:
    assert classify(error) is failure


async def test_a_pool_needs_a_dsn() -> None:
    with pytest.raises(SettingsError, match="RATCHET_POSTGRES__DSN"):
        await open_pool(PostgresSettings(), role="consumer")


async def test_a_pool_has_its_named_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, Any]] = []

    class Pool:
        def is_closing(self) -> bool:
            return True

    pool = Pool()

    async def create_pool(*arguments: Any, **options: Any) -> Pool:
        asked.append((arguments, options))
        return pool

    monkeypatch.setattr(asyncpg, "create_pool", create_pool)
    settings = PostgresSettings(dsn=SecretStr("postgresql://x"), lock_timeout_seconds=1.5, pool_connections_max=7)
    assert await open_pool(settings, role="relay") is pool
    assert await open_pool(settings, role="relay", connections=2, parameters={"jit": "off"}) is pool
    (dsn,), first = asked[0]
    second = asked[1][1]
    assert dsn == "postgresql://x"
    assert (first["max_size"], second["max_size"]) == (7, 2)
    assert first["server_settings"]["application_name"] == "ratchet relay"
    assert first["server_settings"]["lock_timeout"] == "1500"
    assert second["server_settings"]["jit"] == "off"
    assert first["command_timeout"] > settings.statement_timeout_seconds


def test_statements_are_files_beside_the_code() -> None:
    assert statement("consumer", "clear_mark").startswith("delete from consumer_marks")
    with pytest.raises(FileNotFoundError):
        statement("consumer", "drop_everything")


def test_the_systems_clock_runs() -> None:
    first = SystemClock().now()
    assert 1.6e9 < first <= SystemClock().now()


def test_failures_that_are_tried_again_are_told_from_those_that_are_not() -> None:
    assert not set(postgres.TWIN_ERRORS) & set(postgres.OUTAGE_ERRORS) & set(postgres.DATA_ERRORS)
