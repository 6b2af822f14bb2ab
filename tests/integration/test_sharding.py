"""Two Postgres servers, each of a whole Ratchet: which key may decide where an event goes, and which may not."""

from __future__ import annotations

import json
import shutil
import uuid
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from consumer_harness import (
    SOURCE,
    BatchHarness,
    Event,
    batch_harness,
    broken_chains,
    intent,
    intent_records,
    lives,
    read_tables,
    records,
    webhook,
)

from consumer.decode import decoded
from ops.audit import walk
from producers.ingress.intents.queued import key_of
from runtime.migrations import migrate_up
from runtime.settings import load
from runtime.stack import Stack
from tests.conftest import HOMES, role_of, run_as_superuser, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SHARDS = 2
ACCOUNTS = ("north", "oslo", "acme", "paris")
SHOWN = (
    "account", "provider_ref", "reference", "client", "status", "refund_status", "currency", "amount", "authorized",
    "captured", "refunded", "flags", "version",
)  # fmt: skip


@pytest.fixture(scope="module")
async def second_server() -> AsyncIterator[Endpoints]:
    """Run a second set of embedded brokers: another Postgres server, with another cluster's transaction ids."""
    if not load().embedded():
        pytest.skip("the configured Postgres is one")
    home = HOMES / f"second-{uuid.uuid4().hex[:8]}"
    brokers = Stack(home)
    try:
        yield await brokers.start()
    finally:
        await brokers.stop()
        shutil.rmtree(home, ignore_errors=True)


class Sent(NamedTuple):
    """One record on its way: the account that its path or its body names, and whether it is an intent."""

    account: str
    event: Event
    of_intents: bool = False


def shard_of(key: bytes) -> int:
    return sha256(key).digest()[0] % SHARDS


def by_account(sent: Sent) -> int:
    """Route by (provider, account), which is the path of a webhook and two fields of an intent's body."""
    return shard_of(f"{SOURCE}/{sent.account}".encode())


def by_key(sent: Sent) -> int:
    """Route by the record's key, as Kafka's partitions are chosen."""
    return shard_of(sent.event.key)


def at(account: str, event: Event) -> Sent:
    """Have a webhook come to an account's endpoint."""
    headers = dict(event.headers) | {"ce_source": f"{SOURCE}/{account}".encode()}
    return Sent(account, event._replace(headers=tuple(headers.items())))


def asked(account: str, number: int, **fields: Any) -> Sent:
    """Have a client promise a payment of an account, under the key that the ingress gives it."""
    payment_id = uuid.UUID(int=number, version=4)
    event = intent(payment_id, **fields)
    body = json.loads(event.value)
    body["body"]["account"] = account
    key = fields.get("provider_ref") or fields.get("reference") or str(payment_id)
    return Sent(account, event._replace(key=key.encode(), value=json.dumps(body).encode()), of_intents=True)


def year() -> list[Sent]:
    """Return lives, merges and orders of four accounts; what a merchant calls his order is the same in each."""
    found = []
    for number, account in enumerate(ACCOUNTS, 1):
        found += [at(account, event) for life in lives(6, account) for event in life.events()]
        merged = f"{account}-merged"
        found += [
            asked(account, 100 * number, amount=1000, reference="ORD-1"),
            at(account, webhook("payment.captured", f"{account}-gift", child="g", amount=200, reference="ORD-1")),
            at(account, webhook("payment.captured", f"{account}-card", child="c", amount=800, reference="ORD-1")),
            at(account, webhook("payment.captured", merged, child="m", amount=500)),
            asked(account, 100 * number + 1, amount=500, provider_ref=merged),
        ]
    return found


async def tables_of(shard: Any) -> Any:
    """Read all tables of a shard at one moment."""
    async with shard.pool.acquire() as connection:
        return await read_tables(connection)


async def apply(shard: BatchHarness, sent: Sequence[Sent]) -> None:
    """Have a shard's consumer apply what came to its topics."""
    batch = [*intent_records(one.event for one in sent if one.of_intents)]
    batch += records(one.event for one in sent if not one.of_intents)
    await shard.processor().write([decoded(record) for record in batch])


