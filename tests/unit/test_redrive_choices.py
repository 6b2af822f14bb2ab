from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import typer

from ops import redrive_commands
from ops.dlq_filters import LetterFilter, moment
from ops.dlq_options import asker, need_consent
from ops.documents import redrive_document
from ops.dry_run import Foretold
from ops.redrive_commands import ended_shown, preview_shown
from ops.redrive_follow import ProgressWatch, StandstillError
from ops.redrive_preview import (
    Choice,
    LeftOut,
    Prediction,
    Preview,
    PreviewAnswer,
    comes_back_again,
    held_back,
    parts,
    prediction_of,
)
from ops.redrives import Policy, RedriveProgress, RedriveStatus
from runtime.settings import RedriveSettings, Settings
from schemas.dead_letter import LetterStatus, Reason
from schemas.errors import SettingsError, UnavailableError
from schemas.payment import Outcome

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
END = NOW + dt.timedelta(days=1)
BOUNDS = RedriveSettings(returns_max=3)


def row(**columns: Any) -> dict[str, Any]:
    return {"id": 1, "topic": "payments.webhooks", "redrive_count": 0, "bytes": 10} | columns


def test_filter_is_kept_as_it_was_meant():
    full = LetterFilter(
        Reason.ORPHAN, "stripe", "pi_1", NOW, END, (1, 2), LetterStatus.OPEN, 5, "no json", "charge.updated"
    )
    for one in (full, LetterFilter()):
        assert LetterFilter.of_document(one.document()) == one
    assert LetterFilter().document() == {}
    assert full.arguments() == ("orphan", "stripe", "pi_1", NOW, END, [1, 2], "open", "no json", "charge.updated")
    assert LetterFilter(ids=()).arguments()[5] == [], "none of them is not any of them"
    for bad in ({"reason": "x"}, {"ids": 3}, {"since": "yesterday"}):
        with pytest.raises(SettingsError):
            LetterFilter.of_document(bad)


def test_moment_without_a_zone_is_utc():
    assert moment("2026-01-02", "--since") == NOW


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "yesterday", ""])
def test_a_time_that_no_calendar_has_in_utc_is_none(text: str):
    with pytest.raises(SettingsError, match="is no ISO 8601 time"):
        moment(text, "--since")


@pytest.mark.parametrize(
    ("columns", "choice", "guarded"),
    [
        ({}, {}, None),
        ({"redrive_count": 2}, {}, None),
        ({"redrive_count": 3}, {}, True),
        ({"redrive_count": 3}, {"force": True}, None),
        ({"topic": "elsewhere"}, {"force": True}, False),
        ({"topic": "elsewhere"}, {"target_topic": "payments.intents"}, None),
    ],
)
def test_guard(columns: dict[str, Any], choice: dict[str, Any], *, guarded: bool | None):
    found = held_back(row(**columns), Choice(LetterFilter(), **choice), BOUNDS)
    assert (found and found.guarded) is guarded


@pytest.mark.parametrize(
    ("count", "would", "force", "left_out"),
    [
        (0, PreviewAnswer.ILLEGAL, False, False),
        (1, PreviewAnswer.ILLEGAL, False, True),
        (1, PreviewAnswer.ILLEGAL, True, False),
        (1, PreviewAnswer.APPLY, False, False),
        (1, PreviewAnswer.ORPHAN, False, False),
    ],
)
def test_letter_that_would_come_back_again_is_left_out(
    count: int, would: PreviewAnswer, *, force: bool, left_out: bool
):
    found = comes_back_again(row(redrive_count=count), would, Choice(LetterFilter(), force=force))
    assert (found is not None) is left_out


def test_parts_are_bounded_in_records_and_bytes():
    rows = [row(id=number, bytes=size) for number, size in enumerate((5, 5, 5, 99, 1, 1, 1))]
    cut = [[one["id"] for one in part] for part in parts(rows, 3, 10)]
    assert cut == [[0, 1], [2], [3], [4, 5, 6]]
    assert [len(part) for part in parts(rows, 2, 1000)] == [2, 2, 2, 1]
    assert list(parts([], 3, 10)) == []


