"""The steps of `ratchet up` without brokers: what comes before what, when it gives up, and its exit status."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from ops import up
from ops.output import EXIT_DONE, EXIT_PROBLEM
from ops.supervisor import KeptRole, ProcessWatch
from ops.up import ENDS_IN_ROW_MAX, UpOptions
from runtime.settings import Settings
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.unit

OWNER = "postgresql://owner:x@127.0.0.1:9/none"


def reporter() -> Any:
    @asynccontextmanager
    async def showing() -> AsyncIterator[None]:
        yield

    return SimpleNamespace(report=lambda _: None, run=None, showing=showing)


class TestPreparing:
    @pytest.fixture
    def steps(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        done: list[str] = []

        def step(name: str, returned: Any = None) -> Any:
            async def do(*_: Any) -> Any:
                done.append(name)
                return returned

            return do

        monkeypatch.setattr("runtime.migrations.migrate_up", step("migrate", []))
        monkeypatch.setattr("producers.relay.rebase.rebase_if_restored", step("rebase"))
        monkeypatch.setattr("runtime.kafka.ensure_topics", step("topics"))
        monkeypatch.setattr(up, "READY_POLL_SECONDS", 0)
        return done

    async def test_a_restored_database_is_rebased_after_its_schema_and_before_anything_runs(
        self, steps: list[str]
    ) -> None:
        dsn = {"dsn": "postgresql://app:x@127.0.0.1:9/none", "owner_dsn": OWNER}
        await up.prepare(Settings(postgres=dsn), reporter())
        assert steps == ["migrate", "rebase", "topics"]

    async def test_who_is_not_the_owner_changes_no_schema(self, steps: list[str]) -> None:
        await up.prepare(Settings(), reporter())
        assert steps == ["topics"]

    @pytest.mark.parametrize("failures", [0, 1, 3])
    async def test_a_broker_that_was_just_started_is_waited_for(self, steps: list[str], failures: int) -> None:
        left = [UnavailableError("not yet")] * failures

        async def attempt() -> None:
            if left:
                raise left.pop()
            steps.append("done")

        await up._with_patience(60, attempt)
        assert steps == ["done"]

    @pytest.mark.parametrize(("error", "seconds"), [(UnavailableError("away"), -1.0), (SettingsError("wrong"), 60.0)])
    async def test_but_not_for_ever_and_not_what_is_wrong(
        self, steps: list[str], error: Exception, seconds: float
    ) -> None:
        async def attempt() -> None:
            raise error

        with pytest.raises(type(error)):
            await up._with_patience(seconds, attempt)


class TestGivingUp:
    def given_up(self, tmp_path: Path, *, status: int | None, ends: int, healthy: bool) -> type[Exception] | None:
        kept = KeptRole("relay", watch=ProcessWatch(0.0, 1.0 if healthy else None), ends_in_row=ends, status=status)
        fine = KeptRole("ingress", watch=ProcessWatch(0.0, 1.0))
        log = tmp_path / "relay.log"
        log.write_text("ratchet: RATCHET_X is unknown\n")
        supervisor: Any = SimpleNamespace(roles={"ingress": fine, "relay": kept}, log_path=lambda _: log)
        with contextlib.suppress(RatchetError):
            up.give_up_on_failing(supervisor)
            return None
        with pytest.raises(RatchetError, match="relay does not start: RATCHET_X is unknown") as caught:
            up.give_up_on_failing(supervisor)
        return caught.type

    @pytest.mark.parametrize(
        ("status", "ends", "healthy", "raised"),
        [
            (None, 0, False, None),
            (2, 1, False, SettingsError),
            (2, 0, False, None),
            (1, 1, False, None),
            (1, ENDS_IN_ROW_MAX - 1, False, None),
            (1, ENDS_IN_ROW_MAX, False, UnavailableError),
            (1, ENDS_IN_ROW_MAX, True, None),
            (2, 1, True, None),
        ],
    )
    def test_a_wrong_setting_at_once_and_else_after_some_ends(
        self, tmp_path: Path, *, status: int | None, ends: int, healthy: bool, raised: type[Exception] | None
    ) -> None:
        assert self.given_up(tmp_path, status=status, ends=ends, healthy=healthy) is raised


class TestItsOrder:
    """All of `_up`, with its parts in doubles."""

    @pytest.fixture
    def done(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        done: list[str] = []

        @asynccontextmanager
        async def brokers(settings: Settings, _: Any) -> AsyncIterator[Settings]:
            done.append("brokers")
            yield settings
            done.append("brokers end")

        @asynccontextmanager
        async def roles(_settings: Any, _extra: Any, _reporter: Any) -> AsyncIterator[Any]:
            done.append("roles")
            yield SimpleNamespace(environment={})
            done.append("roles end")

        async def prepare(*_: Any) -> None:
            done.append("prepare")

        async def ingress_of(*_: Any) -> str:
            return "http://127.0.0.1:1"

        monkeypatch.setattr(up, "brokers", brokers)
        monkeypatch.setattr(up, "roles", roles)
        monkeypatch.setattr(up, "prepare", prepare)
        monkeypatch.setattr(up, "ingress_of", ingress_of)
        monkeypatch.setattr(up, "emit", lambda *_, **__: None)
        monkeypatch.setattr(up, "choose_signers", lambda _: ({}, {}))
        return done

    @pytest.mark.parametrize(("balanced", "status"), [(True, EXIT_DONE), (False, EXIT_PROBLEM)])
    async def test_once_ends_backwards_with_the_sample_s_status(
        self, done: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, balanced: bool, status: int
    ) -> None:
        async def go(_: str) -> None:
            done.append("sample")

        run = SimpleNamespace(go=go, plan=SimpleNamespace(posts=()), document=lambda: {"balanced": balanced})
        run.settings = Settings(home=tmp_path)
        monkeypatch.setattr(up, "make_run", lambda *_: run)
        settings = Settings(home=tmp_path, ingress={"bind": "127.0.0.1:0"}, console={"bind": "127.0.0.1:0"})
        options = UpOptions(once=True, sample=True, as_json=False)
        assert await up._up(settings, options, reporter()) == status
        assert done == ["brokers", "prepare", "roles", "sample", "roles end", "brokers end"]

    async def test_a_console_that_is_open_to_all_starts_nothing(self, done: list[str], tmp_path: Path) -> None:
        settings = Settings(home=tmp_path, console={"bind": "0.0.0.0:0"})
        with pytest.raises(SettingsError, match="RATCHET_CONSOLE__PASSWORD"):
            await up._up(settings, UpOptions(once=True, sample=False, as_json=False), cast("Any", reporter()))
        assert done == []
