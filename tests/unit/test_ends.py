"""Word of processes that were ended on purpose."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from consumer.marks import Mark, Marks, QuarantineRule
from runtime import ends
from runtime.ends import PurposefulEnds
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_what_is_noted_is_read_until_it_is_forgotten(tmp_path: Path) -> None:
    word, first, second = PurposefulEnds(tmp_path, "consumer"), uuid.uuid4(), uuid.uuid4()
    assert word.read() == []
    word.note(first)
    word.note(second)
    assert word.read() == [first, second]
    assert PurposefulEnds(tmp_path, "relay").read() == []
    word.forget([first, uuid.uuid4()])
    assert word.read() == [second]


def test_a_disk_that_is_full_leaves_what_was_noted_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word, first = PurposefulEnds(tmp_path, "consumer"), uuid.uuid4()
    word.note(first)
    write = type(tmp_path).write_text

    def half(path: Path, text: str, **options: Any) -> int:
        write(path, text[:5], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_text", half)
    word.note(uuid.uuid4())
    monkeypatch.undo()
    assert word.read() == [first]


def test_rubbish_in_the_file_is_left_out(tmp_path: Path) -> None:
    word, token = PurposefulEnds(tmp_path, "consumer"), uuid.uuid4()
    word.note(token)
    path = tmp_path / "run" / "consumer.ended"
    path.write_bytes(b"\xff\xfe no token\n" + path.read_bytes())
    assert word.read() == [token]


class FailingCommits:
    """A connection and its pool whose transactions come to their end and are not committed."""

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[FailingCommits]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield
        raise asyncpg.AdminShutdownError("the server goes")

    async def execute(self, _sql: str, *_: Any) -> str:
        return ""

    async def fetchrow(self, _sql: str, *_: Any) -> None:
        return None


# --- the rule ---------------------------------------------------------------------------------------------------------

OLD, ME = uuid.uuid4(), uuid.uuid4()
RULE = QuarantineRule(unclean_ends_max=2, window_records=50)


@pytest.mark.parametrize(
    ("before", "offset", "after"),
    [
        (None, 100, Mark(ME, 100)),
        (Mark(OLD, 100), 100, Mark(ME, 100, 1)),
        (Mark(OLD, 100, 1), 100, Mark(ME, 100, 2, 150)),
        (Mark(OLD, 100, 1), 101, Mark(ME, 101)),
        (Mark(None, 100, 1), 100, Mark(ME, 100, 1)),
        (Mark(ME, 100, 1), 100, Mark(ME, 100, 1)),
        (Mark(OLD, 100, 1), 99, Mark(ME, 99)),
        (Mark(OLD, 100, 9, 150), 99, Mark(ME, 99)),
        (Mark(OLD, 100, 2, 150), 120, Mark(ME, 120, 0, 150)),
        (Mark(OLD, 120, 0, 150), 120, Mark(ME, 120, 1, 150)),
        (Mark(OLD, 120, 1, 150), 120, Mark(ME, 120, 2, 170)),
        (Mark(OLD, 100, 2, 150), 149, Mark(ME, 149, 0, 150)),
        (Mark(OLD, 100, 2, 150), 150, Mark(ME, 150)),
    ],
    ids=[
        *("new", "one end", "two ends", "progress", "let go", "by itself", "read again", "hunted and read again"),
        *("hunt with progress", "hunt ends here", "hunt goes on", "last of the hunt", "behind the hunt"),
    ],
)
def test_what_is_noted_where_a_partition_is_taken_up(before: Mark | None, offset: int, after: Mark) -> None:
    assert RULE.take_up(before, ME, offset) == after


@pytest.mark.parametrize(
    ("before", "offset", "suspect"),
    [
        (None, 100, None),
        (Mark(OLD, 100, 2, 150, 120), 100, 120),
        (Mark(OLD, 100, 2, 150, 120), 120, 120),
        (Mark(OLD, 100, 2, 150, 120), 121, None),
        (Mark(OLD, 100, 2, 150, 120), 99, None),
        (Mark(OLD, 100, 2, 150), 100, None),
        (Mark(None, 100, 2, 150, 120), 100, None),
        (Mark(ME, 100, 2, 150, 120), 100, None),
    ],
    ids=["new", "in hand", "in hand, next", "survived", "read again", "none in hand", "let go", "by itself"],
)
def test_who_is_suspected_is_what_a_process_that_is_gone_had_in_hand_alone(
    before: Mark | None, offset: int, suspect: int | None
) -> None:
    """A topic that was made anew has other records at these offsets: of before its mark nobody is suspected."""
    assert RULE.suspect(before, ME, offset) == suspect


# --- the order of its notes -------------------------------------------------------------------------------------------


class Notes:
    """A connection and its pool that keep which statements came, in order, with what; one mark is noted."""

    def __init__(self, mark: Mark | None = None) -> None:
        self.mark = mark
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Notes]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.asked.append(("begin", ()))
        yield
        self.asked.append(("commit", ()))

    def _note(self, sql: str, arguments: tuple[Any, ...]) -> None:
        names = (one for one in STATEMENTS if statement("consumer", one) == sql)
        self.asked.append((next(names), arguments))

    async def execute(self, sql: str, *arguments: Any) -> str:
        await asyncio.sleep(0)
        self._note(sql, arguments)
        return ""

    async def fetchrow(self, sql: str, *arguments: Any) -> dict[str, Any] | None:
        await asyncio.sleep(0)
        self._note(sql, arguments)
        return None if self.mark is None else asdict(self.mark)


STATEMENTS = (
    *("excuse_ends", "excuse_owners", "read_mark", "forget_ends", "note_end", "write_mark", "drop_marks", "let_go"),
)
PLACE = ("payments.webhooks", 0)


def marks_on(notes: Notes, home: Path) -> Marks:
    return Marks(notes, ME, RULE, PurposefulEnds(home, "consumer"))  # type: ignore[arg-type]


async def test_a_start_excuses_before_it_reads_and_blames_the_one_who_is_gone(tmp_path: Path) -> None:
    """All in one transaction: a note that is read before would blame a record for an end on purpose."""
    notes, ended = Notes(Mark(OLD, 100, 1, None, 120)), uuid.uuid4()
    PurposefulEnds(tmp_path, "consumer").note(ended)
    assert await marks_on(notes, tmp_path).start(PLACE, 100) == 150
    assert notes.asked == [
        ("begin", ()),
        ("excuse_ends", ([ME, ended],)),
        ("excuse_owners", ([ME, ended],)),
        ("read_mark", PLACE),
        ("forget_ends", (*PLACE, 100, False)),
        ("note_end", (*PLACE, 120, OLD)),
        ("write_mark", (*PLACE, ME, 100, 2, 150)),
        ("commit", ()),
    ]


@pytest.mark.parametrize(("offset", "anew"), [(99, True), (100, False), (101, False)])
async def test_ends_of_before_are_forgotten_where_the_partition_is_read_from_further_back(
    tmp_path: Path,
    offset: int,
    anew: bool,  # noqa: FBT001
) -> None:
    """Offsets of a topic that was made anew are other records."""
    notes = Notes(Mark(OLD, 100))
    await marks_on(notes, tmp_path).start(PLACE, offset)
    assert ("forget_ends", (*PLACE, offset, anew)) in notes.asked


@pytest.mark.parametrize("clean", [True, False])
async def test_who_lets_go_excuses_itself_first(tmp_path: Path, clean: bool) -> None:  # noqa: FBT001
    """What was given up unfinished stays noted as its own: the next start counts it as an unclean end."""
    notes = Notes()
    await marks_on(notes, tmp_path).let_go(clean=clean)
    dropped = [("drop_marks", (ME,))] if clean else []
    assert notes.asked == [
        ("begin", ()),
        ("excuse_ends", ([ME],)),
        ("excuse_owners", ([ME],)),
        *dropped,
        ("let_go", (ME, clean)),
        ("commit", ()),
    ]


# --- the word ---------------------------------------------------------------------------------------------------------


async def test_the_word_is_kept_until_the_database_has_it(tmp_path: Path) -> None:
    """Who tries again must know it still: without it the end counts as a record's doing."""
    word, ended = PurposefulEnds(tmp_path, "consumer"), uuid.uuid4()
    word.note(ended)
    marks = Marks(FailingCommits(), uuid.uuid4(), QuarantineRule(2, 8000), word)  # type: ignore[arg-type]
    with pytest.raises(asyncpg.AdminShutdownError):
        await marks.start(("payments.webhooks", 0), 100)
    assert word.read() == [ended]


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "TOKENS_MAX", 3)
    word, tokens = PurposefulEnds(tmp_path, "consumer"), [uuid.uuid4() for _ in range(5)]
    for token in tokens:
        word.note(token)
    assert word.read() == tokens[2:]


def test_a_disk_that_refuses_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    word = PurposefulEnds(tmp_path, "consumer")
    word.note(uuid.uuid4())
    assert word.read() == []
