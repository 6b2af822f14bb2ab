"""What a look says, how long looks are kept, and which words and files the pages have."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request

from ops.console import board_poller as pollers
from ops.console import words
from ops.console.app import make_templates
from ops.console.backlog import Backlog
from ops.console.board_poller import BoardLook, BoardPoller, Queues, oldest
from ops.console.outcomes import ORDER, Outcomes
from ops.console.static_files import StaticFiles
from ops.redrives import PreviewAnswer
from ops.status import RoleState, RoleStatus
from runtime.settings import ConsoleSettings, Settings
from schemas.dead_letter import Reason
from schemas.errors import UnavailableError
from schemas.payment import Outcome

pytestmark = pytest.mark.unit

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
RUNNING = (RoleStatus("ingress", 1, RoleState.RUNNING),)
QUIET = Queues(outbox=0, spool=0, spool_since=None, parked=0, parked_until=None)
WELL = BoardLook(NOON, 2.0, {"applied": 10}, {"payments.webhooks": 0}, 0.0, QUIET, {}, RUNNING, ())


def poller(**console: Any) -> BoardPoller:
    settings = Settings().model_copy(update={"console": ConsoleSettings(**console)})
    return BoardPoller(settings, None, None, None)  # type: ignore[arg-type] # it looks at nothing here


def test_the_oldest_waits_in_kafka_or_in_the_spool() -> None:
    spooled = replace(QUIET, spool_since=dt.datetime.fromtimestamp(90, dt.UTC))
    assert oldest(Backlog({}, 95.0), spooled, 100.0) == 10.0
    assert oldest(Backlog({}, 80.0), spooled, 100.0) == 20.0
    assert oldest(Backlog({}, None), QUIET, 100.0) == 0.0
    assert oldest(Backlog({}, 101.0), QUIET, 100.0) == 0.0, "a clock ahead of ours"
    assert oldest(None, QUIET, 100.0) is None
    assert oldest(Backlog({}, None), None, 100.0) is None


def test_looks_are_kept_for_a_while() -> None:
    watch = poller(history_seconds=10)
    assert watch.newest is None
    for seconds in (0, 5, 11):
        watch.remember(replace(WELL, at=NOON + dt.timedelta(seconds=seconds)))
    watch.remember(replace(WELL, at=NOON + dt.timedelta(seconds=12), processed=None))
    assert len(watch.history) == 3


def test_only_the_newest_look_keeps_what_was_counted_for_a_day() -> None:
    """Each has its own copy of a day's minutes: kept in all, the console grew by 25 MiB an hour."""
    watch, counted = poller(history_seconds=100), Outcomes({}, ())
    for seconds in range(3):
        watch.remember(replace(WELL, at=NOON + dt.timedelta(seconds=seconds), outcomes=counted))
    assert [look.outcomes for look in watch.history] == [None, None, counted]


async def test_it_looks_on_after_a_failure_and_sooner_when_somebody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = poller(look_seconds=0.001, idle_after_seconds=0.001, idle_look_seconds=60)
    looks = asyncio.Queue[int]()

    async def look(_self: BoardPoller) -> BoardLook:
        looks.put_nowait(1)
        if looks.qsize() == 1:
            raise RuntimeError("a look that nobody foresaw")
        return WELL

    monkeypatch.setattr(pollers.BoardPoller, "look", look)
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(20):
        while watch.newest is None:
            await asyncio.sleep(0.01)
            watch.watched()
    task.cancel()
    await asyncio.wait((task,))
    assert looks.qsize() >= 2


def test_every_outcome_and_reason_has_words() -> None:
    assert set(words.OUTCOMES) == set(Outcome)
    assert set(words.BECAME) == set(ORDER)
    assert set(words.WOULD) == set(PreviewAnswer)
    assert set(words.REASONS) == set(Reason)


def test_every_template_compiles_and_no_page_asks_elsewhere() -> None:
    templates = make_templates(StaticFiles())
    names = templates.list_templates()
    assert len(names) > 15
    for name in names:
        templates.get_template(name)
        assert templates.loader is not None
        source = templates.loader.get_source(templates, name)[0]
        for word in ("http://", "https://", " style=", "onclick=", "hx-on", "|safe", "| safe"):
            assert word not in source, name


async def test_a_file_under_another_name_is_not_there() -> None:
    files = StaticFiles()
    for name, path in (("console.css", "/static/0/console.css"), ("../app.py", "/static/0/../app.py")):
        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "path_params": {"name": name}}
        assert (await files.answer(Request(scope))).status_code == 404


async def test_a_look_names_what_this_process_probe_shows_as_away() -> None:
    class Nobody:
        async def read(self) -> Any:
            raise UnavailableError("Postgres is away")

        async def fetch(self, *_: object) -> Any:
            raise UnavailableError("Postgres is away")

    nobody: Any = Nobody()
    facts: dict[str, Any] = {}
    own = BoardPoller(Settings(), nobody, nobody, nobody, facts)
    assert (await own.look()).problems == ("Postgres is away",)
    facts |= {"away": ["broker 2 does not answer"], "disks": ["broker 1: 3 MiB free"], "postgres": ["clock: 9 s apart"]}
    assert (await own.look()).problems == (
        "broker 2 does not answer",
        "broker 1: 3 MiB free",
        "clock: 9 s apart",
        "Postgres is away",
    )
