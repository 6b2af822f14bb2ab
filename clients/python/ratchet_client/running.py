"""One run of handlers: what a change is to them, how often it is tried, and where it goes when all tries failed."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

from ratchet_client.ordered import Ordered
from ratchet_client.read import change_of, decoded
from ratchet_client.types import Change

if TYPE_CHECKING:
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


class Run(Ordered):
    """One run of handlers."""

    def __init__(self, app: Reactor, producer: Any, pool: Any) -> None:
        super().__init__(app.bootstrap, app.group, f"{app.prefix}changes", app.in_flight_max, app.security)
        self._app, self._producer, self._pool = app, producer, pool

    async def deal(self, record: Any) -> None:
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
