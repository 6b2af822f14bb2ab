"""Whose brokers a command and a process use: those that are configured, or those of the stack in this home."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from ops import endpoints
from runtime.settings import KafkaSettings, PostgresSettings, RedisSettings, Settings
from runtime.stack import state
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

HERE = SimpleNamespace(
    kafka="127.0.0.1:19092", dsn="postgresql://app@here/db", owner_dsn="postgresql://owner@here/db",
    redis="redis://here", process_dsns={"relay": "postgresql://relay@here/db"},
)  # fmt: skip


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have a stack in this home whose owner is alive, or is not; or none."""

    def runs(*, alive: bool | None, **changed: Any) -> None:
        found = SimpleNamespace(
            owner=SimpleNamespace(alive=lambda: alive), endpoints=SimpleNamespace(**vars(HERE) | changed)
        )
        monkeypatch.setattr(state, "read", lambda _: None if alive is None else found)

    return runs


def test_a_stack_that_runs_is_used(runs: Any) -> None:
    runs(alive=True)
    found = endpoints.found(Settings())
    assert found.kafka.bootstrap == HERE.kafka
    assert found.postgres.dsn is not None
    assert found.postgres.owner_dsn is not None
    assert (found.postgres.dsn.get_secret_value(), found.postgres.owner_dsn.get_secret_value()) == (
        HERE.dsn, HERE.owner_dsn,
    )  # fmt: skip


@pytest.mark.parametrize("alive", [False, None])
def test_what_a_stack_left_behind_is_no_stack(alive: bool | None, runs: Any) -> None:  # noqa: FBT001 - a case
    """At its ports may be another's brokers by now."""
    runs(alive=alive)
    with pytest.raises(SettingsError, match="no stack runs"):
        endpoints.found(Settings())


def test_a_stack_without_redis_leaves_none(runs: Any) -> None:
    """A Redis of elsewhere would hold the leases of two clusters."""
    runs(alive=True, redis=None)
    assert endpoints.found(Settings(redis=RedisSettings(url=SecretStr("redis://elsewhere")))).redis.url is None


@pytest.mark.parametrize(
    ("kafka", "dsn", "missing"),
    [("k:9092", None, "RATCHET_POSTGRES__DSN is not"), (None, "postgresql://a@b/c", "RATCHET_KAFKA__BOOTSTRAP is not")],
)
def test_half_of_what_is_configured_is_not_made_whole_by_a_stack(
    kafka: str | None, dsn: str | None, missing: str, runs: Any
) -> None:
    runs(alive=True)
    secret = None if dsn is None else SecretStr(dsn)
    with pytest.raises(SettingsError, match=missing):
        endpoints.found(Settings(kafka=KafkaSettings(bootstrap=kafka), postgres=PostgresSettings(dsn=secret)))


def configured(dsn: str) -> Settings:
    return Settings(postgres=PostgresSettings(dsn=SecretStr(dsn), owner_dsn=SecretStr(HERE.owner_dsn)))


def test_a_process_of_a_stack_has_its_own_role_and_not_the_owner_s(runs: Any) -> None:
    runs(alive=True)
    found = endpoints.as_process(configured(HERE.dsn), "relay").postgres
    assert found.dsn is not None
    assert (found.dsn.get_secret_value(), found.owner_dsn) == (HERE.process_dsns["relay"], None)


@pytest.mark.parametrize(
    ("dsn", "process", "alive"),
    [("postgresql://app@elsewhere/db", "relay", True), (HERE.dsn, "console", True), (HERE.dsn, "relay", False)],
    ids=["another database", "a process without a role", "a stack that has ended"],
)
def test_elsewhere_a_process_keeps_what_it_was_given(dsn: str, process: str, runs: Any, *, alive: bool) -> None:
    """Given the role of a stack that happens to run here, it would write into another database."""
    runs(alive=alive)
    settings = configured(dsn)
    assert endpoints.as_process(settings, process) is settings


def test_every_process_means_the_same_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATCHET_HOME", "home")
    assert endpoints.load().home == Path.cwd() / "home"
    environment = endpoints.environment(endpoints.load())
    assert environment["RATCHET_HOME"] == str(tmp_path / "home")


def test_a_role_is_named_as_postgres_knows_it() -> None:
    assert endpoints.app_role(configured("postgresql://the%20app:x@here/db")) == "the app"
    for dsn in ("postgresql://here/db", "postgresql://:x@here/db"):
        with pytest.raises(SettingsError, match="names no role"):
            endpoints.app_role(configured(dsn))
