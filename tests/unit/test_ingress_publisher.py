"""Kafka or the spool: whoever fails, a record is in one of them before anybody gets an answer."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from producers.ingress.publishing.deadlines import Deadlines
from producers.ingress.publishing.publisher import Durability, Publisher, leader_of
from producers.ingress.publishing.records import Outgoing
from runtime.kafka_partitions import partition_of
from runtime.settings import IngressSettings, KafkaSettings, Settings
from schemas.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import TopicPartition

pytestmark = pytest.mark.unit

RECORD = Outgoing("t", b"k", b"v", (("ce_id", b"1"),))
OTHER = Outgoing("t", b"k", b"w", ())


class PaperSpool:
    """Keeps what it is given, or is away."""

    def __init__(self) -> None:
        self.stored: list[Outgoing] = []
        self.away = False
        self.refused = asyncio.Event()

    async def store(self, records: Sequence[Outgoing]) -> None:
        if self.away:
            self.refused.set()
            raise UnavailableError("away")
        self.stored += records


class PaperCluster:
    """Knows who leads each partition of every topic."""

    def __init__(self, *leaders: int) -> None:
        self.leaders = leaders

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return set(range(len(self.leaders)))

    def leader_for_partition(self, place: TopicPartition) -> int:
        return self.leaders[place.partition]


class PaperProducer:
    """Acknowledges, fails or hangs as `outcomes` say, one a record; then acknowledges.

    Brokers of `silent` never answer; `leaders` are those of the partitions.
    """

    silent: frozenset[int] = frozenset()

    def __init__(self, *outcomes: Any, leaders: tuple[int, ...] = (1,)) -> None:
        self.client = SimpleNamespace(cluster=PaperCluster(*leaders))
        self.outcomes = list(outcomes)
        self.sent: list[bytes] = []
        self.stopped = False

    async def send(self, topic: str, value: bytes, key: bytes, headers: list[tuple[str, bytes]]) -> Any:
        assert isinstance(headers, list), "the client takes nothing else"
        self.sent.append(value)
        ack = asyncio.get_running_loop().create_future()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, asyncio.Future):
            return outcome
        if isinstance(outcome, Exception):
            ack.set_exception(outcome)
        elif outcome != "hang" and leader_of(self, Outgoing(topic, key, value, ())) not in self.silent:  # type: ignore[arg-type]
            ack.set_result(outcome)
        return ack

    async def stop(self) -> None:
        self.stopped = True


class Clock:
    """A monotonic clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def publisher_of(
    producer: PaperProducer | None, hedge_seconds: float = 0.005, publish_timeout_seconds: float = 0.02
) -> tuple[Publisher, PaperSpool, Clock]:
    settings = Settings().model_copy(
        update={
            "kafka": KafkaSettings(bootstrap="127.0.0.1:1"),
            "ingress": IngressSettings(
                publish_timeout_seconds=publish_timeout_seconds, hedge_seconds=hedge_seconds, breaker_seconds=1
            ),
        }
    )
    spool, clock = PaperSpool(), Clock()
    publisher = Publisher(settings, spool, clock)
    publisher._producer = producer  # type: ignore[assignment]
    return publisher, spool, clock


async def until_idle(publisher: Publisher) -> None:
    while publisher._closing:
        await asyncio.wait(set(publisher._closing))


async def test_acknowledged_records_are_in_kafka_alone() -> None:
    producer = PaperProducer()
    publisher, spool, _ = publisher_of(producer)
    assert await publisher.publish([RECORD, OTHER]) is Durability.KAFKA
    assert (producer.sent, spool.stored) == ([b"v", b"w"], [])


async def test_without_a_producer_records_go_to_the_spool() -> None:
    publisher, spool, _ = publisher_of(None)
    assert await publisher.publish([RECORD]) is Durability.SPOOL
    assert spool.stored == [RECORD]
    with pytest.raises(UnavailableError, match="not connected"):
        await publisher.check()


@pytest.mark.parametrize("outcome", ["hang", KafkaTimeoutError(), RuntimeError("of the client"), OSError()])
async def test_all_records_of_a_failed_request_are_spooled_and_the_producer_is_given_up(outcome: Any) -> None:
    producer = PaperProducer(None, outcome, KafkaTimeoutError())
    publisher, spool, _ = publisher_of(producer)
    assert await publisher.publish([RECORD, OTHER, OTHER]) is Durability.SPOOL
    assert spool.stored == [RECORD, OTHER, OTHER]
    await publisher.close()
    assert producer.stopped


