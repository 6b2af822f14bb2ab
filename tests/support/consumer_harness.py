"""What the consumer tests share: records of payments' lives, their sums by plain arithmetic, the ledger as rows."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace
from pydantic import SecretStr
from waiting import until

from consumer.decode import decoded
from consumer.facts_json import dump_reported, load_reported
from consumer.ledger import COLUMNS, LedgerEntry
from consumer.outages import Outages
from consumer.processing import Processor
from consumer.retries import explain
from consumer.role import PLANNER
from consumer.transaction import BatchWriter
from runtime.clock import SystemClock
from runtime.postgres import open_pool
from runtime.postgres_session import Activity
from runtime.settings import ConsumerSettings, KafkaSettings, ParkingSettings, PostgresSettings, Settings
from schemas.intents import Command
from schemas.record import Attributes, Record
from schemas.topics import INTENTS, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    import asyncpg

    from consumer.plan import Item, Plan
    from runtime.postgres import Pool

SOURCE = "standard_webhooks"
CLIENT = "shop"
CONNECT_SECONDS = 30.0
"""More than the product waits: on a machine under load a session may take that long to open, which is no outage."""


class Event(NamedTuple):
    """One webhook to publish: key, value, headers."""

    event_id: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def webhook(
    kind: str,
    payment: str,
    *,
    event_id: str | None = None,
    amount: int | None = 1000,
    child: str | None = None,
    reference: str | None = None,
    currency: str = "EUR",
) -> Event:
    """Make one Standard Webhooks event as the ingress publishes it."""
    data: dict[str, Any] = {"payment_id": payment, "id": child, "reference": reference}
    if amount is not None:
        data |= {"amount": amount, "currency": currency}
    body = json.dumps({"type": kind, "data": {name: value for name, value in data.items() if value is not None}})
    event_id = event_id or f"{payment}:{kind}:{child or ''}"
    attributes = Attributes(source=SOURCE, event_id=event_id, kind=kind, received_at=1_790_000_000.0)
    return Event(event_id, payment.encode(), body.encode(), attributes.to_headers())


def intent(
    payment_id: uuid.UUID,
    *,
    client: str = CLIENT,
    amount: int = 1000,
    currency: str = "EUR",
    provider: str = SOURCE,
    reference: str | None = None,
    provider_ref: str | None = None,
    merchant_account: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Event:
    """Make one intent as the relay publishes it."""
    body: dict[str, Any] = {"amount": amount, "currency": currency, "provider": provider}
    body |= {"metadata": metadata} if metadata else {}
    named = {"reference": reference, "provider_ref": provider_ref, "merchant_account": merchant_account}
    body |= {name: value for name, value in named.items() if value}
    value = json.dumps({"id": str(payment_id), "client": client, "command": Command.CREATE, "body": body}).encode()
    event_id = f"{payment_id}:create"
    headers = Attributes(source=f"intents/{client}", event_id=event_id, kind="intent.create", received_at=1.79e9)
    return Event(event_id, str(payment_id).encode(), value, headers.to_headers())


def command(payment_id: uuid.UUID, name: str, *, client: str = CLIENT, **body: Any) -> Event:
    """Make one command about a payment as the relay publishes it."""
    value = json.dumps({"id": str(payment_id), "client": client, "command": name, "body": body}).encode()
    event_id = f"{payment_id}:{name}:{uuid.uuid4()}"
    headers = Attributes(source=f"intents/{client}", event_id=event_id, kind=f"intent.{name}", received_at=1.79e9)
    return Event(event_id, str(payment_id).encode(), value, headers.to_headers())


def answer(payment_id: object, command_id: str, state: str, *, source: str = "gateway", **fields: Any) -> Event:
    """Make one answer of an executor to a command, as it publishes it."""
    value = json.dumps({"id": str(payment_id), "command_id": command_id, **fields}).encode()
    event_id = f"{command_id}:{state}"
    headers = {"ce_id": event_id, "ce_source": source, "ce_type": f"command.{state}"}
    return Event(event_id, str(payment_id).encode(), value, tuple((k, v.encode()) for k, v in headers.items()))


def records(events: Iterable[Event], *, topic: str = WEBHOOKS.name, partition: int = 0, first: int = 0) -> list[Record]:
    """Give events their places in a topic."""
    return [
        Record(topic, partition, offset, 1_790_000_000_000 + offset, event.key, event.value, event.headers)
        for offset, event in enumerate(events, start=first)
    ]


def intent_records(events: Iterable[Event], *, first: int = 0) -> list[Record]:
    """Give intents their places in their topic."""
    return records(events, topic=INTENTS.name, first=first)


@dataclass(frozen=True)
class Life:
    """One payment from its creation to a partial refund, in events of which any order is possible."""

    payment: str
    amount: int

    @property
    def refunded(self) -> int:
        return self.amount // 10

    def events(self) -> list[Event]:
        first = self.amount // 3
        return [
            webhook("payment.created", self.payment, amount=self.amount),
            webhook("payment.authorized", self.payment, amount=self.amount),
            webhook("payment.captured", self.payment, amount=first, child=f"{self.payment}-c1"),
            webhook("payment.captured", self.payment, amount=self.amount - first, child=f"{self.payment}-c2"),
            webhook("refund.succeeded", self.payment, amount=self.refunded, child=f"{self.payment}-r1"),
        ]

    def row(self) -> dict[str, Any]:
        """Return the columns of the payment once all is processed, by plain arithmetic."""
        return {
            "provider": SOURCE,
            "provider_ref": self.payment,
            "status": "captured",
            "refund_status": "partial",
            "dispute_status": "none",
            "currency": "EUR",
            "amount": self.amount,
            "authorized": self.amount,
            "captured": self.amount,
            "refunded": self.refunded,
            "disputed": 0,
            "merged_into": None,
        }


def lives(count: int, prefix: str = "pay") -> list[Life]:
    return [Life(f"{prefix}-{number:05d}", 1000 + 7 * number) for number in range(count)]


def settings_for(
    dsn: str,
    *,
    kafka: str | None = None,
    home: Path | None = None,
    parking: dict[str, Any] | None = None,
    **limits: Any,
) -> Settings:
    """Return the settings of a consumer on this database, with `limits` of its ConsumerSettings."""
    settings = Settings().model_copy(
        update={
            "kafka": KafkaSettings(bootstrap=kafka),
            "postgres": PostgresSettings(dsn=SecretStr(dsn), connect_timeout_seconds=CONNECT_SECONDS),
            "consumer": ConsumerSettings(**limits),
            "parking": ParkingSettings(**(parking or {})),
        }
    )
    return settings.model_copy(update={"home": home}) if home else settings


def processor(
    transact: Callable[[Sequence[Item]], Awaitable[Plan]],
    limits: ConsumerSettings,
    renew: Callable[[], Awaitable[None]],
) -> Processor:
    """Return what processes batches through `transact`, where no partition is in quarantine."""
    nobody: Any = None
    return Processor(transact, nobody, Outages(limits, Activity()), limits, renew=renew)


class Away(BaseException):
    """Postgres can't be used: raised where the product would wait."""


