"""Where partitions end and what holds them back, as a broker says it."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from consumer_harness import until
from consumer_processes import administration

from consumer.caught_up import CatchUpReader, Reading
from runtime.kafka import ensure_topics
from runtime.kafka_ends import STABLE, EndsReader
from runtime.settings import KafkaSettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


@pytest.fixture
async def topic(stack: Endpoints, unique: Callable[[str], str]) -> str:
    name = unique("ends")
    async with administration(stack.kafka) as client:
        await client.create_topics([NewTopic(name, 2, 1)])
    return name


@pytest.fixture
async def reader(stack: Endpoints) -> AsyncIterator[EndsReader]:
    async with EndsReader(KafkaSettings(bootstrap=stack.kafka), 10.0) as opened:
        yield opened


async def test_an_open_transaction_holds_back_what_is_behind_it_since_its_first_record(
    stack: Endpoints, topic: str, reader: EndsReader
) -> None:
    place, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, transactional_id=uuid.uuid4().hex)
    plain = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    await plain.start()
    try:
        await plain.send_and_wait(topic, b"before", partition=0)
        await producer.begin_transaction()
        began = time.time()
        await producer.send_and_wait(topic, b"open", partition=0)
        await plain.send_and_wait(topic, b"behind", partition=0)
        found = (await reader.ends([place, other]))[place]
        assert (found.begin, found.stable, found.high) == (0, 1, 3)
        assert found.held_since is not None
        assert abs(found.held_since - began) < 2
        assert (await reader.ends([other]))[other].held_since is None
        await producer.commit_transaction()

        async def free() -> bool:
            ends = (await reader.ends([place]))[place]
            return (ends.stable, ends.high, ends.held_since) == (4, 4, None)

        await until(free, "the marker is written")
    finally:
        await producer.stop()
        await plain.stop()


async def test_records_that_come_while_ends_are_asked_are_no_open_transaction(
    stack: Endpoints, topic: str, reader: EndsReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a broker is slow, many come between the two questions."""
    place = TopicPartition(topic, 0)
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka) as plain:

        def after_each_answer(client: AIOKafkaConsumer) -> None:
            ask = client.end_offsets

            async def end_offsets(places: list[TopicPartition]) -> dict[TopicPartition, int]:
                found: dict[TopicPartition, int] = await ask(places)
                await plain.send_and_wait(topic, b"meanwhile", partition=0)
                return found

            monkeypatch.setattr(client, "end_offsets", end_offsets)

        after_each_answer(reader._all)
        after_each_answer(reader._committed)
        for _ in range(2):
            found = (await reader.ends([place]))[place]
            assert (found.stable, found.held_since) == (found.high, None)


async def test_a_topic_made_anew_has_another_id(stack: Endpoints, topic: str, reader: EndsReader) -> None:
    before = await reader.topics([topic, f"{topic}-nowhere"])
    assert set(before) == {topic}
    assert before[topic].partitions == {0, 1}
    async with administration(stack.kafka) as client:
        await client.delete_topics([topic])

        async def made() -> bool:
            await client.create_topics([NewTopic(topic, 3, 1)])
            return len((await reader.topics([topic])).get(topic, ((), ()))[1]) == 3

        await until(made, "it is made anew")
    after = await reader.topics([topic])
    assert None not in (before[topic].topic_id, after[topic].topic_id)
    assert before[topic].topic_id != after[topic].topic_id


async def test_the_parking_clock_goes_on_after_a_topic_with_a_backlog_was_made_anew(
    stack: Endpoints, unique: Callable[[str], str]
) -> None:
    """Neither what was sampled of the old topic nor what the group committed there is ever reached again."""
    prefix = f"{unique('anew')}."
    kafka = KafkaSettings(bootstrap=stack.kafka, topic_prefix=prefix, group=prefix, partitions=1, replication_factor=1)
    names = kafka.topics.consumed_names
    await ensure_topics(kafka, kafka.topics.consumed)
    settings = Settings().model_copy(update={"kafka": kafka})
    place = TopicPartition(names[0], 0)
    async with CatchUpReader(settings) as reader, administration(stack.kafka) as client:
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka) as producer:
            for _ in range(5):
                await producer.send_and_wait(names[0], b"x", partition=0)
        async with AIOKafkaConsumer(bootstrap_servers=stack.kafka, group_id=prefix, enable_auto_commit=False) as group:
            group.assign([place])
            await group.commit({place: 3})
        behind = await reader.look(1000.0)
        assert (behind.caught_up, behind.waits_for) == (None, f"{names[0]}/0: 2 offsets not processed")
        await client.delete_topics([names[0]])

        async def goes_on() -> bool:
            await ensure_topics(kafka, kafka.topics.consumed)
            return await reader.look(2000.0) == Reading(2000.0)

        await until(goes_on, "the new topic is empty, so all of it is processed")


async def test_records_that_were_deleted_move_the_beginning(stack: Endpoints, topic: str, reader: EndsReader) -> None:
    place = TopicPartition(topic, 1)
    plain = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await plain.start()
    for number in range(3):
        await plain.send_and_wait(topic, b"%d" % number, partition=1)
    await plain.stop()
    async with administration(stack.kafka) as client:
        await client.delete_records({place: RecordsToDelete(before_offset=2)})
    found = (await reader.ends([place]))[place]
    assert (found.begin, found.stable, found.high) == (2, 3, 3)


async def test_a_group_says_who_reads_what_and_how_far(stack: Endpoints, topic: str, reader: EndsReader) -> None:
    name = f"{topic}-group"
    member = AIOKafkaConsumer(topic, bootstrap_servers=stack.kafka, group_id=name, enable_auto_commit=False)
    await member.start()
    try:

        async def stable() -> bool:
            return (await reader.group(name)).state == STABLE

        await until(stable, "the group is stable")
        assert (await reader.group(name)).held == {TopicPartition(topic, 0), TopicPartition(topic, 1)}
        await member.commit({TopicPartition(topic, 1): 7})
        assert await reader.committed(name) == {TopicPartition(topic, 1): 7}
    finally:
        await member.stop()
    assert (await reader.group(f"{name}-nobody")).held == frozenset()
