"""Runs a function on each transition of a payment: `on_captured(payment)`, with retries and a topic for what fails.

Changes of one payment are handled one after another, different payments side by side. What fails is tried again after a
growing pause, and after the last try it goes to the dead-letter topic with its key, value, headers and what was wrong;
the payment's later changes go on, for each says how the payment stands. Offsets are committed up to the first change
that is not dealt with.

After a `kill -9` a change comes again: `payment.effect_id` is its name for what the handler asks of others. With a DSN
each change is handled within a transaction that also notes its (epoch, version), and what the handler writes through
the connection that it is given happens exactly once.
"""

from __future__ import annotations

import contextlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer

from ratchet_client.connections import notice_losses
from ratchet_client.ordered import Retry
from ratchet_client.publish import PREFIX
from ratchet_client.read import LOCK
from ratchet_client.running import Run

__all__ = ["EVERY", "Reactor", "Retry"]

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from ratchet_client.types import Change

    Handler = Callable[..., Awaitable[None]]

EVERY: Final = "change"
"""The handler of all changes, whatever the status."""
TABLE: Final = """
create table if not exists ratchet_handled (
    consumer_group text, payment_id uuid, epoch bigint not null, version bigint not null,
    primary key (consumer_group, payment_id))
"""


@dataclass
class Reactor:
    """Handlers, by the status that a payment goes to; `change` is the handler of all."""

    bootstrap: str
    group: str
    dead_letters: str
    prefix: str = PREFIX
    dsn: str | None = None
    retry: Retry = field(default_factory=Retry)
    in_flight_max: int = 200
    security: dict[str, Any] = field(default_factory=dict)
    handlers: dict[str, list[Handler]] = field(default_factory=dict)

    def on(self, status: str) -> Callable[[Handler], Handler]:
        """Return a decorator: the function runs when a payment goes to `status`, or on every `change`."""

        def add(handler: Handler) -> Handler:
            self.handlers.setdefault(status, []).append(handler)
            return handler

        return add

    def take(self, module: ModuleType) -> Reactor:
        """Add each function `on_<status>` of a module."""
        for name, handler in inspect.getmembers(module, inspect.iscoroutinefunction):
            if name.startswith("on_"):
                self.on(name.removeprefix("on_"))(handler)
        return self

    def handlers_of(self, change: Change) -> list[Handler]:
        """Return what runs on a change: its status' handlers where that is new, and those of every change."""
        moved = change.to_status if change.to_status != change.from_status else None
        return [*self.handlers.get(str(moved), ()), *self.handlers.get(EVERY, ())]

    async def run(self) -> None:
        """Handle changes until it is cancelled; an error that is not a handler's ends it, and loses nothing."""
        async with contextlib.AsyncExitStack() as opened:
            pool = await opened.enter_async_context(_pool(self.dsn)) if self.dsn else None
            notice_losses()
            producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap, enable_idempotence=True, acks="all", **self.security
            )
            await producer.start()
            opened.push_async_callback(producer.stop)
            await Run(self, producer, pool).read()


@contextlib.asynccontextmanager
async def _pool(dsn: str) -> Any:
    import asyncpg

    async with asyncpg.create_pool(dsn, min_size=1, max_size=10) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(TABLE)
        yield pool
