"""What waits in Kafka, and since when: by what was committed, what a topic still holds, and what looks have seen."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from ops.console import backlog
from ops.console.backlog import BacklogReader, EndsSeen
from runtime.kafka_topic_ids import TopicFound
from runtime.settings import Settings
from schemas.errors import UnavailableError

pytestmark = pytest.mark.unit

TOPICS = Settings().kafka.topics
PLACE = TopicPartition(TOPICS.webhooks.name, 0)


class Kafka:
    """Admin and consumer in one: a partition with its ends, what is committed, and the time of each record."""

    def __init__(self) -> None:
        self.begin, self.end, self.committed = 0, 0, -1
        self.topic_id: uuid.UUID | None = uuid.UUID(int=1)
        self.read: list[int] = []
        self.closed = 0

    async def list_consumer_group_offsets(self, _: str) -> dict[TopicPartition, Any]:
        return {} if self.committed < 0 else {PLACE: SimpleNamespace(offset=self.committed)}

    async def beginning_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {PLACE: self.begin}

    async def end_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {PLACE: self.end}

    def assign(self, _: Any) -> None: ...

    def seek(self, _: Any, offset: int) -> None:
        self.read.append(offset)

    async def getone(self, _: Any) -> Any:
        return SimpleNamespace(timestamp=1000 * self.read[-1])

    async def close(self) -> None:
        self.closed += 1

    stop = close


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def reader(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> BacklogReader:
    async def topics_of(*_: Any) -> dict[str, TopicFound]:
        return {PLACE.topic: TopicFound(kafka.topic_id, frozenset({PLACE.partition}))}

    monkeypatch.setattr("runtime.kafka_topic_ids.topics_of", topics_of)
    found = BacklogReader(Settings(kafka={"bootstrap": "127.0.0.1:9"}))
    found._admin = found._consumer = cast("Any", kafka)
    return found


async def lag(reader: BacklogReader) -> int:
    return (await reader.read()).lag[PLACE.topic]


async def test_what_a_topic_holds_no_more_does_not_wait(kafka: Kafka, reader: BacklogReader) -> None:
    kafka.end = 10
    assert await lag(reader) == 10, "nothing was committed yet"
    kafka.begin = 4
    assert await lag(reader) == 6
    kafka.committed = 2
    assert await lag(reader) == 6, "what came before was removed unread"
    kafka.committed = 7
    assert await lag(reader) == 3
    kafka.committed = 12
    assert await lag(reader) == 0, "of a topic that was made anew"


async def test_since_when_the_oldest_waits(
    kafka: Kafka, reader: BacklogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [50_000.0]
    monkeypatch.setattr(backlog.time, "time", lambda: now[0])
    kafka.end, kafka.committed = 10, 3
    assert (await reader.read()).since == 3.0, "it was there before the first look: its own time counts"
    assert (await reader.read()).since == 3.0
    assert kafka.read == [3], "read once"
    kafka.committed = 5
    assert (await reader.read()).since == 5.0
    now[0], kafka.end, kafka.committed = 50_010.0, 12, 10
    assert (await reader.read()).since == 50_010.0, "a look saw it come"
    now[0] = 50_020.0
    assert (await reader.read()).since == 50_010.0
    kafka.committed = 12
    assert (await reader.read()).since is None
    assert kafka.read == [3, 5]


async def test_of_a_topic_made_anew_nothing_is_known_of_before(
    kafka: Kafka, reader: BacklogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be longer than the old one at the first look: its records did not come when the old one's did."""
    now = [50_000.0]
    monkeypatch.setattr(backlog.time, "time", lambda: now[0])
    kafka.end, kafka.committed = 10, 3
    assert (await reader.read()).since == 3.0
    now[0], kafka.end, kafka.committed = 50_010.0, 12, 10
    assert (await reader.read()).since == 50_010.0
    now[0], kafka.end = 50_020.0, 20
    kafka.topic_id = uuid.UUID(int=2)
    assert (await reader.read()).since == 10.0, "its own time counts"
    kafka.topic_id = uuid.UUID(int=3)
    assert (await reader.read()).since == 10.0
    assert kafka.read == [3, 10, 10], "what stands there now was read"


def test_an_end_that_lies_before_the_last_one_is_another_topic_s() -> None:
    seen = EndsSeen()
    for at, end in ((1.0, 10), (2.0, 12), (3.0, 12), (4.0, 5), (5.0, 8)):
        seen.note(at, end)
    assert [seen.came(offset) for offset in (4, 5, 7, 8)] == [None, 5.0, 5.0, None]


async def test_after_a_failure_it_connects_anew(kafka: Kafka, reader: BacklogReader) -> None:
    async def failing(_: Any) -> Any:
        raise UnavailableError("Kafka does not answer")

    kafka.end_offsets = failing  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        await reader.read()
    assert kafka.closed == 2
    assert reader._admin is reader._consumer is None
