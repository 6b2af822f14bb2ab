"""Clients of Kafka that can't be opened leave nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from runtime import kafka
from runtime.kafka import open_producer
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
