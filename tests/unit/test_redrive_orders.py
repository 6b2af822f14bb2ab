"""Redrives and discards as they are ordered: which statements get what, and what is written down with them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ops import redrives
from ops.operators import BECAUSE_LENGTH_MAX
from ops.redrive_preview import LeftOut, Prediction, Preview, PreviewAnswer
from ops.redrives import LetterFilter, Policy, RedriveRequest
from runtime.settings import Settings
from runtime.sql import statement
from schemas.dead_letter import LetterStatus, Reason
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

BOUNDS = Settings().redrive
NAMES = {
    statement("ops", name): name
    for name in (
        "insert_redrive", "note_action", "stop_redrive", "resume_redrive", "find_closed_letters", "choose_letters",
        "discard_letters", "list_letters", "count_letters", "group_letters", "read_redrives",
    )
}  # fmt: skip


class Database:
    """A connection that gives each statement its rows; `done` is what was run within a transaction, and outside."""

    def __init__(self, **rows: Any) -> None:
        self.rows = rows
        self.done: list[tuple[str, tuple[Any, ...], int]] = []
        self.within = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.within += 1
        yield
        self.within -= 1

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        await asyncio.sleep(0)
        self.done.append((NAMES[sql], arguments, self.within))
        return self.rows.get(NAMES[sql], [])

    fetchval = execute = fetch

    def one(self, name: str) -> tuple[Any, ...]:
        """Return the arguments of the one time that a statement was run."""
        [arguments] = [arguments for done, arguments, _ in self.done if done == name]
        return arguments


SEEN = Preview(
    9,
    (
        Prediction(2, PreviewAnswer.APPLY, "applied"),
        Prediction(4, PreviewAnswer.NOOP, "noop"),
        Prediction(5, PreviewAnswer.ILLEGAL, "conflict"),
        Prediction(7, PreviewAnswer.APPLY, "late"),
    ),
    (LeftOut(8, "why", guarded=False),),
)
CHOICE = LetterFilter(Reason.ORPHAN, "stripe")
WHOLE = RedriveRequest(
    CHOICE, " ada ", 7.5, 3, force=True, policy=Policy.KEEP_GOING, target_topic="payments.webhooks",
    origin="admin, 10.0.0.1", because="ticket 7",
)  # fmt: skip


async def test_an_order_is_stored_as_it_was_meant() -> None:
    """The relay reads nothing but this row: what is in another's place here is done there."""
    database = Database(insert_redrive=3)
    assert (await redrives.start(database, Settings(), WHOLE, SEEN)).redrive_id == 3  # type: ignore[arg-type]
    chosen = json.dumps(CHOICE.document())
    assert database.one("insert_redrive") == (
        " ada ", chosen, "payments.webhooks", 7.5, 3, "keep_going", BOUNDS.failure_ratio_max, BOUNDS.failures_min, True,
        9, [2, 4, 5, 7], ["apply", "noop", "illegal", "apply"],
    )  # fmt: skip
    target = f"redrive 3, 4 of 9 dead letters, filter {chosen}"
    assert database.one("note_action") == ("ada", "admin, 10.0.0.1", "redrive.start", target, "ticket 7")
    assert [(name, within) for name, _, within in database.done] == [("insert_redrive", 1), ("note_action", 1)]


async def test_an_order_that_says_no_more_goes_at_the_configured_rate_and_stops_on_failures() -> None:
    database = Database(insert_redrive=3)
    await redrives.start(database, Settings(), RedriveRequest(), SEEN)  # type: ignore[arg-type]
    _, _, target, rate, most, policy, _, _, forced, *_ = database.one("insert_redrive")
    assert (target, rate, most, policy, forced) == (None, BOUNDS.rate_per_second, None, "stop_on_failures", False)


@pytest.mark.parametrize("force", [False, True])
async def test_only_what_would_be_applied_goes_where_no_more_is_asked_for(*, force: bool) -> None:
    database, wanted = Database(insert_redrive=3), RedriveRequest(only_applied=True, force=force)
    begun = await redrives.start(database, Settings(), wanted, SEEN)  # type: ignore[arg-type]
    assert [one.id for one in begun.preview.messages] == [2, 7]
    assert database.one("insert_redrive")[-2:] == ([2, 7], ["apply", "apply"])
    nothing = Preview(1, (Prediction(4, PreviewAnswer.NOOP, "noop"),))
    empty = Database()
    assert (await redrives.start(empty, Settings(), wanted, nothing)).redrive_id is None  # type: ignore[arg-type]
    assert empty.done == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RedriveRequest(rate_per_second=0.0), "the rate must be above 0"),
        (RedriveRequest(rate_per_second=-1.0), "the rate must be above 0"),
        (RedriveRequest(rate_per_second=float("nan")), "the rate must be above 0"),
        (RedriveRequest(rate_per_second=BOUNDS.rate_per_second_max + 1), "at most 20000 a second"),
        (RedriveRequest(messages_max=0), "the most to publish must be 1 at least"),
        (RedriveRequest(target_topic="payments.changes"), "none of the topics that Ratchet reads"),
        (RedriveRequest(target_topic=""), "none of the topics that Ratchet reads"),
        (RedriveRequest(requested_by=" \x00 "), "say who asks"),
    ],
)
async def test_what_can_not_be_meant_is_refused_before_anything_is_read(wanted: RedriveRequest, expected: str) -> None:
    database = Database()
    with pytest.raises(SettingsError, match=expected):
        await redrives.preview(database, Settings(), wanted)  # type: ignore[arg-type]
    assert database.done == []


