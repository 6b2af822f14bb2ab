"""What the pictures show: curves, bars and a payment's timeline."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from ops.console import timeline
from ops.console.backlog import ENDS_KEPT, BacklogReader, EndsSeen
from ops.console.sparkline import BAR_WIDTH, HEIGHT, MARGIN, WIDTH, bar, curve
from ops.console.timeline import LEFT, draw, place
from ops.console.words import age, number, plural, precise, short, until, utc
from runtime.settings import KafkaSettings, Settings

pytestmark = pytest.mark.unit

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


def row(number: int, seconds: float, facts: list[list[Any]], **more: Any) -> dict[str, Any]:
    base = {
        "id": number,
        "event_type": f"kind.{number}",
        "outcome": "applied",
        "from_status": None,
        "to_status": "created",
    }
    moment = NOON + dt.timedelta(seconds=seconds)
    reported = [[kind, key, state] for kind, key, *state in facts]
    return base | {"facts": json.dumps(reported), "recorded_at": moment, "occurred_at": None} | more


CREATED = row(1, 0, [["terms", "pay_1", "asked", 1250]])
TAKEN = row(
    2, 1, [["terms", "pay_1", "asked", 1250], ["capture", "c1", "succeeded", 1250]], to_status="captured",
    from_status="created",
)  # fmt: skip
RETURNED = row(3, 3600, [["refund", "r1", "pending", 250]], to_status="captured", from_status="captured")
LATE = row(4, 3600, [["terms", "pay_1", "asked", 1250]], to_status="captured", outcome="late")


def test_a_timeline_has_one_track_a_child() -> None:
    picture = draw([CREATED, TAKEN, RETURNED, LATE], "EUR")
    assert [(track.name, track.ref, len(track.marks)) for track in picture.tracks] == [
        ("Payment", "", 3),
        ("Capture", "c1", 1),
        ("Refund", "r1", 1),
    ]
    assert [mark.news for mark in picture.tracks[0].marks] == [True, False, False]
    assert [mark.row_id for mark in picture.tracks[0].marks] == [1, 2, 4]
    assert picture.tracks[1].marks[0].label == "succeeded 12.50 EUR"
    assert picture.tracks[2].marks[0].title == "kind.3: pending 2.50 EUR (applied)"
    assert picture.tracks[0].marks[2].outcome == "late"
    assert picture.tracks[0].y < picture.tracks[1].y < picture.tracks[2].y < picture.height


def test_the_ribbon_shows_each_status_from_the_event_that_brought_it() -> None:
    picture = draw([CREATED, TAKEN, RETURNED, LATE], "EUR")
    assert [(one.status, one.label) for one in picture.stretches] == [("created", "created"), ("captured", "captured")]
    first, second = picture.stretches
    assert first.x + first.width == pytest.approx(second.x)


def test_a_longer_pause_takes_more_room_and_no_pause_the_least() -> None:
    moments = [NOON + dt.timedelta(seconds=seconds) for seconds in (0, 0, 0.01, 10, 86_400)]
    columns = place(moments)
    steps = [after - before for before, after in pairwise(columns)]
    assert columns[0] > LEFT
    assert steps == sorted(steps)
    assert steps[0] > 0


def test_a_clock_that_went_back_is_no_pause() -> None:
    assert place([NOON, NOON - dt.timedelta(seconds=9)])[1] > LEFT


def test_ticks_say_the_time_and_then_how_long_after() -> None:
    labels = [tick.label for tick in draw([CREATED, TAKEN, RETURNED, LATE], "EUR").ticks]
    assert labels == ["12:00:00.000", "+1.0 s", "+1 h"]


def test_one_row_and_none() -> None:
    assert len(draw([CREATED], None).ticks) == 1
    assert draw([], None).tracks == ()


def test_rows_that_name_no_status_have_no_ribbon() -> None:
    assert draw([row(1, 0, [], to_status=None)], None).stretches == ()


def test_a_long_timeline_shows_its_end_and_knows_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "ROWS_MAX", 2)
    picture = draw([CREATED, TAKEN, RETURNED, LATE], "EUR")
    assert picture.left_out == 2
    assert [track.name for track in picture.tracks] == ["Payment", "Refund"]
    assert picture.tracks[0].marks[0].news is False


def test_tracks_are_bounded() -> None:
    rows = [row(number, number, [["refund", f"r{number:03}", "pending", 1]]) for number in range(60)]
    assert len(draw(rows, "EUR").tracks) == timeline.TRACKS_MAX


def test_a_label_without_room_is_shortened_or_left_out() -> None:
    rows = [
        row(index, 0, [["refund", "r", state, 250]]) for index, state in enumerate(("pending", "succeeded", "failed"))
    ]
    many = [row(9 + index, 0, [["mode", f"k{index}", "manual", None]]) for index in range(60)]
    labels = [mark.label for mark in draw(rows + many, "EUR").tracks[-1].marks]
    assert labels == ["", "", "failed 2.50 EUR"]


def test_a_curve_ends_at_the_right_and_rises_to_the_top() -> None:
    drawn = curve([(300, 0.0), (150, 5.0), (0, 10.0)], 300)
    assert drawn.runs == (f"{MARGIN},{HEIGHT - MARGIN} {WIDTH // 2},{HEIGHT // 2} {WIDTH - MARGIN},{MARGIN}",)
    assert drawn.highest == 10
    assert drawn.end == (WIDTH - MARGIN, MARGIN)


def test_a_curve_has_holes_where_nothing_was_known() -> None:
    drawn = curve([(3, 1.0), (2, None), (1, 1.0), (0, None)], 300)
    assert len(drawn.runs) == len(drawn.areas) == 2
    assert drawn.end is None
    assert curve([], 300).runs == ()
    assert curve([(0, 0.0)], 300).highest == 0


def test_a_bar_is_divided_by_counts_and_shows_the_smallest() -> None:
    shares = bar([("a", 9_999), ("b", 0), ("c", 1)])
    assert [share.name for share in shares] == ["a", "c"]
    assert shares[1].width > 5
    assert sum(share.width for share in shares) == pytest.approx(BAR_WIDTH)
    assert bar([("a", 0)]) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "unknown"), (0, "0.0 s"), (-1, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"),
     (3600, "1 h"), (7320, "2 h 2 min"), (86_400, "1 d"), (200_000, "2 d 7 h")],
)  # fmt: skip
def test_ages(seconds: float | None, words: str) -> None:
    assert age(seconds) == words


def test_other_words() -> None:
    assert number(None) == "–"  # noqa: RUF001
    assert [number(value) for value in (0, 0.0, 0.25, 99.96, 1234.5, 12_345)] == [
        "0",
        "0",
        "0.2",
        "100.0",
        "1,234",
        "12,345",
    ]
    assert short("x" * 30) == "x" * 12 + "…" + "x" * 6
    assert (short(None), short("pi_1")) == ("", "pi_1")
    assert [plural(count, "reply", "replies") for count in (1, 2)] == ["1 reply", "2 replies"]
    assert plural(1000, "row") == "1,000 rows"
    assert until(NOON + dt.timedelta(hours=2), NOON) == "in 2 h"
    assert until(NOON, NOON + dt.timedelta(minutes=3)) == "3 min ago"
    assert utc(None) == ""
    assert precise(NOON.replace(microsecond=12_000)) == "2026-11-23 12:00:00.012"


class TestEnds:
    def test_a_record_came_when_the_end_first_passed_it(self) -> None:
        ends = EndsSeen()
        for at, end in ((10.0, 5), (12.0, 5), (14.0, 9)):
            ends.note(at, end)
        assert [ends.came(offset) for offset in (4, 5, 8, 9)] == [None, 14.0, 14.0, None]

    def test_nothing_is_known_before_the_first_look(self) -> None:
        assert EndsSeen().came(0) is None

    def test_a_topic_made_anew_begins_anew(self) -> None:
        ends = EndsSeen()
        ends.note(1.0, 100)
        ends.note(2.0, 3)
        assert ends.looks == [(2.0, 3)]

    def test_the_memory_is_bounded(self) -> None:
        ends = EndsSeen()
        for look in range(ENDS_KEPT + 10):
            ends.note(float(look), look)
        assert len(ends.looks) == ENDS_KEPT


class _Records:
    """A consumer whose every record is of one moment; counts what is fetched."""

    def __init__(self) -> None:
        self.fetched: list[tuple[Any, int]] = []
        self.offset = 0

    def assign(self, _: Any) -> None:
        pass

    def seek(self, _: Any, offset: int) -> None:
        self.offset = offset

    async def getone(self, place: Any) -> Any:
        self.fetched.append((place, self.offset))
        return SimpleNamespace(timestamp=5_000)


async def test_a_record_older_than_the_watch_is_read_once_and_a_newer_one_never() -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap="kafka.test:9092"))
    reader, records, place_ = BacklogReader(settings), _Records(), TopicPartition("payments.webhooks", 0)
    reader._ends[place_] = EndsSeen([(100.0, 10), (102.0, 20)])
    consumer: Any = records
    assert await reader._came(consumer, place_, 15) == 102.0
    assert records.fetched == []
    assert [await reader._came(consumer, place_, 3) for _ in range(3)] == [5.0, 5.0, 5.0]
    assert records.fetched == [(place_, 3)]
    assert await reader._came(consumer, place_, 4) == 5.0
    assert len(records.fetched) == 2
