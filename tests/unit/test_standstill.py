"""Which partitions stand still and why, over looks at a Kafka and a worker made by hand."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition

from consumer.standstill import Cause, PartitionWatch
from runtime import metrics
from runtime.kafka_ends import ConsumerGroup, Ends
from runtime.kafka_topic_ids import TopicFound
from schemas.topics import DEFAULT

pytestmark = pytest.mark.unit

TOPIC = "payments.webhooks"
P0, P1, P2 = (TopicPartition(TOPIC, number) for number in range(3))


@dataclass
class Kafka:
    """What the reader says."""

    topic_id: uuid.UUID | None = field(default_factory=uuid.uuid4)
    found: dict[TopicPartition, Ends] = field(default_factory=dict)
    held: frozenset[TopicPartition] = frozenset()
    state: str = "Stable"
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    asked_for_group: int = 0

    async def topics(self, names: object) -> dict[str, TopicFound]:
        return {TOPIC: TopicFound(self.topic_id, frozenset(place.partition for place in self.found))}

    async def ends(self, places: object) -> dict[TopicPartition, Ends]:
        return dict(self.found)

    async def group(self, name: str) -> ConsumerGroup:
        self.asked_for_group += 1
        return ConsumerGroup(self.state, self.held)

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        return self.offsets


@dataclass
class Member:
    """What the watch asks of the worker."""

    read: dict[TopicPartition, int] = field(default_factory=dict)
    halted: set[tuple[str, int]] = field(default_factory=set)
    knows: bool = True
    anew: list[str] = field(default_factory=list)
    rejoined: list[set[TopicPartition]] = field(default_factory=list)
    noted: dict[TopicPartition, Ends] = field(default_factory=dict)

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        return frozenset(self.read)

    def positions(self) -> dict[TopicPartition, int]:
        return dict(self.read)

    def note_ends(self, ends: dict[TopicPartition, Ends]) -> None:
        self.noted = ends

    def read_anew(self, topic: str) -> None:
        self.anew.append(topic)

    def rejoin(self, missing: frozenset[TopicPartition]) -> bool:
        if self.knows:
            self.rejoined.append(set(missing))
        return self.knows


@dataclass
class Harness:
    kafka: Kafka = field(default_factory=Kafka)
    member: Member = field(default_factory=Member)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.watch = PartitionWatch(self.member, DEFAULT, lambda: self.now)  # type: ignore[arg-type]

    async def look(self) -> list[tuple[int, str, float, int]]:
        await self.watch.look(self.kafka)  # type: ignore[arg-type]
        return [(one.partition, one.cause.value, one.since, one.waiting) for one in self.watch.standstills]


@pytest.fixture
def harness() -> Harness:
    made = Harness()
    made.kafka.found = {P0: Ends(0, 10, 10), P1: Ends(0, 20, 20)}
    made.member.read = {P0: 10, P1: 15}
    return made


async def test_a_partition_that_can_be_read_does_not_stand_still(harness: Harness) -> None:
    assert await harness.look() == []
    assert harness.member.noted == harness.kafka.found
    assert metrics.CONSUMER_LAG.labels(TOPIC, "1")._value.get() == 5
    assert harness.kafka.asked_for_group == 0, "who has all partitions asks nobody"


async def test_an_open_transaction_stands_since_its_first_record_and_until_its_end(harness: Harness) -> None:
    harness.kafka.found[P1] = Ends(0, 15, 20, held_since=940.0)
    assert await harness.look() == [(1, "open_transaction", 940.0, 5)]
    assert metrics.STANDSTILL_SECONDS.labels(TOPIC, "1", "open_transaction")._value.get() == 60
    found = harness.watch.since(TOPIC, 1)
    assert found is not None
    assert found.cause is Cause.OPEN_TRANSACTION
    assert harness.watch.since(TOPIC, 0) is None
    harness.kafka.found[P1] = Ends(0, 21, 21)
    assert await harness.look() == []
    assert metrics.CONSUMER_LAG.labels(TOPIC, "1")._value.get() == 6


async def test_what_stands_before_an_open_transaction_is_still_read(harness: Harness) -> None:
    harness.kafka.found[P1] = Ends(0, 18, 20, held_since=940.0)
    assert await harness.look() == []


async def test_without_the_record_s_time_it_stands_since_it_was_seen(harness: Harness) -> None:
    harness.kafka.found[P1] = Ends(0, 15, 20)
    assert await harness.look() == [(1, "open_transaction", 1000.0, 5)]
    harness.now = 1030.0
    assert await harness.look() == [(1, "open_transaction", 1000.0, 5)]


async def test_a_producer_s_clock_that_is_ahead_makes_no_future(harness: Harness) -> None:
    harness.kafka.found[P1] = Ends(0, 15, 20, held_since=5000.0)
    assert await harness.look() == [(1, "open_transaction", 1000.0, 5)]


async def test_a_halted_partition_stands_also_where_all_was_fetched(harness: Harness) -> None:
    harness.member.halted = {(TOPIC, 0)}
    assert await harness.look() == [(0, "halted", 1000.0, 0)]


async def test_a_partition_of_nobody_counts_and_is_joined_for_at_the_second_look(harness: Harness) -> None:
    harness.kafka.found[P2] = Ends(0, 7, 7)
    harness.kafka.offsets = {P2: 3}
    assert await harness.look() == [(2, "unassigned", 1000.0, 4)]
    assert harness.member.rejoined == []
    assert metrics.CONSUMER_LAG.labels(TOPIC, "2")._value.get() == 4
    harness.now = 1002.0
    assert await harness.look() == [(2, "unassigned", 1000.0, 4)]
    assert harness.member.rejoined == [{P2}]
    await harness.look()
    assert harness.member.rejoined == [{P2}], "the rebalance is given time"


async def test_a_partition_that_the_client_does_not_know_yet_is_joined_for_later(harness: Harness) -> None:
    harness.kafka.found[P2] = Ends(0, 7, 7)
    harness.member.knows = False
    await harness.look()
    await harness.look()
    harness.member.knows = True
    await harness.look()
    assert harness.member.rejoined == [{P2}]


@pytest.mark.parametrize(("held", "state"), [(frozenset({P2}), "Stable"), (frozenset(), "PreparingRebalance")])
async def test_what_another_has_or_may_get_is_not_ours_to_tell(
    harness: Harness, held: frozenset[TopicPartition], state: str
) -> None:
    harness.kafka.found[P2] = Ends(0, 7, 7)
    harness.kafka.held, harness.kafka.state = held, state
    await harness.look()
    assert await harness.look() == []
    assert harness.member.rejoined == []


async def test_a_topic_made_anew_is_read_anew_once(harness: Harness) -> None:
    await harness.look()
    await harness.look()
    assert harness.member.anew == []
    harness.kafka.topic_id = uuid.uuid4()
    await harness.look()
    await harness.look()
    assert harness.member.anew == [TOPIC]


async def test_brokers_without_ids_tell_of_no_new_topic(harness: Harness) -> None:
    harness.kafka.topic_id = None
    await harness.look()
    harness.kafka.topic_id = uuid.uuid4()
    await harness.look()
    assert harness.member.anew == []


async def test_another_cause_stands_since_it_came(harness: Harness) -> None:
    """A halt of just now is no open transaction of an hour ago: whoever looks for what happened then looks in vain."""
    harness.kafka.found[P1] = Ends(0, 15, 20)
    await harness.look()
    harness.now, harness.member.halted = 1600.0, {(TOPIC, 1)}
    assert await harness.look() == [(1, "halted", 1600.0, 5)]


async def test_a_partition_of_nobody_lags_from_its_first_record_on(harness: Harness) -> None:
    """What was deleted before is not there to be read."""
    harness.kafka.found[P2] = Ends(4, 7, 7)
    assert await harness.look() == [(2, "unassigned", 1000.0, 3)]
    harness.kafka.offsets = {P2: 1}
    assert await harness.look() == [(2, "unassigned", 1000.0, 3)]


async def test_a_partition_that_kafka_does_not_have_any_more_is_not_looked_at(harness: Harness) -> None:
    harness.member.read[P2] = 5
    assert await harness.look() == []


async def test_lag_counts_what_an_open_transaction_holds_back(harness: Harness) -> None:
    harness.kafka.found[P1] = Ends(0, 15, 20)
    await harness.look()
    assert metrics.CONSUMER_LAG.labels(TOPIC, "1")._value.get() == 5


async def test_a_partition_that_is_read_again_stands_still_no_more(harness: Harness) -> None:
    harness.kafka.found[P1] = Ends(0, 15, 20)
    await harness.look()
    assert len(metrics.STANDSTILL_SECONDS._metrics) == 1
    harness.kafka.found[P1] = Ends(0, 20, 20)
    await harness.look()
    assert metrics.STANDSTILL_SECONDS._metrics == {}


async def test_two_looks_that_are_not_in_a_row_join_nobody_anew(harness: Harness) -> None:
    """Each rebalance stops all consumers: a partition that comes and goes must not cause one."""
    harness.kafka.found[P2] = Ends(0, 7, 7)
    for held in (frozenset(), frozenset({P2}), frozenset()):
        harness.kafka.held = held
        await harness.look()
    assert harness.member.rejoined == []