@pytest.mark.parametrize("name", ["stop", "resume"])
async def test_who_changed_a_redrive_is_written_down_where_something_changed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def progress(*_: object) -> str:
        return "as it stands"

    monkeypatch.setattr(redrives, "progress", progress)
    done = Database(**{f"{name}_redrive": "UPDATE 1"})
    assert await getattr(redrives, name)(done, 3, " ada\x00 ", "admin, 10.0.0.1") == "as it stands"
    assert done.one(f"{name}_redrive") == (3, "ada")
    assert done.one("note_action") == ("ada", "admin, 10.0.0.1", f"redrive.{name}", "redrive 3", "")
    assert {within for *_, within in done.done} == {1}
    nothing = Database(**{f"{name}_redrive": "UPDATE 0"})
    await getattr(redrives, name)(nothing, 3, "ada")
    assert [one for one, *_ in nothing.done] == [f"{name}_redrive"]


async def test_what_is_given_up_is_written_down_with_it() -> None:
    rows = {
        "choose_letters": [{"id": 2, "total": 5}, {"id": 4, "total": 5}],
        "discard_letters": [{"id": 2}, {"id": 4}],
        "find_closed_letters": [{"id": 1, "status": "redriven"}],
    }
    database, filters = Database(**rows), LetterFilter(ids=(1, 2, 4), limit=2)
    gone = await redrives.discard(database, filters, who=" ada ", because=" why ", origin="o")  # type: ignore[arg-type]
    assert (gone.matched, gone.ids, [one.id for one in gone.left_out]) == (5, (2, 4), [1])
    assert database.one("choose_letters") == (*filters.arguments(), 2)
    assert database.one("discard_letters") == ([2, 4], "ada", "why")
    assert database.one("note_action") == ("ada", "o", "dead_letter.discard", "2 dead letters: 2, 4", "why")
    assert {within for *_, within in database.done} == {1}
    assert database.done[-1][0] == "note_action", "the chain of what people do is held for as short as can be"


async def test_nothing_is_written_down_where_nothing_was_given_up() -> None:
    database = Database(choose_letters=[{"id": 2, "total": 1}])
    gone = await redrives.discard(database, LetterFilter(), who="ada", because="why")  # type: ignore[arg-type]
    assert (gone.matched, gone.ids) == (1, ())
    assert "note_action" not in [name for name, *_ in database.done]


@pytest.mark.parametrize("because", ["", " \n ", "x" * (BECAUSE_LENGTH_MAX + 1)])
async def test_nothing_is_given_up_without_a_reason_that_can_be_kept(because: str) -> None:
    database = Database()
    with pytest.raises(SettingsError, match="say why"):
        await redrives.discard(database, LetterFilter(), who="ada", because=because)  # type: ignore[arg-type]
    assert database.done == []


@pytest.mark.parametrize(
    ("ids", "before", "counted", "total", "shown", "older"),
    [
        ([9, 8], None, False, 2, [9, 8], None),
        ([9, 8, 7], None, True, 40, [9, 8], 8),
        ([5], 6, True, 40, [5], None),
        ([], None, False, 0, [], None),
    ],
    ids=["all of them", "the first page", "the last page", "none"],
)
async def test_a_page_says_how_many_fit_and_what_is_older(
    ids: list[int], before: int | None, total: int, shown: list[int], older: int | None, *, counted: bool
) -> None:
    database = Database(list_letters=[{"id": one} for one in ids], count_letters=[{"total": 40}])
    page = await redrives.list_letters(database, CHOICE, 2, before)  # type: ignore[arg-type]
    assert (page.total, [one["id"] for one in page.letters], page.before) == (total, shown, older)
    assert database.one("list_letters") == (*CHOICE.arguments(), 3, before)
    assert ("count_letters" in [name for name, *_ in database.done]) is counted


@pytest.mark.parametrize("status", [None, *LetterStatus])
async def test_groups_are_of_open_letters_unless_others_are_asked_for(status: LetterStatus | None) -> None:
    database = Database()
    await redrives.group_letters(database, LetterFilter(status=status))  # type: ignore[arg-type]
    asked = LetterFilter(status=status or LetterStatus.OPEN)
    assert database.one("group_letters") == (*asked.arguments(), redrives.GROUPS_MAX)
