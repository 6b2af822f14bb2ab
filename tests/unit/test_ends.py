"""Word of processes that were ended on purpose."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from runtime import ends
from runtime.ends import PurposefulEnds

if TYPE_CHECKING:
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