async def test_after_a_failure_kafka_is_left_alone_then_one_request_tries() -> None:
    publisher, spool, clock = publisher_of(PaperProducer("hang"))
    await publisher.publish([RECORD])
    await until_idle(publisher)
    publisher._producer = fresh = PaperProducer("hang")  # type: ignore[assignment]
    assert await publisher.publish([RECORD]) is Durability.SPOOL
    assert fresh.sent == []
    clock.now = 1.5
    first = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.sleep(0)
    assert await publisher.publish([OTHER]) is Durability.SPOOL
    assert await first is Durability.SPOOL
    await until_idle(publisher)
    assert fresh.sent == [b"v"]
    publisher._producer = PaperProducer()  # type: ignore[assignment]
    clock.now = 3
    assert await publisher.publish([RECORD]) is Durability.KAFKA
    assert await publisher.publish([RECORD]) is Durability.KAFKA
    assert len(spool.stored) == 4
    await publisher.close()


async def test_a_cancelled_probe_frees_its_turn() -> None:
    publisher, _, clock = publisher_of(PaperProducer("hang"))
    await publisher.publish([RECORD])
    await until_idle(publisher)
    publisher._producer = PaperProducer("hang")  # type: ignore[assignment]
    clock.now = 2
    probe = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert await publisher.publish([RECORD]) is Durability.KAFKA
    await publisher.close()


async def test_a_late_failure_of_a_producer_that_was_given_up_changes_nothing() -> None:
    old = PaperProducer("hang")
    publisher, spool, _ = publisher_of(old)
    late = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.sleep(0)
    publisher._producer = PaperProducer()  # type: ignore[assignment]
    assert await late is Durability.SPOOL
    assert await publisher.publish([OTHER]) is Durability.KAFKA
    assert spool.stored == [RECORD]
    await publisher.close()


async def test_a_record_that_the_topic_finds_too_large_is_spooled_without_blaming_kafka() -> None:
    producer = PaperProducer(MessageSizeTooLargeError())
    publisher, spool, _ = publisher_of(producer)
    assert await publisher.publish([RECORD]) is Durability.SPOOL
    assert spool.stored == [RECORD]
    assert await publisher.publish([OTHER]) is Durability.KAFKA
    assert not producer.stopped


async def test_a_probe_that_is_found_too_large_ends_it() -> None:
    """Kafka answered, so it is well: neither the breaker of all nor a broker's may wait for that probe for ever."""
    publisher, _, clock = publisher_of(PaperProducer("hang"))
    await publisher.publish([RECORD])
    await until_idle(publisher)
    publisher._producer = PaperProducer(MessageSizeTooLargeError())  # type: ignore[assignment]
    clock.now = 2
    assert await publisher.publish([RECORD]) is Durability.SPOOL
    assert await publisher.publish([OTHER]) is Durability.KAFKA
    producer = PaperProducer(leaders=(0, 1, 2))
    publisher._producer, producer.silent = producer, frozenset({1})  # type: ignore[assignment]
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    await until_idle(publisher)
    clock.now, producer.silent = 4, frozenset()
    producer.outcomes.append(MessageSizeTooLargeError())
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA
    await publisher.close()


async def test_a_broker_s_probe_that_is_cancelled_frees_its_turn() -> None:
    producer = PaperProducer(leaders=(0, 1, 2))
    publisher, _, clock = publisher_of(producer)
    producer.silent = frozenset({1})
    await publisher.publish([record_of(1)])
    await until_idle(publisher)
    clock.now = 1.5
    probe = asyncio.create_task(publisher.publish([record_of(1)]))
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    producer.silent = frozenset()
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA
    await publisher.close()


async def test_a_probe_that_may_not_be_made_for_a_broker_that_rests_is_left_to_the_next() -> None:
    """Both breakers are asked; where the broker's says no, that of all must not take the request for its probe."""
    producer = PaperProducer(leaders=(0, 1, 2))
    publisher, _, clock = publisher_of(producer)
    producer.silent = frozenset({1})
    await publisher.publish([record_of(1)])
    await until_idle(publisher)
    publisher._breaker.rest(clock.now, 0.5)
    clock.now = 0.6
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    assert await publisher.publish([record_of(2)]) is Durability.KAFKA
    await publisher.close()


async def test_when_both_are_away_nothing_is_promised() -> None:
    publisher, spool, _ = publisher_of(None)
    spool.away = True
    with pytest.raises(UnavailableError):
        await publisher.publish([RECORD])


def test_without_an_address_it_does_not_start() -> None:
    with pytest.raises(SettingsError, match="RATCHET_KAFKA__BOOTSTRAP"):
        Publisher(Settings().model_copy(update={"kafka": KafkaSettings()}), PaperSpool())


KEYS = {leader: b"%d" % number for number in range(20) for leader in [partition_of(b"%d" % number, 3)]}
"""A key of each of three partitions, whose leaders have the same numbers."""


def record_of(leader: int) -> Outgoing:
    return Outgoing("t", KEYS[leader], b"v", ())


