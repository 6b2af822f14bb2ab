"""What is remembered of ends, what a group has not committed, and what old brokers say of topics."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError, TopicAuthorizationFailedError

from runtime import kafka_ends
from runtime.kafka_ends import EndsReader
from runtime.settings import KafkaSettings

pytestmark = pytest.mark.unit

PLACE, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)


class Clients:
    """All three connections in one: ends as the test moves them; records were made at their offset, in seconds."""

    def __init__(self) -> None:
        self.stable, self.high = 0, 0
        self.assigned: list[TopicPartition] = []
        self.at = 0
        self.read: list[int] = []
        self.gone = False

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return dict.fromkeys(places, self.high)

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = places

    def seek(self, place: TopicPartition, offset: int) -> None:
        assert place in self.assigned
        self.at = offset

    async def getmany(self, place: TopicPartition, **_: Any) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        self.read.append(self.at)
        if self.gone:
            raise OffsetOutOfRangeError
        return {place: [SimpleNamespace(timestamp=self.at * 1000)]}


class Committed(Clients):
    def __init__(self, clients: Clients) -> None:
        super().__init__()
        self.clients = clients

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return dict.fromkeys(places, self.clients.stable)


@pytest.fixture
async def clients() -> Clients:
    return Clients()


@pytest.fixture
async def reader(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> EndsReader:
    made = iter([clients, Committed(clients)])
    monkeypatch.setattr(kafka_ends, "AIOKafkaConsumer", lambda **_: next(made))
    return EndsReader(KafkaSettings(bootstrap="127.0.0.1:1"), 1.0)


async def held_since(reader: EndsReader) -> float | None:
    return (await reader.ends([PLACE]))[PLACE].held_since


async def test_since_when_a_transaction_holds_up_is_asked_once_each_and_not_of_the_one_before(
    reader: EndsReader, clients: Clients
) -> None:
    clients.stable, clients.high = 5, 9
    assert [await held_since(reader) for _ in range(3)] == [5.0] * 3
    clients.stable = 8
    assert [await held_since(reader) for _ in range(2)] == [8.0] * 2
    clients.stable = 9
    assert await held_since(reader) is None
    assert (clients.read, clients.assigned) == ([5, 8], [])


async def test_a_first_record_that_can_not_be_read_leaves_nothing_assigned(
    reader: EndsReader, clients: Clients
) -> None:
    clients.stable, clients.high, clients.gone = 5, 9, True
    assert await held_since(reader) is None
    assert clients.assigned == []


class Administration:
    """An old broker, and a group that has committed for one of two partitions."""

    def __init__(self, *codes: int) -> None:
        self.codes = codes

    async def _send_request(self, _request: object) -> Any:
        raise NotImplementedError

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        return [
            {"topic": name, "error_code": code, "partitions": [] if code else [{"partition": 0}, {"partition": 1}]}
            for name, code in zip(names, self.codes, strict=True)
        ]

    async def list_consumer_group_offsets(self, _group: str) -> dict[TopicPartition, Any]:
        await asyncio.sleep(0)
        return {PLACE: SimpleNamespace(offset=0), OTHER: SimpleNamespace(offset=-1)}


async def test_a_partition_for_which_nothing_is_committed_has_no_offset(reader: EndsReader) -> None:
    reader._admin = Administration()
    assert await reader.committed("g") == {PLACE: 0}


async def test_of_brokers_without_ids_topics_that_are_there_have_none(reader: EndsReader) -> None:
    reader._admin = Administration(0, 3, 5)
    found = await reader.topics(["a", "b", "c"])
    assert {name: (topic.topic_id, topic.partitions) for name, topic in found.items()} == {"a": (None, {0, 1})}
    reader._admin = Administration(0, 29)
    with pytest.raises(TopicAuthorizationFailedError):
        await reader.topics(["a", "b"])
