"""Deals with a topic's records side by side, those of one key in order, and commits how far each partition is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRebalanceListener

from ratchet_client.join import consumer_of

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Retry:
    """How often something is tried, and the pauses between: doubled each time, up to a bound."""

    tries_max: int = 5
    pause_seconds: float = 0.5
    pause_seconds_max: float = 30.0

    def pause(self, tried: int) -> float:
        return float(min(self.pause_seconds * 2 ** min(tried - 1, 30), self.pause_seconds_max))


class Ordered(ConsumerRebalanceListener):  # type: ignore[misc]
    """One run: what is being dealt with, of which key after what, and how far each partition is."""

    def __init__(self, bootstrap: str, group: str, topic: str, in_flight_max: int, security: dict[str, Any]) -> None:
        self._topic, self._in_flight_max = topic, in_flight_max
        self._last: dict[Any, asyncio.Task[None]] = {}
        self._open: dict[Any, dict[int, asyncio.Task[None]]] = {}
        self._next: dict[Any, int] = {}
        self._consumer = consumer_of(bootstrap, group, **security)

    async def deal(self, record: Any) -> None:
        """Deal with one record; an error ends the run, and the record comes again."""
        raise NotImplementedError

    async def leave(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Do what is to be done with what is open before somebody else gets its partition."""
        await asyncio.gather(*tasks, return_exceptions=True)

    async def read(self) -> None:
        """Deal with records until it is cancelled."""
        self._consumer.subscribe([self._topic], listener=self)
        await self._consumer.start()
        try:
            while True:
                fetched = await self._consumer.getmany(timeout_ms=200, max_records=self._in_flight_max)
                for place, records in fetched.items():
                    for record in records:
                        self._begin(place, record)
                await self._room()
                await self._commit(self._open)
        finally:
            tasks = self._tasks(self._open)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Leave what is being dealt with before somebody else gets the partition."""
        given_up = list(revoked)
        await self.leave(self._tasks(given_up))
        await self._commit(given_up)
        for place in given_up:
            self._open.pop(place, None)
            self._next.pop(place, None)

    async def on_partitions_assigned(self, _: Iterable[Any]) -> None:
        """Do nothing: nothing has to be made ready."""

    def _tasks(self, places: Iterable[Any]) -> list[asyncio.Task[None]]:
        return [task for place in places for task in self._open.get(place, {}).values()]

    def _begin(self, place: Any, record: Any) -> None:
        key = place, record.key
        task = asyncio.create_task(self._after(self._last.get(key), record))
        self._last[key] = task
        task.add_done_callback(lambda done: self._last.pop(key) if self._last.get(key) is done else None)
        self._open.setdefault(place, {})[record.offset] = task
        self._next[place] = record.offset + 1

    async def _after(self, earlier: asyncio.Task[None] | None, record: Any) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
            if earlier.cancelled() or earlier.exception() is not None:
                raise asyncio.CancelledError  # the earlier one comes again, and this one after it
        await self.deal(record)

    async def _room(self) -> None:
        """Wait until fewer records are open than may be; an error of ours ends the run."""
        while len(tasks := self._tasks(self._open)) >= self._in_flight_max:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._commit(self._open)

    async def _commit(self, places: Iterable[Any]) -> None:
        """Commit each partition up to its first record that is not dealt with; what was left counts as such."""
        offsets = {}
        for place in list(places):
            tasks = self._open.get(place, {})
            for offset in [offset for offset, task in tasks.items() if task.done() and not task.cancelled()]:
                tasks.pop(offset).result()
            if place in self._next:
                offsets[place] = min(tasks, default=self._next[place])
        if offsets:
            await self._consumer.commit(offsets)
