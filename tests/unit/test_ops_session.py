"""The one session of a command of people: how it is opened, what its errors become, and that it ends."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from pydantic import SecretStr

from ops import database, parking_standstill
from ops.database import as_owner, connected
from ops.parking_standstill import read_standstill
from runtime.settings import KafkaSettings, OpsSettings, ParkingSettings, PostgresSettings, Settings
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

SETTINGS = Settings(
    postgres=PostgresSettings(dsn=SecretStr("postgresql://app@h/d"), owner_dsn=SecretStr("postgresql://owner@h/d")),
    kafka=KafkaSettings(topic_prefix="east."),
    ops=OpsSettings(lookup_timeout_seconds=2.5),
)


class Paper:
    """Opens sessions: with what each was opened, which topics each was held to, how many ended."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, dict[str, Any]]] = []
        self.bound: list[str] = []
        self.ended = 0
        self.refusal: Exception | None = None
        self.unbound: Exception | None = None

    def hosts(self, _dsn: str) -> Paper:
        return self

    async def connect(self, dsn: str, **how: Any) -> Paper:
        if self.refusal is not None:
            raise self.refusal
        self.opened.append((dsn, how))
        return self

    async def need_bound(self, _connection: object, prefix: str) -> None:
        if self.unbound is not None:
            raise self.unbound
        self.bound.append(prefix)

    def terminate(self) -> None:
        self.ended += 1


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Paper:
    made = Paper()
    monkeypatch.setattr(database, "Hosts", made.hosts)
    monkeypatch.setattr(database, "need_bound", made.need_bound)
    return made


async def test_a_session_is_bounded_is_of_our_topics_and_ends(paper: Paper) -> None:
    async with connected(SETTINGS):
        assert paper.ended == 0
    ((dsn, how),) = paper.opened
    assert (dsn, how["timeout"], how["command_timeout"]) == ("postgresql://app@h/d", 2.5, 2.5)
    assert how["server_settings"] == {
        "application_name": "ratchet ops", "statement_timeout": "2500", "synchronous_commit": "on", "timezone": "UTC",
    }  # fmt: skip
    assert (paper.bound, paper.ended) == (["east."], 1)


async def test_one_that_looks_at_what_others_get_sets_nothing_of_its_own(paper: Paper) -> None:
    paper.unbound = SettingsError("of other topics")
    async with connected(SETTINGS, as_it_is=True):
        pass
    ((_, how),) = paper.opened
    assert how["server_settings"] == {"application_name": "ratchet ops", "statement_timeout": "2500"}
    assert paper.ended == 1


async def test_a_database_of_other_topics_is_not_worked_with_and_one_of_an_older_schema_is(paper: Paper) -> None:
    paper.unbound = SettingsError("of other topics")
    with pytest.raises(SettingsError, match="of other topics"):
        async with connected(SETTINGS):
            pytest.fail("it was given")
    paper.unbound = asyncpg.UndefinedTableError("topic_prefix")
    async with connected(SETTINGS):
        pass
    assert paper.ended == 2


@pytest.mark.parametrize(
    "refusal",
    [OSError("x"), TimeoutError(), asyncpg.InvalidPasswordError("x"), asyncpg.InvalidParameterValueError("x")],
)
async def test_a_postgres_that_lets_us_not_in_is_an_outage(paper: Paper, refusal: Exception) -> None:
    paper.refusal = refusal
    with pytest.raises(UnavailableError, match="does not let us in"):
        async with connected(SETTINGS):
            pytest.fail("it was given")


@pytest.mark.parametrize(
    ("error", "becomes", "words"),
    [
        (asyncpg.UndefinedColumnError("x"), UnavailableError, "ratchet migrate up"),
        (asyncpg.InsufficientPrivilegeError("x"), RatchetError, "for the grants"),
        (asyncpg.ConnectionDoesNotExistError("x"), UnavailableError, "Postgres went away"),
        (asyncpg.QueryCanceledError("x"), UnavailableError, "Postgres went away"),
        (TimeoutError(), UnavailableError, "TimeoutError"),
        (ValueError("ours"), ValueError, "ours"),
    ],
)
async def test_what_fails_in_it_says_what_to_do_and_leaves_no_session(
    paper: Paper, error: Exception, becomes: type[Exception], words: str
) -> None:
    with pytest.raises(becomes, match=words) as raised:
        async with connected(SETTINGS):
            raise error
    assert type(raised.value) is becomes
    assert paper.ended == 1


async def test_the_owner_is_another_role_and_is_asked_for_where_it_is_not_set() -> None:
    owned = as_owner(SETTINGS, "ledger rows").postgres
    assert owned.dsn is not None
    assert owned.dsn.get_secret_value() == "postgresql://owner@h/d"
    bare = SETTINGS.model_copy(update={"postgres": PostgresSettings(dsn=SecretStr("postgresql://app@h/d"))})
    with pytest.raises(SettingsError, match="only the schema's owner may remove ledger rows"):
        as_owner(bare, "ledger rows")
    with pytest.raises(SettingsError, match="DSN is not set"):
        async with connected(Settings()):
            pytest.fail("it was given")


async def test_a_standstill_is_one_from_its_shortest_length_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    since = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
    rows = [{"since": since, "seconds": 61.5, "waits_for": "Kafka", "parked": 7}]

    @asynccontextmanager
    async def opened(_: Settings) -> AsyncIterator[None]:
        yield

    async def fetch(_connection: None, *arguments: Any) -> list[dict[str, Any]]:
        asked.append(arguments)
        return rows

    monkeypatch.setattr(parking_standstill, "connected", opened)
    monkeypatch.setattr(parking_standstill, "fetch", fetch)
    settings = Settings(parking=ParkingSettings(standstill_seconds_min=45.0))
    found = await read_standstill(settings)
    assert found is not None
    assert (found.since, found.seconds, found.waits_for, found.parked) == (
        "2026-01-02T03:04:05+00:00", 61.5, "Kafka", 7,
    )  # fmt: skip
    assert asked == [("read_parking_clock", dt.timedelta(seconds=45))]
    rows.clear()
    assert await read_standstill(settings) is None
