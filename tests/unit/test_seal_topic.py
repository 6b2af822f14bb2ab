"""Seals in a topic: kept for ever, in parts in one order, and the newest whole one is what is read back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ops import seal_topic
from ops.seal_topic import PARTITION, _Gathering, _read_all, publish_seal, seals
from runtime.settings import RedriveSettings, Settings
from schemas.errors import UnavailableError
from schemas.topics import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def part(key: bytes | None, number: Any, count: Any, value: bytes | None = b"x") -> Any:
    headers = [("ratchet-seal-part", b"%d" % number), ("ratchet-seal-parts", b"%d" % count)]
    return SimpleNamespace(key=key, value=value, headers=headers)


def gathered(folder: Path, *records: Any) -> bytes | None:
    gathering = _Gathering(folder)
    for record in records:
        gathering.take(record)
    return None if gathering.newest is None else gathering.newest.read_bytes()


def test_the_topic_keeps_seals_for_ever() -> None:
    """A seal is needed when somebody asks about rows of years ago."""
    made = seals("payments.seals")
    assert (made.name, made.retention_ms, made.record_bytes_max, made.compacted) == (
        "payments.seals", -1, RECORD_BYTES_MAX, False,
    )  # fmt: skip


def test_the_newest_whole_seal_counts_whatever_stands_between_its_parts(tmp_path: Path) -> None:
    old = [part(b"old", number, 2, b"o%d" % number) for number in range(2)]
    new = [part(b"new", number, 3, b"n%d" % number) for number in range(3)]
    assert gathered(tmp_path) is None
    assert gathered(tmp_path, *old) == b"o0o1"
    assert gathered(tmp_path, *old, *new) == b"n0n1n2"
    assert gathered(tmp_path, *new, *old) == b"o0o1"
    assert gathered(tmp_path, new[0], old[0], new[1], old[1], new[2]) == b"n0n1n2"
    assert gathered(tmp_path, *old, *new[:2]) == b"o0o1", "a publisher that was ended"
    assert gathered(tmp_path, *old, new[0], new[2]) == b"o0o1", "a part is missing"
    assert gathered(tmp_path, *old, new[0], new[0], new[1], new[1], new[2]) == b"n0n1n2", "sent twice by its producer"


def test_a_seal_that_is_published_anew_under_its_key_begins_anew(tmp_path: Path) -> None:
    first = [part(b"k", number, 2, b"1%d" % number) for number in range(2)]
    again = [part(b"k", number, 2, b"2%d" % number) for number in range(2)]
    assert gathered(tmp_path, *first, *again) == b"2021"


@pytest.mark.parametrize(
    "other",
    [
        part(b"k", 1, 2),
        part(b"k", 0, 2, None),
        part(b"k", 0, 2, b""),
        SimpleNamespace(key=b"k", value=b"x", headers=[]),
    ],
    ids=["no first part", "nothing", "empty", "no part"],
)
def test_what_is_no_part_is_no_seal(tmp_path: Path, other: Any) -> None:
    assert gathered(tmp_path, other, part(b"k", 1, 2)) is None


async def test_parts_go_to_one_partition_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    under_way = 0

    class PaperProducer:
        async def send_and_wait(self, topic: str, value: bytes, **how: Any) -> None:
            nonlocal under_way
            under_way += 1
            await asyncio.sleep(0)
            assert under_way == 1
            under_way -= 1
            sent.append((topic, value, how["key"], how["partition"], how["headers"]))

    async def opened(*_: Any, **__: Any) -> PaperProducer:
        return PaperProducer()

    async def nothing(*_: Any) -> None: ...

    made: list[Any] = []

    async def ensure(_settings: Any, topics: Any) -> None:
        made.extend(topics)

    for name, double in (("ensure_topics", ensure), ("open_producer", opened), ("close_producer", nothing)):
        monkeypatch.setattr(seal_topic, name, double)
    monkeypatch.setattr(seal_topic, "PART_BYTES", 4)
    (tmp_path / "a.seal").write_bytes(b"123456789")
    assert await publish_seal(Settings(), "seals", tmp_path / "a.seal") == 3
    assert made == [seals("seals")]
    assert [one[1] for one in sent] == [b"1234", b"5678", b"9"]
    assert {(one[0], one[3]) for one in sent} == {("seals", PARTITION)}
    assert len({one[2] for one in sent}) == 1
    records = [SimpleNamespace(key=key, value=value, headers=headers) for _, value, key, _, headers in sent]
    assert gathered(tmp_path, *records) == b"123456789"


class PaperConsumer:
    """A partition of which polls give nothing now and then; `stuck` gives nothing for ever."""

    def __init__(self, *values: bytes | None, stuck: bool = False) -> None:
        self._values = values
        self._at = 0
        self._polls = 0
        self._stuck = stuck

    async def topics(self) -> set[str]:
        return {"seals"}

    def assign(self, places: Any) -> None:
        assert [one.partition for one in places] == [PARTITION]

    async def seek_to_beginning(self, _place: Any) -> None:
        self._at = 0

    async def end_offsets(self, places: Any) -> Any:
        return dict.fromkeys(places, len(self._values))

    async def position(self, _place: Any) -> int:
        await asyncio.sleep(0)
        while not self._stuck and self._at < len(self._values) and self._values[self._at] is None:
            self._at += 1  # a transaction's marker: a place without a record
        return self._at

    async def getmany(self, **_: Any) -> Any:
        await asyncio.sleep(0)
        self._polls += 1
        if self._stuck or self._polls % 3 or self._at >= len(self._values):
            return {}
        self._at += 1
        return {"place": [part(b"k", self._at - 1, len(self._values), self._values[self._at - 1])]}


async def test_a_poll_without_records_is_not_the_end(tmp_path: Path) -> None:
    gathering = _Gathering(tmp_path)
    async with asyncio.timeout(5):
        await _read_all(Settings(), PaperConsumer(b"1", b"2", b"3"), "seals", gathering)  # type: ignore[arg-type]
    assert gathering.newest is not None
    assert gathering.newest.read_bytes() == b"123"


async def test_a_topic_that_goes_silent_before_its_end_is_an_outage_and_no_older_seal(tmp_path: Path) -> None:
    redrive = RedriveSettings().model_copy(update={"rebuild_wait_seconds": 0.02})
    settings = Settings().model_copy(update={"redrive": redrive})
    with pytest.raises(UnavailableError, match="reading a seal of seals"):
        async with asyncio.timeout(5):
            await _read_all(settings, PaperConsumer(b"1", stuck=True), "seals", _Gathering(tmp_path))  # type: ignore[arg-type]
