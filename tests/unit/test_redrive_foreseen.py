"""Which letters a redrive's dry run chooses, plays and leaves out; the dry run itself is one of these tests' own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ops import dry_run, snapshot_reader
from ops.dlq_filters import LetterFilter
from ops.dry_run import Foretold, TrippedError
from ops.redrive_preview import Choice, Preview, PreviewAnswer, foresee, prediction_of
from runtime.settings import RedriveSettings, Settings
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

pytestmark = pytest.mark.unit

DEAD, APPLIED = Foretold("dead", "conflict", "why"), Foretold("applied")
BOUNDS = RedriveSettings(letters_max=50, preview_records_max=3, returns_max=3)


def row(letter_id: int, **columns: Any) -> dict[str, Any]:
    return {"id": letter_id, "topic": "payments.webhooks", "redrive_count": 0, "bytes": 10, "total": 77} | columns


class Snapshot:
    """A connection whose transaction has to read one snapshot; `asked` is how many letters were chosen from it."""

    def __init__(self, rows: Sequence[Any], closed: Sequence[Any] = ()) -> None:
        self.rows, self.closed, self.asked = rows, closed, []  # type: ignore[var-annotated]
        self.transactions: list[dict[str, Any]] = []
        self.within = 0

    @asynccontextmanager
    async def transaction(self, **how: Any) -> AsyncIterator[None]:
        self.transactions.append(how)
        self.within += 1
        yield
        self.within -= 1

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[dict[str, Any]]:
        await asyncio.sleep(0)
        assert self.within, "all is read from one snapshot"
        if sql == statement("ops", "choose_letters"):
            self.asked.append(arguments[-1])
            return self.rows[: arguments[-1]]
        if sql == statement("ops", "find_closed_letters"):
            return [one for one in self.closed if one["id"] in arguments[0]]
        assert sql == statement("ops", "read_letter_records")
        return [{"id": one} for one in arguments[0]]


class Played:
    """A dry run: each letter ends as its test lays down; `parts` are those that were played, run by run."""

    def __init__(self, fates: dict[int, Foretold], trips: Sequence[set[int]] = (), **later: Foretold) -> None:
        self.fates_of, self.trips, self.later = fates, list(trips), later
        self.runs: list[list[list[int]]] = []
        self.tripped: list[set[int]] = []

    def __call__(self, _reader: object, _settings: object, target: str | None, tripped: set[int]) -> Any:
        played, parts = self, list[list[int]]()
        self.runs.append(parts)
        self.tripped.append(set(tripped))
        self.target = target

        class Run:
            fates: dict[int, Foretold] = {}  # noqa: RUF012 - one a run

            async def play(self, found: Sequence[dict[str, Any]], letter_ids: Sequence[int]) -> None:
                await asyncio.sleep(0)
                assert [one["id"] for one in found] == list(letter_ids)
                parts.append(list(letter_ids))
                if played.trips and len(parts) == 2:
                    raise TrippedError(played.trips.pop(0))
                self.fates |= {one: played.fates_of.get(one, APPLIED) for one in letter_ids}
                self.fates |= {int(name[1:]): fate for name, fate in played.later.items() if len(parts) > 1}

        return Run()


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Preview]:
    def look(snapshot: Snapshot, played: Played, **choice: Any) -> Preview:
        monkeypatch.setattr(dry_run, "DryRun", played)
        monkeypatch.setattr(snapshot_reader, "SnapshotReader", lambda *_: None)
        wanted = Choice(**{"filters": LetterFilter()} | choice)
        return asyncio.run(foresee(snapshot, Settings(redrive=BOUNDS), wanted))  # type: ignore[arg-type]

    return look


@pytest.mark.parametrize(
    ("fate", "would"),
    [
        ("applied", "apply"),
        ("late", "apply"),
        ("conflict", "apply"),
        ("noop", "noop"),
        ("duplicate", "noop"),
        ("parked", "orphan"),
        ("dead", "illegal"),
    ],
)
def test_what_says_something_new_in_the_ledger_is_worth_a_redrive(fate: str, would: str) -> None:
    """A console sends nothing but what would be applied: a conflict taken for illegal would never be resolved by it."""
    assert prediction_of(1, Foretold(fate)).would == would


@pytest.mark.parametrize(("limit", "asked"), [(None, 50), (7, 7), (51, 50), (9_000_000, 50)])
def test_no_more_letters_are_chosen_than_the_bound(limit: int | None, asked: int, look: Any) -> None:
    snapshot = Snapshot([row(1)])
    look(snapshot, Played({}), filters=LetterFilter(limit=limit))
    assert snapshot.asked == [asked]


def test_all_is_read_from_one_snapshot_that_nothing_is_written_to(look: Any) -> None:
    snapshot = Snapshot([row(1)])
    look(snapshot, Played({}))
    assert snapshot.transactions == [{"isolation": "repeatable_read", "readonly": True}]


def test_how_many_fit_is_counted_beyond_those_that_were_chosen(look: Any) -> None:
    assert look(Snapshot([row(one) for one in range(9)]), Played({}), filters=LetterFilter(limit=2)).matched == 77
    assert look(Snapshot([]), Played({})) == Preview(0, ())


def test_letters_are_played_in_parts_of_a_bound(look: Any) -> None:
    played = Played({})
    seen = look(Snapshot([row(one) for one in range(8)]), played, target_topic="payments.webhooks")
    assert played.runs == [[[0, 1, 2], [3, 4, 5], [6, 7]]]
    assert [one.id for one in seen.messages] == [*range(8)]
    assert played.target == "payments.webhooks"


def test_as_many_go_as_were_asked_for_whatever_was_left_out_on_the_way(look: Any) -> None:
    """Those that are left out take nobody's place, and none goes beyond the bound."""
    rows = [
        row(0, topic="elsewhere"), row(1, redrive_count=3), row(2, redrive_count=1), row(3), row(4, redrive_count=1),
        row(5), row(6), row(7),
    ]  # fmt: skip
    played = Played({2: DEAD, 4: DEAD})
    seen = look(Snapshot(rows), played, messages_max=3)
    assert [one.id for one in seen.messages] == [3, 5, 6]
    assert [one.id for one in seen.left_out] == [0, 1, 2, 4]
    assert played.runs == [[[2, 3, 4], [5, 6]]]
    assert [one.guarded for one in seen.left_out] == [False, True, True, True]


def test_what_is_reported_is_where_a_letter_is_when_all_are_through(look: Any) -> None:
    """An orphan whose payment a later part brings would be applied."""
    seen = look(Snapshot([row(one) for one in range(4)]), Played({0: Foretold("parked")}, _0=APPLIED))
    assert [one.would for one in seen.messages] == [PreviewAnswer.APPLY] * 4


def test_letters_asked_for_by_id_that_may_not_go_are_named(look: Any) -> None:
    closed = [{"id": 8, "status": "discarded"}, {"id": 9, "status": None}]
    rows = [row(1, topic="elsewhere"), row(2)]
    seen = look(Snapshot(rows, closed), Played({}), filters=LetterFilter(ids=(1, 2, 8, 9)))
    assert [one.id for one in seen.messages] == [2]
    named = {one.id: one.why for one in seen.left_out}
    assert list(named) == [8, 9, 1]
    assert (named[8], named[9]) == ("it was discarded", "there is no such dead letter")


def test_a_letter_that_trips_the_fold_stays_out_of_each_further_run(look: Any) -> None:
    played = Played({}, trips=[{4}, {3}])
    look(Snapshot([row(one) for one in range(5)]), played)
    assert played.tripped == [set(), {4}, {3, 4}]