async def shown(shard: BatchHarness) -> list[tuple[Any, ...]]:
    rows = await shard.fetch("select * from payments where merged_into is null")
    return sorted(tuple(map(str, (row[name] for name in SHOWN))) for row in rows)


@pytest.fixture
async def shards(database: Database, second_server: Endpoints) -> AsyncIterator[list[BatchHarness]]:
    """Give the consumers of two Ratchets, each on a Postgres server of its own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    await run_as_superuser(second_server, f"create database {name} owner {role_of(second_server.owner_dsn)}")
    owner_dsn = with_database(second_server.owner_dsn, name)
    await migrate_up(owner_dsn, role_of(second_server.dsn))
    async with batch_harness(database.dsn) as first, batch_harness(with_database(second_server.dsn, name)) as second:
        servers = [
            await shard.pool.fetchval("select system_identifier from pg_control_system()") for shard in (first, second)
        ]
        assert servers[0] != servers[1], "two servers"
        yield [first, second]
    await run_as_superuser(second_server, f"drop database {name} with (force)")


@pytest.fixture
async def alone(stack: Endpoints, template_database: str) -> AsyncIterator[BatchHarness]:
    """Give the consumer of one Ratchet that has all of it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    await run_as_superuser(
        stack, f"create database {name} template {template_database} owner {role_of(stack.owner_dsn)}"
    )
    async with batch_harness(with_database(stack.dsn, name)) as shard:
        yield shard
    await run_as_superuser(stack, f"drop database {name} with (force)")


async def test_routed_by_account_two_ratchets_come_to_what_one_does(
    shards: list[BatchHarness], alone: BatchHarness
) -> None:
    sent = year()
    homes = [[one for one in sent if by_account(one) == number] for number in range(SHARDS)]
    assert all({one.account for one in mine} for mine in homes), "both have accounts"
    for shard, mine in zip(shards, homes, strict=True):
        await apply(shard, mine)
    await apply(alone, sent)
    apart = [await shown(shard) for shard in shards]
    assert sorted(apart[0] + apart[1]) == await shown(alone)
    assert {row[0] for row in apart[0]}.isdisjoint(row[0] for row in apart[1]), "an account has one home"
    events = [{(row["source"], row["event_id"]) for row in (await tables_of(shard)).ledger} for shard in shards]
    assert events[0].isdisjoint(events[1])
    for shard in (*shards, alone):
        rows = await tables_of(shard)
        assert broken_chains(rows) == rows.letters == rows.parked == []
        async with shard.pool.acquire() as connection:
            assert (await walk(connection, 10)).ok


async def test_routed_by_the_records_key_an_order_and_its_money_do_not_meet(
    shards: list[BatchHarness], alone: BatchHarness
) -> None:
    """So that key may not be used: an intent is keyed by what it promises, the money by the provider's id."""
    card = webhook("payment.captured", "card", child="c", amount=1000, reference="ORD-7")
    order = next(
        one
        for number in range(100)
        if by_key(one := asked("north", number, amount=1000, reference=f"ORD-{number}")) != by_key(at("north", card))
    )
    reference = json.loads(order.event.value)["body"]["reference"]
    money = at("north", webhook("payment.captured", "card", child="c", amount=1000, reference=reference))
    for one in (order, money):
        await apply(shards[by_key(one)], [one])
    await apply(alone, [order, money])
    query = "select captured from payments where client is not null"
    assert await alone.pool.fetchval(query) == 1000
    assert await shards[by_key(order)].pool.fetchval(query) == 0, "it waits for ever"
    assert await shards[by_key(money)].pool.fetchval("select captured from payments") == 1000, (
        "the money stands beside it"
    )


def test_the_key_of_an_intent_is_what_the_ingress_takes() -> None:
    payment_id = uuid.uuid4()
    known = SimpleNamespace(provider_ref=None, reference="ORD-1")
    assert key_of(known, payment_id) == "ORD-1"  # type: ignore[arg-type]
    known.provider_ref = "pi_1"
    assert key_of(known, payment_id) == "pi_1"  # type: ignore[arg-type]
