"""What people or executors wrote (reasons, notes, refusals) is masked wherever it is shown."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops.console.pages import commands, letters
from ops.console.recall_orders import list_recalls, recall_progress
from ops.letter_notes import list_notes
from ops.operators import ActionFilter, list_actions
from runtime.settings import Settings

pytestmark = pytest.mark.unit

CARD, PHONE = "4111 1111 1111 1111", "+4915112345678"
TYPED = f"asked by {PHONE}, paid with {CARD}"
NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)

ROW: dict[str, Any] = {
    "id": 7, "acted_at": NOW, "who": "ada", "origin": "terminal", "action": "dead_letter.discard", "db_role": "app",
    "target": TYPED, "because": TYPED,
}  # fmt: skip
NOTE: dict[str, Any] = {
    "id": 7, "reason": "conflict", "source": None, "event_type": None, "redrive_id": None, "author": "ada",
    "made_at": NOW, "silent_until": NOW, "letters": 1, "note": TYPED,
}  # fmt: skip
ORDER: dict[str, Any] = {
    "id": 7, "provider": "stripe", "account": "", "since": NOW, "until": NOW, "dry_run": False, "requested_by": "ada",
    "requested_at": NOW, "status": "failed", "asked_since": NOW, "secret_since": NOW, "list": None, "pages": 0,
    "known": 0, "new": 0, "history": 0, "kinds": "{}", "first_at": None, "last_at": None, "stopped_by": None,
    "next_at": NOW, "started_at": NOW, "ended_at": NOW, "because": TYPED, "error": TYPED,
}  # fmt: skip
DISCARD: dict[str, Any] = {"discarded_by": "ada", "because": TYPED, "discarded_at": NOW}
LETTER: dict[str, Any] = {"id": 7, "key": None, "value": b"", "header_names": [], "header_values": []}


class Rows:
    """A connection whose every statement finds one row."""

    def __init__(self, row: dict[str, Any]) -> None:
        self._row = row

    async def fetch(self, *_: Any) -> list[dict[str, Any]]:
        return [self._row]


class PageReader:
    """What pages are read by."""

    async def fetch(self, name: str, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return {
            "read_letter": [LETTER],
            "read_discard": [DISCARD],
            "list_redrives_of_letter": [],
            "list_unanswered_commands": [{"refusal": None}],
            "list_newest_commands": [{"refusal": TYPED}],
        }[name]


VISIT: Any = SimpleNamespace(
    parts=SimpleNamespace(reader=PageReader(), settings=Settings()),
    number=lambda _name: 7,
    render=lambda _template, **context: context,
)


SHOWN: dict[str, Any] = {
    "actions": lambda: list_actions(cast("Any", Rows(ROW)), ActionFilter(), 10),
    "notes": lambda: list_notes(cast("Any", Rows(NOTE)), 10),
    "recalls": lambda: list_recalls(cast("Any", Rows(ORDER)), 10),
    "one recall": lambda: recall_progress(cast("Any", Rows(ORDER)), 7),
    "a letter that was given up": lambda: letters.show_one(VISIT),
    "a command that was refused": lambda: commands.show(VISIT),
}


@pytest.mark.parametrize("place", SHOWN)
async def test_what_was_written_freely_is_masked(place: str) -> None:
    shown = str(await SHOWN[place]())
    assert "asked by" in shown, "the text is there"
    assert CARD not in shown
    assert PHONE not in shown
