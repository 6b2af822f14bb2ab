"""Clients of Kafka that can't be opened leave nothing behind, and a topic that may not be looked at is no empty one."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from runtime import kafka
from runtime.kafka import open_producer, partitions_of
from runtime.settings import KafkaSettings
from schemas.errors import UnavailableError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("how", ["refused", "silent", "cancelled"])
async def test_a_producer_that_does_not_start_is_closed(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role tries for as long as Kafka is away: each try would keep a connection and its tasks."""
    made: list[Starting] = []
    begun = asyncio.Event()

    class Starting:
        def __init__(self, **_: Any) -> None:
            self.stopped = False
            made.append(self)

        async def start(self) -> None:
            begun.set()
            await asyncio.sleep(0)
            if how == "refused":
                raise KafkaConnectionError
            await asyncio.Event().wait()

        async def stop(self) -> None:
            await asyncio.sleep(0)
            self.stopped = True

    monkeypatch.setattr(kafka, "AIOKafkaProducer", Starting)
    settings = KafkaSettings(bootstrap="127.0.0.1:1", connect_timeout_seconds=0.05)
    opening = asyncio.create_task(open_producer(settings, 1000))
    if how == "cancelled":
        await begun.wait()
        opening.cancel()
    with pytest.raises(asyncio.CancelledError if how == "cancelled" else UnavailableError):
        await opening
    assert [one.stopped for one in made] == [True]


class Describing:
    def __init__(self, *codes: int) -> None:
        self.codes = codes

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        return [
            {"topic": name, "error_code": code, "partitions": [] if code else [{"partition": 1}, {"partition": 0}]}
            for name, code in zip(names, self.codes, strict=True)
        ]


async def test_a_topic_that_is_not_there_yet_has_no_partitions_and_a_forbidden_one_is_an_error() -> None:
    """Taken for empty, its partitions would look as if all of them were read."""
    found = await partitions_of(cast("Any", Describing(0, 3, 5)), ["a", "b", "c"])
    assert found == [TopicPartition("a", 0), TopicPartition("a", 1)]
    with pytest.raises(TopicAuthorizationFailedError):
        await partitions_of(cast("Any", Describing(0, 29)), ["a", "b"])