async def outage_of(processing: Processor, items: Sequence[Item]) -> str:
    """Write items until the first outage, and return why it is one: the product would wait for its end."""

    async def away(error: Exception, _: Any) -> None:
        raise Away(explain(error))

    processing.outages.away = away  # type: ignore[method-assign]
    try:
        plans = await processing.write(items)
    except Away as outage:
        return str(outage)
    raise AssertionError(f"there was no outage: {plans}")


@dataclass
class BatchHarness:
    """A batch writer on a database, its pool and its settings."""

    pool: Pool
    settings: Settings
    clock: Any = field(default_factory=SystemClock)

    @property
    def writer(self) -> BatchWriter:
        return BatchWriter(self.pool, self.settings, self.clock)

    def processor(self, transact: Callable[[Sequence[Item]], Awaitable[Plan]] | None = None) -> Processor:
        return processor(transact or self.writer.process, self.settings.consumer, self.pool.expire_connections)

    async def process(self, batch: Iterable[Record]) -> list[Plan]:
        return await self.processor().write([decoded(record) for record in batch])

    async def fetch(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch(query, *arguments)]

    async def tables(self) -> Tables:
        return await read_all_tables(self.pool)


@asynccontextmanager
async def batch_harness(dsn: str, *, connections: int = 4, **limits: Any) -> AsyncIterator[BatchHarness]:
    """Open a pool as the consumer does and give a writer on it."""
    settings = settings_for(dsn, **limits)
    pool = await open_pool(settings.postgres, role="consumer", connections=connections, parameters=PLANNER)
    try:
        yield BatchHarness(pool, settings)
    finally:
        await pool.close()


