"""What is remembered of ends, what a group has not committed, and what old brokers say of topics."""

from __future__ import annotations

import asyncio
import uuid
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupAuthorizationFailedError, OffsetOutOfRangeError, TopicAuthorizationFailedError

from runtime import kafka_ends
from runtime.kafka_ends import ConsumerGroup, Ends, EndsReader
from runtime.kafka_topic_ids import TopicFound, _Answer, _Question
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


async def test_of_a_topic_made_anew_no_transaction_is_known(reader: EndsReader, clients: Clients) -> None:
    """One at the same offset began when its own first record was made."""
    clients.stable, clients.high = 5, 9
    for name, topic_id, times_read in (("t", 1, 1), ("t", 1, 1), ("t", 2, 2), ("t", 2, 2), ("u", 3, 2), ("u", 4, 2)):
        reader._admin = Modern((name, 0), topic_id=topic_id)
        await reader.topics([name])
        assert await held_since(reader) == 5.0
        assert clients.read == [5] * times_read


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


async def test_a_transaction_that_ends_between_the_questions_holds_nothing(
    reader: EndsReader, clients: Clients
) -> None:
    """Where it ends is asked after the high watermark: what is committed between lies above that."""
    clients.stable, clients.high = 12, 9
    assert (await reader.ends([PLACE]))[PLACE] == Ends(0, 9, 9)


def member(*held: TopicPartition) -> tuple[Any, ...]:
    """Return a member of a group as Kafka describes it; one that has joined and got nothing yet has no bytes."""
    numbers = sorted(place.partition for place in held)
    given = ConsumerProtocolMemberAssignment(0, [("t", numbers)], b"").encode() if held else b""
    return ("id", "client", "/127.0.0.1", b"", given)


class Groups:
    """An administration that describes one group, a number a question."""

    def __init__(self, code: int, *members: tuple[Any, ...]) -> None:
        self.answer = SimpleNamespace(groups=[(code, "g", "Stable", "consumer", "range", list(members), -1)])

    async def describe_consumer_groups(self, names: list[str]) -> list[Any]:
        await asyncio.sleep(0)
        assert names == ["g"]
        return [self.answer]


async def test_a_group_has_what_all_its_members_have(reader: EndsReader) -> None:
    reader._admin = Groups(0, member(PLACE), member(), member(OTHER))
    assert await reader.group("g") == ConsumerGroup("Stable", frozenset({PLACE, OTHER}))
    reader._admin = Groups(30)
    with pytest.raises(GroupAuthorizationFailedError):
        await reader.group("g")


def described(*topics: tuple[str, int], topic_id: int = 7) -> Any:
    """Return a broker's answer about topics: a name and an error code each, two partitions where there is none."""
    parts = [(0, number, 1, 0, [1], [1], [], {}) for number in (0, 1)]
    rows = [(code, name, bytes([topic_id] * 16), False, [] if code else parts, 0, {}) for name, code in topics]
    answer = _Answer(0, [], "c", 1, rows, {})
    return _Answer.decode(BytesIO(answer.encode()))


class Modern(Administration):
    def __init__(self, *topics: tuple[str, int], topic_id: int = 7) -> None:
        super().__init__()
        self.described = described(*topics, topic_id=topic_id)

    async def _send_request(self, request: Any) -> Any:
        await asyncio.sleep(0)
        self.asked = request.build(_Question)
        return self.described


async def test_topics_are_known_by_their_ids_and_asking_makes_none(reader: EndsReader) -> None:
    reader._admin = admin = Modern(("a", 0), ("gone", 3), ("leaderless", 5))
    assert await reader.topics(["a", "gone", "leaderless"]) == {
        "a": TopicFound(uuid.UUID(bytes=bytes([7] * 16)), frozenset({0, 1}))
    }
    assert admin.asked.allow_auto_topic_creation is False
    assert [name for _, name, _ in admin.asked.topics] == ["a", "gone", "leaderless"]
    reader._admin = Modern(("a", 0), ("b", 29))
    with pytest.raises(TopicAuthorizationFailedError):
        await reader.topics(["a", "b"])


async def test_a_client_that_does_not_close_is_left_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    over = asyncio.Event()

    class Slow:
        async def start(self) -> None:
            await asyncio.sleep(0)

        async def stop(self) -> None:
            closed.append("consumer")
            await over.wait()

        async def close(self) -> None:
            closed.append("admin")
            raise OSError

    async def look() -> None:
        async with EndsReader(KafkaSettings(bootstrap="127.0.0.1:1"), 0.01):
            assert closed == []

    monkeypatch.setattr(kafka_ends, "AIOKafkaConsumer", lambda **_: Slow())
    monkeypatch.setattr(kafka_ends, "AIOKafkaAdminClient", lambda **_: Slow())
    looking = asyncio.create_task(look())
    done, _ = await asyncio.wait({looking}, timeout=5.0)
    over.set()
    await looking
    assert done, "who looks is not held up by a broker that says nothing"
    assert closed == ["consumer", "consumer", "admin"]


async def test_of_brokers_without_ids_topics_that_are_there_have_none(reader: EndsReader) -> None:
    reader._admin = Administration(0, 3, 5)
    found = await reader.topics(["a", "b", "c"])
    assert {name: (topic.topic_id, topic.partitions) for name, topic in found.items()} == {"a": (None, {0, 1})}
    reader._admin = Administration(0, 29)
    with pytest.raises(TopicAuthorizationFailedError):
        await reader.topics(["a", "b"])
