"""The board's figures: since when events are counted, from where in the ledger, and of all dead letters."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from console_parts import Looks

from ops.console import board_poller
from ops.console.backlog import Backlog
from ops.console.board_poller import BoardPoller
from runtime.settings import Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
QUEUES = {"outbox": 0, "spool": 0, "spool_since": None, "parked": 0, "parked_until": None}


def letters(reason: str, minutes: tuple[int, int], noted: int) -> dict[str, Any]:
    """Return the open letters of a reason: how long ago the oldest and the newest came, and what notes speak of."""
    oldest, newest = (NOON - dt.timedelta(minutes=ago) for ago in minutes)
    return {"reason": reason, "open": 9, "noted": noted, "oldest": oldest, "newest": newest}


class Ledger(Looks):
    """A reader whose ledger goes on by itself; `away` is a look at it that fails."""

    away = False

    async def fetch(self, name: str, *arguments: Any, package: str = "") -> list[dict[str, Any]]:
        if self.away and name == "count_processed":
            raise UnavailableError("Postgres needs more than 4 s for this")
        return await super().fetch(name, *arguments, package=package)


@pytest.fixture
def poller(tmp_path: Path) -> BoardPoller:
    async def backlog() -> Backlog:
        return Backlog({}, None)

    async def outcomes() -> None: ...

    look = Ledger({"read_queues": [QUEUES], "find_ledger_end": [{"relay_xid": 5, "id": 50}]})
    settings = Settings().model_copy(update={"home": tmp_path})
    reading: Any = SimpleNamespace(read=backlog), SimpleNamespace(read=outcomes)
    return BoardPoller(settings, cast("Any", look), *reading)


async def test_events_are_counted_on_from_where_they_were_and_since_then(
    poller: BoardPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, now = cast("Ledger", poller.reader), [1000.0]
    monkeypatch.setattr(board_poller.time, "monotonic", lambda: now[0])
    assert (await poller.look()).rate is None, "the end of the ledger is where counting begins"
    now[0] += 2
    ledger.found["count_processed"] = [{"outcome": "applied", "events": 6, "relay_xid": 6, "id": 3}]
    look = await poller.look()
    assert (look.rate, ledger.asked[-1][:3]) == (3.0, ("count_processed", 5, 50))
    now[0] += 2
    ledger.away = True
    look = await poller.look()
    assert (look.processed, look.rate, look.problems) == (None, None, ("Postgres needs more than 4 s for this",))
    now[0] += 2
    ledger.away = False
    look = await poller.look()
    assert look.rate == 1.5, "six since four seconds: what came during the failure is counted now"
    assert ledger.asked[-1][:3] == ("count_processed", 6, 3)


async def test_all_reasons_count_for_the_oldest_the_newest_and_the_noted(poller: BoardPoller) -> None:
    ledger = cast("Ledger", poller.reader)
    ledger.found["count_open_letters"] = [letters("orphan", (60, 30), 2), letters("conflict", (90, 5), 4)]
    look = await poller.look()
    assert look.letters == {"orphan": 9, "conflict": 9}
    assert look.letters_since == (NOON - dt.timedelta(minutes=90), NOON - dt.timedelta(minutes=5))
    assert look.noted == 6