@dataclass
class Tables:
    """All rows of a database."""

    payments: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    letters: list[dict[str, Any]]
    parked: list[dict[str, Any]]

    @property
    def dedupe_keys(self) -> list[tuple[str, str]]:
        return sorted((row["source"], row["event_id"]) for row in self.ledger)

    @property
    def by_ref(self) -> dict[str, dict[str, Any]]:
        return {row["provider_ref"]: row for row in self.payments if row["merged_into"] is None}


async def read_all_tables(pool: Any) -> Tables:
    """Read all tables as they are at one moment."""
    async with pool.acquire() as connection:
        return await read_tables(connection)


async def read_tables(connection: Any) -> Tables:
    """Read all tables as they are at one moment: what is processed meanwhile is in all of them or in none."""

    async def rows(query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in await connection.fetch(query)]

    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return Tables(
            await rows("select * from payments order by id"),
            await rows("select * from payment_logs order by id"),
            await rows("select * from dead_letters order by id"),
            await rows("select * from parked_events order by id"),
        )


def shown(row: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a row that `like` has."""
    return {name: row[name] for name in like}


def broken_chains(tables: Tables) -> list[str]:
    """Walk every payment's ledger rows; return what does not fit: hash, head, versions with a hole."""
    problems = []
    by_payment: dict[Any, list[dict[str, Any]]] = {}
    for row in tables.ledger:
        by_payment.setdefault(row["payment_id"], []).append(row)
    for payment in tables.payments:
        head, versions = b"", []
        for row in by_payment.get(payment["id"], []):
            sealed = LedgerEntry(**{name: row[name] for name in COLUMNS})
            sealed = replace(sealed, facts=dump_reported(load_reported(row["facts"])))
            head = sealed.seal(head)
            versions += [row["version"]] if row["version"] else []
            if head != row["hash"]:
                problems.append(f"ledger row {row['id']}: hash")
        if head != payment["head_hash"]:
            problems.append(f"payment {payment['provider_ref']}: head_hash")
        if versions != list(range(1, payment["version"] + 1)):
            problems.append(f"payment {payment['provider_ref']}: versions {versions} of {payment['version']}")
    return problems


def wrong_payments(tables: Tables, expected: Iterable[Life]) -> list[str]:
    """Compare every payment with what its life comes to."""
    found, problems = tables.by_ref, []
    for life in expected:
        row = found.pop(life.payment, None)
        if row is None or shown(row, life.row()) != life.row():
            problems.append(f"{life.payment}: {row}")
    return problems + [f"{extra}: nobody expected it" for extra in found]


def digest(key: bytes | None, value: bytes | None) -> bytes:
    """Return a dead letter's digest, worked out from its description alone."""
    parts = (b"-" if part is None else str(len(part)).encode() + b":" + part for part in (key, value))
    return hashlib.sha256(b"".join(parts)).digest()


async def until_waiting(observer: asyncpg.Connection[Any], count: int = 1) -> None:
    """Wait until `count` sessions of this database wait for a lock that another one holds."""

    async def waiting() -> bool:
        found = await observer.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return bool(found >= count)

    await until(waiting, f"{count} sessions wait for a lock", 10)