def test_every_end_of_a_letter_means_something():
    for outcome in (*Outcome, "duplicate", "parked", "dead"):
        assert isinstance(prediction_of(1, Foretold(outcome)).would, PreviewAnswer)
    assert prediction_of(1, Foretold("dead", "conflict", "why")) == Prediction(
        1, PreviewAnswer.ILLEGAL, "conflict", "why"
    )
    assert prediction_of(1, Foretold("parked", "orphan", "why")).outcome == "parked"


def progress(**changed: Any) -> RedriveProgress:
    figures = {"matched": 3, "selected": 2, "published": 1, "skipped": 1, "failed": 0, "returned": 1}
    times = {"created_at": NOW, "started_at": NOW, "updated_at": NOW, "ended_at": NOW}
    reported = {
        "id": 9, "status": RedriveStatus.STOPPED, "requested_by": "alice", "filter": {}, "rate_per_second": 5.0,
        "policy": Policy.STOP_ON_FAILURES, "forced": False, "stopping": False, "stop_reason": "stopped by bob",
    }  # fmt: skip
    return RedriveProgress(**figures | times | reported | changed)


def test_document_of_a_dry_run_and_of_a_redrive():
    seen = Preview(
        3, (Prediction(1, PreviewAnswer.APPLY, "applied"), Prediction(2, PreviewAnswer.ILLEGAL, "conflict", "why"))
    )
    dry = redrive_document(seen, None)
    assert (dry["redrive_id"], dry["matched"], dry["published"]) == (None, 3, 0)
    assert [(one["id"], one["would"]) for one in dry["messages"]] == [(1, "apply"), (2, "illegal")]
    assert dry["would"] == {"apply": 1, "noop": 0, "illegal": 1, "orphan": 0}
    done = redrive_document(seen, progress())
    assert (done["redrive_id"], done["published"], done["status"], done["skipped"]) == (9, 1, "stopped", 1)
    assert (done["selected"], done["returned"], done["failed"]) == (2, 1, 0)
    assert redrive_document(seen, progress(started_at=None, ended_at=None))["ended_at"] is None


def test_what_people_read():
    assert ended_shown(progress()) == (
        "redrive 9 stopped: 1 of 2 published, 1 skipped, 1 came back by now; stopped by bob"
    )
    assert ended_shown(progress(status=RedriveStatus.DONE, skipped=0, returned=0)) == "redrive 9 done: 1 of 2 published"
    many = tuple(Prediction(number, PreviewAnswer.APPLY, "applied") for number in range(60))
    assert preview_shown(Preview(60, many, (LeftOut(99, "why", guarded=True),)))
    assert not progress(ended_at=None).ended


def test_consent(monkeypatch: pytest.MonkeyPatch):
    need_consent(yes=True, as_json=True)
    with pytest.raises(SettingsError, match="--yes"):
        need_consent(yes=False, as_json=True)
    with pytest.raises(SettingsError, match="--yes"):
        need_consent(yes=False, as_json=False)
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    need_consent(yes=False, as_json=False)


def test_asker(monkeypatch: pytest.MonkeyPatch):
    assert asker("alice") == "alice"
    assert "@" in asker(None)

    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert asker(None).startswith("somebody@")


def test_interruption_leaves_the_redrive_running(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    async def interrupted(*_: Any) -> RedriveProgress:
        raise KeyboardInterrupt

    monkeypatch.setattr("ops.redrive_commands.follow", interrupted)
    with pytest.raises(typer.Exit) as ended:
        redrive_commands._followed(Settings(), 9)
    assert ended.value.exit_code == 130
    assert "`ratchet dlq redrive --resume 9`" in capsys.readouterr().err


def test_standstill_is_noticed_and_movement_is_not_one(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr("ops.redrive_follow.time.monotonic", lambda: now[0])
    watch = ProgressWatch(30.0)
    for published in range(5):
        now[0] += 29.0
        watch.look(progress(published=published))
    now[0] += 29.0
    watch.miss(UnavailableError("a moment"))
    now[0] += 2.0
    with pytest.raises(StandstillError, match="is a relay at work"):
        watch.look(progress(published=4))
    now[0] += 31.0
    with pytest.raises(UnavailableError, match="gone"):
        watch.miss(UnavailableError("gone"))
    slow = ProgressWatch(30.0)
    slow.look(progress(rate_per_second=0.01))
    now[0] += 299.0
    slow.look(progress(rate_per_second=0.01))
