"""Orders of PayPal that may be several merchants', on the real Postgres: what stands under one is taken in once."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import BatchHarness, batch_harness
from dispatching import Office, office
from outside import outside
from pydantic import SecretStr

from consumer.decode import DecodingTerms, decoded
from providers.paypal.signature import notifications_of
from schemas.record import Attributes, Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = pytest.mark.integration

SEVERAL = DecodingTerms(has_several_merchants=lambda *_: True)
RELATED = {"supplementary_data": {"related_ids": {"order_id": "O1"}}}
COLUMNS = "merchant_account, captured, status, flags, provider_ref"
TAKEN = f"select {COLUMNS} from payments where merged_into is null order by merchant_account, captured"


def money(amount: int) -> dict[str, str]:
    return {"currency_code": "EUR", "value": f"{amount}.00"}


def order(*payees: str, listed: bool = False) -> dict[str, Any]:
    units: list[dict[str, Any]] = [
        {"reference_id": f"u{place}", "amount": money(10 * place), "payee": {"merchant_id": payee}}
        for place, payee in enumerate(payees, start=1)
    ]
    for place, unit in enumerate(units if listed else (), start=1):
        unit["payments"] = {"captures": [{"id": f"C{place}", "status": "COMPLETED", "amount": unit["amount"]}]}
    return {"id": "O1", "status": "COMPLETED", "purchase_units": units}


def posted(kind: str, resource: dict[str, Any], own: str) -> list[Record]:
    body = json.dumps({"id": own, "event_type": kind, "resource": resource}).encode()
    found = []
    for place, one in enumerate(notifications_of(body)):
        headers = Attributes("paypal", str(one.event_id), kind, 1.79e9).to_headers()
        found.append(Record("payments.webhooks", 0, zlib.crc32(own.encode()) + place, 0, b"O1", body, headers))
    return found


def capture(own: str, amount: int) -> list[Record]:
    """Return an event of a capture that names its order, and no payee."""
    return posted("PAYMENT.CAPTURE.COMPLETED", {"id": own, "amount": money(amount), **RELATED}, own)


APPROVED = "CHECKOUT.ORDER.APPROVED"


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


async def take(on: BatchHarness, batch: list[Record]) -> None:
    """Process a batch as the consumer does."""
    await on.processor().write([decoded(record, SEVERAL) for record in batch])


async def alive(harness: BatchHarness | Office) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await harness.pool.fetch(TAKEN)]


async def test_an_order_of_one_payee_takes_in_what_stands_under_it(harness: BatchHarness) -> None:
    """Its captures came in transactions before, one more in its own batch, and one after."""
    for own in ("C1", "C2"):
        await take(harness, capture(own, 10))
    assert await alive(harness) == [("", 1000, "captured", [], "O1")] * 2
    await take(harness, [*capture("C3", 10), *posted(APPROVED, order("P1"), "WH-1")])
    await take(harness, capture("C4", 10))
    assert await alive(harness) == [("P1", 4000, "captured", [], "O1")]
    assert await harness.pool.fetchval("select count(*) from payments where merged_into is not null") == 2


async def test_captures_and_their_order_at_once(harness: BatchHarness) -> None:
    """Each in a transaction of its own, all at once: whoever comes later sees the others."""
    batches = [capture(f"C{place}", 10) for place in range(6)]
    batches.insert(3, posted(APPROVED, order("P1"), "WH-1"))
    await asyncio.gather(*(take(harness, batch) for batch in batches))
    assert await alive(harness) == [("P1", 6000, "captured", [], "O1")]


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Office]:
    async with outside() as world, office(database, world) as open_office:
        yield open_office


async def test_an_order_of_two_payees_that_is_read_again_is_an_event_of_each(api: Office, database: Database) -> None:
    """Its captures name no payee, so the order is asked about; the answer is spooled once a payee."""
    body = json.dumps(order("P1", "P2", listed=True))
    api.world.shown["paypal/v2/checkout/orders/O1"] = ({"Authorization": "Bearer A21AA-0"}, body)
    settings = {
        "api_key": SecretStr("client"),
        "api_secret": SecretStr("hidden"),
        "api_base_url": f"{api.world.url}/apis/paypal",
    }
    async with batch_harness(database.dsn) as ledger:
        await take(ledger, [*capture("C1", 10), *capture("C2", 20)])
        assert [(row["ref"], row["reason"]) for row in await api.rows("refetches")] == [("O1", "stale")]
        lease = await api.lease()
        async with api.job("refetch", providers={"paypal": settings}) as job:
            while await job.turn(lease):
                pass
        spooled = await api.rows("spool")
        ids = [dict(zip(row["header_names"], row["header_values"], strict=True))[b"ce_id"] for row in spooled]
        assert len(ids) == 2
        assert ids[1] == ids[0] + b":P2"
        assert {row["value"] for row in spooled} == {body.encode()}
        for place, row in enumerate(spooled):
            names = [name.decode() for name in row["header_names"]]
            headers = tuple(zip(names, row["header_values"], strict=True))
            await take(ledger, [Record("payments.webhooks", 1, place, 0, b"O1", row["value"], headers)])
    assert await alive(api) == [(f"P{place}", 1000 * place, "captured", [], "O1") for place in (1, 2)]
