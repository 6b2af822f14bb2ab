"""One run of handlers: what is being handled, of which payment after what, and how far each partition is."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener

from ratchet_client.read import change_of, decoded
from ratchet_client.types import Change

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ratchet_client.react import Reactor

MESSAGE_LENGTH_MAX: Final = 500
NOTE: Final = """
insert into ratchet_handled as held (consumer_group, payment_id, epoch, version) values ($1, $2, $3, $4)
on conflict (consumer_group, payment_id) do update set epoch = excluded.epoch, version = excluded.version
where (held.epoch, held.version) < (excluded.epoch, excluded.version)
"""


class Payment(Change):
    """A change as handlers get it."""

    @property
    def effect_id(self) -> str:
        """Return the change's name: the same each time that it is handled."""
        return f"{self.payment_id}/{self.epoch}/{self.version}"


class Run(ConsumerRebalanceListener):  # type: ignore[misc]
    """One run: what is being handled, of which payment after what, and how far each partition is."""

    def __init__(self, app: Reactor, producer: Any, pool: Any) -> None:
        self._app, self._producer, self._pool = app, producer, pool
        self._last: dict[bytes, asyncio.Task[None]] = {}
        self._open: dict[Any, dict[int, asyncio.Task[None]]] = {}
        self._next: dict[Any, int] = {}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=app.bootstrap,
            group_id=app.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            metadata_max_age_ms=30_000,
            **app.security,
        )

    async def read(self) -> None:
        self._consumer.subscribe([f"{self._app.prefix}changes"], listener=self)
        await self._consumer.start()
        try:
            while True:
                fetched = await self._consumer.getmany(timeout_ms=200, max_records=self._app.in_flight_max)
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
        """Finish what is being handled before somebody else gets the partition."""
        given_up = list(revoked)
        await asyncio.gather(*self._tasks(given_up), return_exceptions=True)
        await self._commit(given_up)
        for place in given_up:
            self._open.pop(place, None)
            self._next.pop(place, None)

    async def on_partitions_assigned(self, _: Iterable[Any]) -> None:
        """Do nothing: nothing has to be made ready."""

    def _tasks(self, places: Iterable[Any]) -> list[asyncio.Task[None]]:
        return [task for place in places for task in self._open.get(place, {}).values()]

    def _begin(self, place: Any, record: Any) -> None:
        key = record.key or b""
        task = asyncio.create_task(self._after(self._last.get(key), record))
        self._last[key] = task
        task.add_done_callback(lambda done: self._last.pop(key) if self._last.get(key) is done else None)
        self._open.setdefault(place, {})[record.offset] = task
        self._next[place] = record.offset + 1

    async def _room(self) -> None:
        """Wait until fewer changes are open than may be; an error of ours ends the run."""
        while len(tasks := self._tasks(self._open)) >= self._app.in_flight_max:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._commit(self._open)

    async def _commit(self, places: Iterable[Any]) -> None:
        """Commit each partition up to its first change that is not dealt with."""
        offsets = {}
        for place in list(places):
            tasks = self._open.get(place, {})
            for offset in [offset for offset, task in tasks.items() if task.done()]:
                tasks.pop(offset).result()
            if place in self._next:
                offsets[place] = min(tasks, default=self._next[place])
        if offsets:
            await self._consumer.commit(offsets)

    async def _after(self, earlier: asyncio.Task[None] | None, record: Any) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        change = change_of(decoded(record))
        for tried in range(1, self._app.retry.tries_max + 1):
            try:
                return await self._handle(Payment(**vars(change)))
            except Exception as error:  # noqa: BLE001 - a handler may raise what it likes
                if tried == self._app.retry.tries_max:
                    return await self._bury(record, error, tried)
            await asyncio.sleep(self._app.retry.pause(tried))
        return None

    async def _handle(self, payment: Payment) -> None:
        handlers = self._app.handlers_of(payment)
        if not handlers:
            return
        if self._pool is None:
            for handler in handlers:
                await handler(payment)
            return
        async with self._pool.acquire() as connection, connection.transaction():
            known = (self._app.group, payment.payment_id, payment.epoch, payment.version)
            if await connection.execute(NOTE, *known) == "INSERT 0 1":
                for handler in handlers:
                    more = (connection,) if len(inspect.signature(handler).parameters) > 1 else ()
                    await handler(payment, *more)

    async def _bury(self, record: Any, error: Exception, tried: int) -> None:
        told = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "group": self._app.group,
            "delivery.count": tried,
            "message": f"{type(error).__name__}: {error}"[:MESSAGE_LENGTH_MAX],
        }
        headers = [*record.headers, *((f"__dlq.errors.{name}", str(text).encode()) for name, text in told.items())]
        await self._producer.send_and_wait(self._app.dead_letters, record.value, key=record.key, headers=headers)
