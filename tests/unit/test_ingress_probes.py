"""Every end of a breaker's probe, and of a wait for a broker: nobody else pays for it, and none lasts for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from waiting import until

from producers.ingress.publishing import publisher as publishing
from producers.ingress.publishing.deadlines import Deadlines
from producers.ingress.publishing.publisher import NOBODY, Durability
from schemas.errors import UnavailableError
from tests.unit.test_ingress_publisher import (
    OTHER,
    RECORD,
    PaperProducer,
    publisher_of,
    record_of,
    until_idle,
)

if TYPE_CHECKING:
    from producers.ingress.publishing.publisher import Publisher

pytestmark = pytest.mark.unit

LONG_SECONDS = 60.0
"""A bound that no test may reach."""
SOON_SECONDS = 20.0


def three(*silent: int, **seconds: float) -> tuple[Publisher, Any, Any, PaperProducer]:
    """Return a publisher with three brokers, some of them silent."""
    producer = PaperProducer(leaders=(0, 1, 2))
    producer.silent = frozenset(silent)
    return (*publisher_of(producer, **seconds), producer)


async def test_a_spool_that_fails_beside_a_silent_broker_is_not_blamed_on_the_others() -> None:
    """It was: the producer was given up and every partition left alone, and the spool was asked a second time."""
    publisher, spool, _, producer = three(1)
    spool.away = True
    with pytest.raises(UnavailableError, match="away"):
        await publisher.publish([record_of(1)])
    await until_idle(publisher)
    assert publisher._producer is producer
    assert await publisher.publish([record_of(0), record_of(2)]) is Durability.KAFKA
    assert not producer.stopped
    await publisher.close()


async def test_who_leaves_while_the_spool_is_asked_leaves_no_probe_behind() -> None:
    publisher, spool, clock, producer = three(1)
    await publisher.publish([record_of(1)])
    await until_idle(publisher)
    asked = asyncio.Event()

    async def hanging(_records: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    store, spool.store = spool.store, hanging
    clock.now = 1.5
    probe = asyncio.create_task(publisher.publish([record_of(1)]))
    await asyncio.wait_for(asked.wait(), SOON_SECONDS)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    spool.store, producer.silent, clock.now = store, frozenset(), 5.0
    await until(lambda: 1 not in publisher._breakers or publisher._breakers[1].state != "probing", "its end is known")
    clock.now = 10.0
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA
    for task in publisher._closing:
        task.cancel()


async def test_of_two_brokers_that_rest_none_is_probed_unless_both_may_be() -> None:
    publisher, _, clock, producer = three(1)
    await publisher.publish([record_of(1)])
    await until_idle(publisher)
    clock.now, producer.silent = 0.5, frozenset({1, 2})
    await publisher.publish([record_of(2)])
    await until_idle(publisher)
    clock.now, producer.silent = 1.2, frozenset()
    assert await publisher.publish([record_of(1), record_of(2)]) is Durability.SPOOL, "the second rests until 1.5"
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA
    clock.now = 1.6
    assert await publisher.publish([record_of(2)]) is Durability.KAFKA
    await publisher.close()


async def test_a_probe_that_is_answered_ends_although_another_broker_of_the_request_is_silent() -> None:
    publisher, _, clock, producer = three(1)
    await publisher.publish([record_of(1)])
    await until_idle(publisher)
    clock.now, producer.silent = 1.5, frozenset({2})
    assert await publisher.publish([record_of(1), record_of(2)]) is Durability.SPOOL
    await until_idle(publisher)
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA
    await publisher.close()


async def test_a_probe_of_all_that_finds_one_broker_silent_lets_the_others_be_used() -> None:
    publisher, _, clock = publisher_of(PaperProducer(KafkaTimeoutError()))
    await publisher.publish([RECORD])
    await until_idle(publisher)
    producer = PaperProducer(leaders=(0, 1, 2))
    publisher._producer, producer.silent = producer, frozenset({1})
    clock.now = 2
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    await until_idle(publisher)
    assert await publisher.publish([record_of(0)]) is Durability.KAFKA
    await publisher.close()


class FullProducer(PaperProducer):
    """Has no room for what goes to a silent broker: as the client does, it does not even take it."""

    async def send(self, topic: str, value: bytes, key: bytes, headers: list[tuple[str, bytes]]) -> Any:
        if any(key == record_of(leader).key for leader in self.silent):
            await asyncio.Event().wait()
        return await super().send(topic, value, key, headers)


async def test_a_broker_for_which_the_client_takes_no_more_is_silent_and_costs_no_other() -> None:
    producer = FullProducer(leaders=(0, 1, 2))
    publisher, _, clock = publisher_of(producer)
    producer.silent = frozenset({1})
    assert await publisher.publish([record_of(0), record_of(1)]) is Durability.SPOOL
    await until_idle(publisher)
    assert await publisher.publish([record_of(0), record_of(2)]) is Durability.KAFKA
    assert not producer.stopped
    producer.silent, clock.now = frozenset(), 1.5
    assert await publisher.publish([record_of(1)]) is Durability.KAFKA
    await publisher.close()


async def test_a_record_is_handed_over_once_however_long_its_broker_takes() -> None:
    late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    producer = PaperProducer(late)
    publisher, spool, _ = publisher_of(producer, hedge_seconds=0.01, publish_timeout_seconds=LONG_SECONDS)
    slow = asyncio.create_task(publisher.publish([OTHER]))
    await asyncio.sleep(0)
    rounds, publisher._hedges = publisher._hedges, Deadlines(LONG_SECONDS)
    first = rounds._waiting[0]
    while not slow.done() and (not rounds._waiting or rounds._waiting[-1] is first):
        assert await publisher.publish([RECORD]) is Durability.KAFKA
        await asyncio.sleep(0.001)
        publisher._hedges = rounds
    late.set_result(None)
    assert await slow is Durability.KAFKA
    assert producer.sent.count(OTHER.value) == 1
    assert spool.stored == []
    await publisher.close()


async def test_a_broker_that_falls_silent_after_it_acknowledged_others_is_not_waited_for() -> None:
    """Each round asks anew: what it acknowledged before says nothing of now."""
    producer = PaperProducer("hang")
    publisher, _, _ = publisher_of(producer, hedge_seconds=0.02, publish_timeout_seconds=LONG_SECONDS)
    publisher._deadlines = Deadlines(LONG_SECONDS)
    slow = asyncio.create_task(publisher.publish([OTHER]))
    await asyncio.sleep(0)
    assert await publisher.publish([RECORD]) is Durability.KAFKA
    assert await asyncio.wait_for(slow, SOON_SECONDS) is Durability.SPOOL
    for task in publisher._closing:
        task.cancel()


async def test_one_silent_broker_among_several_of_a_request_is_enough_to_ask_the_spool_at_once() -> None:
    publisher, _, _, _ = three(1, hedge_seconds=0.01, publish_timeout_seconds=LONG_SECONDS)
    publisher._deadlines = Deadlines(LONG_SECONDS)
    assert await publisher.publish([record_of(1)]) is Durability.SPOOL
    publisher._hedges = Deadlines(LONG_SECONDS)
    both = publisher.publish([record_of(0), record_of(1)])
    assert await asyncio.wait_for(both, SOON_SECONDS) is Durability.SPOOL
    for task in publisher._closing:
        task.cancel()


async def test_partitions_that_nobody_leads_keep_no_producer() -> None:
    publisher, _, _, producer = three(0, 1)
    producer.client.cluster.leaders = (0, 1, NOBODY)
    for leader in (0, 1):
        assert publisher._producer is producer
        await publisher.publish([record_of(leader)])
        await until_idle(publisher)
    assert publisher._producer is None, "no broker that leads anything answers"


async def test_what_was_known_of_the_brokers_goes_with_the_producer() -> None:
    publisher, spool, clock, _ = three(0, 1, 2)
    for leader in (0, 1, 2):
        await publisher.publish([record_of(leader)])
        await until_idle(publisher)
    fresh = PaperProducer(leaders=(0, 1, 2))
    publisher._producer, clock.now = fresh, 0.015
    publisher._breaker.closed_until = 0.0
    assert await publisher.publish([record_of(0)]) is Durability.KAFKA, "the new one has not failed"
    assert len(spool.stored) == 3
    fresh.silent = frozenset({1})
    await publisher.publish([record_of(1)])
    await until_idle(publisher)
    assert publisher._producer is fresh
    await publisher.close()


async def test_a_late_acknowledgement_of_the_old_producer_ends_no_probe_of_the_new() -> None:
    late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    publisher, spool, clock = publisher_of(
        PaperProducer(late, KafkaTimeoutError()), hedge_seconds=LONG_SECONDS, publish_timeout_seconds=LONG_SECONDS
    )
    slow = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.sleep(0)
    assert await publisher.publish([OTHER]) is Durability.SPOOL
    publisher._producer = fresh = PaperProducer("hang")
    clock.now = 2
    probe = asyncio.create_task(publisher.publish([RECORD]))
    await asyncio.sleep(0)
    late.set_result(None)
    assert await slow is Durability.KAFKA
    assert await publisher.publish([OTHER]) is Durability.SPOOL, "the new one has not answered yet"
    assert (len(fresh.sent), len(spool.stored)) == (1, 2)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    await publisher.close()


async def test_a_producer_that_does_not_get_to_know_its_topic_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt would leave one behind, with its connections."""
    made: list[Any] = []
    ensured: list[Any] = []

    class Opened(PaperProducer):
        async def partitions_for(self, topic: str) -> None:
            await asyncio.sleep(0)
            if len(made) in {1, 4}:
                raise KafkaTimeoutError

    async def opened(*_: Any) -> Opened:
        made.append(Opened())
        return made[-1]  # type: ignore[no-any-return]

    async def ensure(_: Any, topics: Any) -> None:
        await asyncio.sleep(0)
        ensured.append(topics)

    monkeypatch.setattr(publishing, "open_producer", opened)
    monkeypatch.setattr(publishing, "ensure_topics", ensure)
    publisher, _, _ = publisher_of(None)
    with pytest.raises(UnavailableError):
        await publisher._connect()
    assert made[0].stopped
    assert await publisher._connect() is made[1]
    assert (made[1].stopped, len(ensured)) == (False, 2)
    assert await publisher._connect() is made[2]
    assert len(ensured) == 2, "who has seen the topic needs no broker that makes topics"
    with pytest.raises(UnavailableError):
        await publisher._connect()
    await publisher._connect()
    assert len(ensured) == 3, "it may be gone by now"
    await publisher.close()


async def test_an_attempt_that_failed_was_one_and_the_start_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, _, _ = publisher_of(None)
    publisher._ready_timeout_seconds = LONG_SECONDS

    async def away() -> Any:
        await asyncio.sleep(0)
        raise UnavailableError("away")

    monkeypatch.setattr(publisher, "_connect", away)
    running = asyncio.create_task(publisher.run())
    await asyncio.wait_for(publisher.first_try(), SOON_SECONDS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
