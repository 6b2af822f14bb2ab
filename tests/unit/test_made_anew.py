"""Whoever looks at Kafka through lasting connections makes them anew after a failure, and asks no closed ones again."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiokafka
import pytest
from aiokafka import admin as aiokafka_admin

from consumer import caught_up
from consumer import role as consumer_role
from consumer.caught_up import CatchUpReader, Reading
from ops.console.backlog import BacklogReader
from runtime import kafka, kafka_topic_ids
from runtime.settings import Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

SETTINGS = Settings(kafka={"bootstrap": "127.0.0.1:1"})
PATIENCE_SECONDS = 5.0


@dataclass
class Kafka:
    """Makes readers: the first one fails when it is asked, and so does each that is asked after its end."""

    made: list[Reader] = field(default_factory=list)

    def __call__(self, *_: Any) -> Reader:
        self.made.append(Reader(fails=not self.made))
        return self.made[-1]


@dataclass
class Reader:
    fails: bool
    open: bool = False
    was_open: bool = False

    async def __aenter__(self) -> Self:
        self.open = self.was_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open = False

    def ask(self) -> None:
        if self.fails or not self.open:
            raise OSError("gone")

    async def topics(self, _names: object) -> dict[str, Any]:
        self.ask()
        return {}

    async def ends(self, _places: object) -> dict[Any, Any]:
        self.ask()
        return {}

    async def committed(self, _group: str) -> dict[Any, int]:
        self.ask()
        return {}


async def test_the_parking_clock_sees_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Kafka()
    monkeypatch.setattr(caught_up, "EndsReader", made)
    async with CatchUpReader(SETTINGS) as reader:
        assert await reader.look(1.0) == Reading(None, "Kafka does not answer: OSError")
        assert [one.open for one in made.made] == [False], "its connections are closed"
        assert await reader.look(2.0) == Reading(None, "none of the topics is there")
        assert await reader.look(3.0) == Reading(None, "none of the topics is there")
        assert [one.open for one in made.made] == [False, True], "those that work are kept"
    assert [one.open for one in made.made] == [False, False]


async def test_a_consumer_watches_its_partitions_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    made, looks, seen = Kafka(), [], asyncio.Event()

    class PaperWatch:
        def __init__(self, *_: Any) -> None: ...
        async def look(self, reader: Reader) -> None:
            reader.ask()
            looks.append(made.made.index(reader))
            if len(looks) > 1:
                seen.set()

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(consumer_role, "EndsReader", made)
    monkeypatch.setattr(consumer_role, "PartitionWatch", PaperWatch)
    monkeypatch.setattr(consumer_role, "LAG_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(consumer_role, "_excuse", nothing)
    monkeypatch.setattr(consumer_role, "_show_stall", lambda _: None)
    monkeypatch.setattr(consumer_role, "_show_partitions", lambda *_: None)
    watching = asyncio.create_task(consumer_role._watch_lag(None, None, None, SETTINGS))  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await seen.wait()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert set(looks) == {1}
    assert [one.open for one in made.made] == [False, False]


async def test_the_board_sees_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[PaperClient] = []

    class PaperClient:
        def __init__(self, **_: Any) -> None:
            self.fails, self.open = len(made) < 2, False
            made.append(self)

        async def start(self) -> None:
            self.open = True

        async def stop(self) -> None:
            self.open = False

        close = stop

        async def ask(self, *_: Any) -> Any:
            if self.fails or not self.open:
                raise UnavailableError("gone")
            return {}

        list_consumer_group_offsets = beginning_offsets = end_offsets = ask

    @asynccontextmanager
    async def opening(*_: Any) -> AsyncIterator[None]:
        yield

    async def no_topics(client: PaperClient, *_: Any) -> dict[str, Any]:
        await client.ask()
        return {}

    monkeypatch.setattr(kafka, "opening", opening)
    monkeypatch.setattr(kafka_topic_ids, "topics_of", no_topics)
    monkeypatch.setattr(aiokafka, "AIOKafkaConsumer", PaperClient)
    monkeypatch.setattr(aiokafka_admin, "AIOKafkaAdminClient", PaperClient)
    reader = BacklogReader(SETTINGS)
    with contextlib.suppress(UnavailableError):
        await reader.read()
    assert [one.open for one in made] == [False, False]
    assert (await reader.read()).since is None
    assert (await reader.read()).since is None
    assert [one.open for one in made] == [False, False, True, True]
    await reader.close()
    assert [one.open for one in made] == [False] * 4
