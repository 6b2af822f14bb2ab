"""Keeps a table of all payments in a Postgres of the reader's own, from `payments.state` and `payments.changes`.

The rule: a record whose (epoch, version) is not above what the table holds of its payment is dropped. The table's row
and what an effect writes are one transaction, and offsets are committed after it: `kill -9` at any moment leaves
nothing out and does nothing twice. An error ends the reader; started again it goes on where its last transaction was.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from ratchet_client.join import consumer_of
from ratchet_client.publish import PREFIX
from ratchet_client.types import Change, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    import asyncpg

    Effect = Callable[[asyncpg.Connection, dict[str, Any]], Awaitable[None]]

TOPICS: Final = ("state", "changes")
RECORDS_MAX: Final = 500
LOCK: Final = "select pg_advisory_xact_lock(7265_7463)"
TABLE: Final = """
create table if not exists ratchet_payments (
    payment_id uuid primary key, epoch bigint not null, version bigint not null, payment jsonb not null)
"""
KEEP: Final = """
insert into ratchet_payments as held (payment_id, epoch, version, payment) values ($1, $2, $3, $4)
on conflict (payment_id) do update
set epoch = excluded.epoch, version = excluded.version, payment = excluded.payment
where (held.epoch, held.version) < (excluded.epoch, excluded.version)
"""


def change_of(value: dict[str, Any]) -> Change:
    """Return a record of `payments.changes` as its type; fields that are newer than it are left out."""
    return Change(**{one.name: value[one.name] for one in fields(Change)})


def state_of(value: dict[str, Any]) -> State:
    """Return a record of `payments.state` as its type; fields that are newer than it are left out."""
    return State(**{one.name: value[one.name] for one in fields(State)})


class Reader:
    """Reads both topics into the table, for as long as it runs.

    `effect` is called within the transaction for each record that is above what the table held. Where it has to see
    every version, give `topics=("changes",)`: a payment's state says no more than where it stands.
    """

    def __init__(  # noqa: PLR0913 - by name, what is read and where it is kept
        self,
        bootstrap: str,
        *,
        group: str,
        dsn: str,
        prefix: str = PREFIX,
        topics: Iterable[str] = TOPICS,
        effect: Effect | None = None,
        **security: Any,
    ) -> None:
        self._dsn, self._effect = dsn, effect
        self._consumer = consumer_of(bootstrap, group, *(prefix + topic for topic in topics), **security)

    async def run(self) -> None:
        """Read until it is cancelled."""
        import asyncpg

        connection = await asyncpg.connect(self._dsn)
        try:
            async with connection.transaction():
                await connection.execute(LOCK)
                await connection.execute(TABLE)
            await self._consumer.start()
            try:
                while True:
                    await self._step(connection)
            finally:
                await self._consumer.stop()
        finally:
            await connection.close()

    async def _step(self, connection: asyncpg.Connection) -> None:
        fetched = await self._consumer.getmany(timeout_ms=500, max_records=RECORDS_MAX)
        if not fetched:
            return
        values = [decoded(record) for records in fetched.values() for record in records]
        # Stable, so a payment's records keep their order; two readers lock payments in the same order.
        values.sort(key=lambda value: str(value["payment_id"]))
        async with connection.transaction():
            for value in values:
                await self._take(connection, value)
        await asyncio.shield(
            self._consumer.commit({place: records[-1].offset + 1 for place, records in fetched.items()})
        )

    async def _take(self, connection: asyncpg.Connection, value: dict[str, Any]) -> None:
        known = (value["payment_id"], value["epoch"], value["version"])
        done = await connection.execute(KEEP, *known, json.dumps(value))
        if done == "INSERT 0 1" and self._effect is not None:
            await self._effect(connection, value)


def decoded(record: Any) -> dict[str, Any]:
    """Return a record's value; what is no JSON object names its place."""
    try:
        value = json.loads(record.value)
        if isinstance(value, dict) and {"payment_id", "epoch", "version"} <= value.keys():
            return value
    except (ValueError, TypeError):
        pass
    raise ValueError(f"{record.topic}, partition {record.partition}, offset {record.offset}: no record of a payment")
