"""Word of processes that were ended on purpose."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from consumer.marks import Marks, QuarantineRule
from runtime import ends
from runtime.ends import PurposefulEnds

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