async def test_a_broker_that_is_silent_costs_the_partitions_of_no_other() -> None:
    producer = PaperProducer(leaders=(0, 1, 2))
    publisher, spool, clock = publisher_of(producer)
    producer.silent = frozenset({1})
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    await until_idle(publisher)
    sent = len(producer.sent)
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    assert len(producer.sent) == sent, "it is left alone"
    assert await publisher.publish([record_of(0), record_of(2)]) is Durability.KAFKA
    assert await publisher.publish([record_of(0), record_of(1)]) is Durability.SPOOL
    assert not producer.stopped
    producer.client.cluster.leaders = (0, 2, 2)
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA, "another one leads its partition now"
    producer.client.cluster.leaders, producer.silent = (0, 1, 2), frozenset()
    clock.now = 1.5
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA, "one may try after the pause"
    assert len(spool.stored) == 4
    await publisher.close()


async def test_the_producer_is_given_up_once_no_broker_answers() -> None:
    producer = PaperProducer(leaders=(0, 1, 2))
    publisher, _, _ = publisher_of(producer)
    producer.silent = frozenset({0, 1, 2})
    for leader in (0, 1, 2):
        assert publisher._producer is producer
        await publisher.publish([record_of(leader)])
        await until_idle(publisher)
    assert publisher._producer is None
    assert producer.stopped


async def test_the_spool_is_asked_beside_a_kafka_that_is_slow() -> None:
    producer = PaperProducer(leaders=(0, 1, 2))
    publisher, spool, _ = publisher_of(producer)
    publisher._deadlines = Deadlines(30.0)
    producer.silent = frozenset({1})
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL, "it does not wait for half a minute"
    assert spool.stored == [record_of(1)]
    for task in publisher._closing:
        task.cancel()


async def test_who_comes_after_the_first_does_not_wait_for_a_silent_broker_too() -> None:
    producer = PaperProducer(leaders=(0, 1, 2))
    publisher, spool, clock = publisher_of(producer, hedge_seconds=0.05, publish_timeout_seconds=30)
    publisher._deadlines, producer.silent = Deadlines(30.0), frozenset({1})
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    began = time.monotonic()
    for _ in range(20):
        assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    assert time.monotonic() - began < 20 * 0.05, "each waited for the broker"
    assert (len(producer.sent), len(spool.stored)) == (21, 21), "it is still asked: whether it lives is not known"
    assert await publisher.publish([record_of(2)]) is Durability.KAFKA
    producer.silent, spool.away = frozenset(), True
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA
    spool.away = False
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA, "it has acknowledged something since"
    assert len(spool.stored) == 21
    producer.silent = frozenset({1})
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    clock.now, producer.silent = 31.0, frozenset()
    assert not publisher._still_quiet(1, producer), "it is not believed for ever"  # type: ignore[arg-type]
    for task in publisher._closing:
        task.cancel()


async def test_a_broker_that_acknowledges_others_is_waited_for() -> None:
    """Copies would make it slower still."""
    producer = PaperProducer()
    publisher, spool, _ = publisher_of(producer, hedge_seconds=0.05, publish_timeout_seconds=60)
    late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    producer.outcomes.append(late)
    slow = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.sleep(0)
    began = time.monotonic()
    while time.monotonic() - began < 0.11:
        assert await publisher.publish([RECORD]) is Durability.KAFKA
        await asyncio.sleep(0)
    assert not slow.done()
    late.set_result(None)
    assert await slow is Durability.KAFKA
    assert spool.stored == []


async def test_a_kafka_that_fails_beside_the_spool_answers_for_nothing() -> None:
    """Only the spool's own word counts then: nobody else has the webhook."""
    producer = PaperProducer("hang")
    publisher, spool, _ = publisher_of(producer)
    publisher._deadlines = Deadlines(30.0)
    asked, away, given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
    acks: list[Any] = []
    send = producer.send

    async def remembered(*arguments: Any, **options: Any) -> Any:
        acks.append(await send(*arguments, **options))
        return acks[-1]

    async def hanging(_records: Sequence[Outgoing]) -> None:
        asked.set()
        await away.wait()
        raise UnavailableError("away")

    async def stop() -> None:
        given_up.set()

    producer.send, producer.stop, spool.store = remembered, stop, hanging  # type: ignore[method-assign]
    publishing = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.wait_for(asked.wait(), 5)
    acks[0].set_exception(KafkaTimeoutError())
    await asyncio.wait_for(given_up.wait(), 5)
    away.set()
    with pytest.raises(UnavailableError):
        await publishing
    await publisher.close()


async def test_kafka_may_still_answer_where_the_spool_is_away() -> None:
    producer = PaperProducer("hang")
    publisher, spool, _ = publisher_of(producer)
    publisher._deadlines, spool.away = Deadlines(30.0), True
    acks: list[Any] = []
    send = producer.send

    async def remembered(*arguments: Any, **options: Any) -> Any:
        acks.append(await send(*arguments, **options))
        return acks[-1]

    producer.send = remembered  # type: ignore[method-assign]
    publishing = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.wait_for(spool.refused.wait(), 5)
    acks[0].set_result(None)
    assert await publishing is Durability.KAFKA
    await publisher.close()
