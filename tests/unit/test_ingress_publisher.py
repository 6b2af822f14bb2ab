"""Kafka or the spool: whoever fails, a record is in one of them before anybody is told so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from producers.ingress.publisher import Durability, Publisher
from producers.ingress.records import Outgoing
from runtime.settings import IngressSettings, KafkaSettings, Settings
from schemas.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.unit

RECORD = Outgoing("t", b"k", b"v", (("ce_id", b"1"),))
OTHER = Outgoing("t", b"k", b"w", ())


class PaperSpool:
    """Keeps what it is given, or is away."""

    def __init__(self) -> None:
        self.stored: list[Outgoing] = []
        self.away = False

    async def store(self, records: Sequence[Outgoing]) -> None:
        if self.away:
            raise UnavailableError("away")
        self.stored += records


class PaperProducer:
    """Acknowledges, fails or hangs as `outcomes` say, one a record; then acknowledges."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[bytes] = []
        self.stopped = False

    async def send(self, topic: str, value: bytes, key: bytes, headers: list[tuple[str, bytes]]) -> Any:
        assert isinstance(headers, list), "the client takes nothing else"
        self.sent.append(value)
        ack = asyncio.get_running_loop().create_future()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            ack.set_exception(outcome)
        elif outcome != "hang":
            ack.set_result(outcome)
        return ack

    async def stop(self) -> None:
        self.stopped = True


class Clock:
    """A monotonic clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def publisher_of(producer: PaperProducer | None) -> tuple[Publisher, PaperSpool, Clock]:
    settings = Settings().model_copy(
        update={
            "kafka": KafkaSettings(bootstrap="127.0.0.1:1"),
            "ingress": IngressSettings(publish_timeout_seconds=0.02, breaker_seconds=1),
        }
    )
    spool, clock = PaperSpool(), Clock()
    publisher = Publisher(settings, spool, clock)
    publisher._producer = producer  # type: ignore[assignment]
    return publisher, spool, clock


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
    publisher._producer = fresh = PaperProducer("hang")  # type: ignore[assignment]
    assert await publisher.publish([RECORD]) is Durability.SPOOL
    assert fresh.sent == []
    clock.now = 1.5
    first = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.sleep(0)
    assert await publisher.publish([OTHER]) is Durability.SPOOL
    assert await first is Durability.SPOOL
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


async def test_when_both_are_away_nothing_is_promised() -> None:
    publisher, spool, _ = publisher_of(None)
    spool.away = True
    with pytest.raises(UnavailableError):
        await publisher.publish([RECORD])


def test_without_an_address_it_does_not_start() -> None:
    with pytest.raises(SettingsError, match="RATCHET_KAFKA__BOOTSTRAP"):
        Publisher(Settings().model_copy(update={"kafka": KafkaSettings()}), PaperSpool())
