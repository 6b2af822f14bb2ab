"""Lists that people have read: the dispatcher carries an order out page by page, and says what came of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import until_waiting
from dispatching import Office, office
from outside import outside
from waiting import until

from consumer.dispatcher.role import LEASE_NAME
from ops.console import recall_orders
from ops.console.recall_orders import RecallProgress, RecallStatus
from ops.operators import Operator
from ops.recall_order import RecallOrder
from schemas.errors import LeaseLostError, RatchetError, SettingsError
from tests.integration.test_recall import DAY, HOUR, applied, began, paid, seen, spooled, stripe_of, webhook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database

pytestmark = pytest.mark.integration

ADA = Operator("ada", "admin, 127.0.0.1")
RECALL = {
    "requests_per_second_max": 1000.0, "page_items_max": 2, "order_look_seconds": 1e-6, "backoff_initial_seconds": 1e-6,
    "backoff_max_seconds": 1e-5, "spool_wait_seconds": 1e-6,
}  # fmt: skip
OPEN_MAX = 4


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[Office]:
    async with outside() as world, office(database, world) as open_office:
        yield open_office


async def order(place: Office, days: float = 9, **more: Any) -> int:
    now = dt.datetime.now(dt.UTC)
    asked: dict[str, Any] = {"provider": "stripe", "account": "", "dry_run": False, "until": now}
    asked |= {"since": now - dt.timedelta(days=days), "because": "ticket 7"} | more
    async with place.pool.acquire() as connection:
        return await recall_orders.order_recall(connection, ADA, RecallOrder(**asked), OPEN_MAX)


async def progress(place: Office, number: int) -> RecallProgress:
    async with place.pool.acquire() as connection:
        return await recall_orders.recall_progress(connection, number)


async def carry_out(place: Office, providers: dict[str, Any] | None = None, **recall: Any) -> None:
    """Carry out until no order is open."""
    lease = await place.lease()
    async with place.recall_orders(providers=providers or stripe_of(place), recall=RECALL | recall) as orders:
        open_ones = "select count(*) from recall_orders where ended_at is null"
        async with asyncio.timeout(30):
            while await place.pool.fetchval(open_ones):
                await orders.turn(lease)
    await place.pool.execute("update leases set expires_at = clock_timestamp()")


async def test_a_dry_run_counts_and_the_order_brings_it(harness: Office) -> None:
    now = time.time()
    await began(harness, 2 * DAY)
    harness.world.events = [paid(number, now - number * DAY + 60) for number in range(1, 6)]
    await applied(harness, [webhook(harness.world.events[0], 0)])
    would = await order(harness, dry_run=True)
    await carry_out(harness)
    dry = await progress(harness, would)
    assert (dry.status, dry.pages, dry.known, dry.new, dry.history) == (RecallStatus.DONE, 3, 1, 4, 3)
    assert (dry.kinds, dry.requested_by, dry.because) == ({"payment_intent.succeeded": 4}, "ada", "ticket 7")
    assert (await spooled(harness), await seen(harness)) == ([], {})
    did = await order(harness)
    await carry_out(harness)
    brought = await progress(harness, did)
    assert (brought.new, brought.history, brought.kinds) == (dry.new, dry.history, dry.kinds)
    await applied(harness, await spooled(harness, 1))
    assert await harness.pool.fetchval("select count(*) from payments where status = 'captured'") == 5
    again = await order(harness)
    await carry_out(harness)
    assert ((await progress(harness, again)).new, await spooled(harness)) == (0, [])
    rows = await harness.pool.fetch("select who, origin, action, target, because from operator_actions order by id")
    assert [(row["who"], row["action"], row["because"]) for row in rows] == [("ada", "recall.start", "ticket 7")] * 3
    assert rows[0]["target"].startswith(f"recall {would}, stripe from ")
    assert rows[0]["target"].endswith(", dry run")


async def test_another_dispatcher_goes_on_where_the_first_was_killed(harness: Office) -> None:
    now = time.time()
    await began(harness, 20 * DAY)
    harness.world.events = [paid(number, now - number * HOUR) for number in range(1, 6)]
    number, lease = await order(harness), await harness.lease()
    async with harness.recall_orders(providers=stripe_of(harness), recall=RECALL) as orders:
        assert await orders.turn(lease)
        held = harness.world.fail("/v1/events", accepts=True, holds=asyncio.Event())
        turn = asyncio.create_task(orders.turn(lease))
        await held.met.wait()
        await harness.steal_lease()
        held.holds.set()  # type: ignore[union-attr]
        with pytest.raises(LeaseLostError):
            await turn
    assert (await progress(harness, number)).pages == 1
    await harness.pool.execute("update leases set expires_at = clock_timestamp()")
    calls = harness.world.asked("/v1/events")
    await carry_out(harness)
    ended = await progress(harness, number)
    assert (ended.status, ended.pages, ended.new) == (RecallStatus.DONE, 3, 5)
    assert harness.world.asked("/v1/events") == calls + 2, "the first page is not read again"
    assert len(await spooled(harness)) == 5


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"account": "nobody"}, "stripe/nobody is not configured; set RATCHET_PROVIDERS__"),
        ({"provider": "paypal"}, "set API_SECRET of RATCHET_PROVIDERS__PAYPAL"),
        ({"provider": "square"}, "square is not configured"),
    ],
)
async def test_what_the_dispatcher_can_not_ask_fails_with_the_setting(
    harness: Office, more: dict[str, Any], sentence: str
) -> None:
    number = await order(harness, **more)
    await carry_out(harness, stripe_of(harness) | {"paypal": {"api_key": "client"}})
    ended = await progress(harness, number)
    assert (ended.status, ended.pages) == (RecallStatus.FAILED, 0)
    assert sentence in (ended.error or "")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"provider": "adyen"}, "adyen has no list that could be asked; gocardless, "),
        ({"provider": "nobody"}, "nobody has no list"),
        ({"account": "a/b"}, "account: write it"),
        ({"days": 0.0}, "since must be before until"),
        ({"because": "x" * 501}, "501 characters"),
    ],
)
async def test_what_no_dispatcher_could_ask_is_refused_at_once(
    harness: Office, more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        await order(harness, **more)
    assert await harness.pool.fetchval("select count(*) from operator_actions") == 0


async def test_one_order_of_a_provider_is_open_and_so_many_in_all(harness: Office) -> None:
    number = await order(harness)
    with pytest.raises(RatchetError, match=f"recall {number} of stripe is not over"):
        await order(harness, dry_run=True)
    for provider in ("gocardless", "mollie", "razorpay"):
        await order(harness, provider=provider)
    with pytest.raises(RatchetError, match="4 recalls are not over"):
        await order(harness, provider="square")
    with pytest.raises(asyncpg.UniqueViolationError):
        await harness.pool.execute(
            "insert into recall_orders (provider, account, since, until, dry_run, requested_by, because)"
            " values ('stripe', '', now() - interval '1 d', now(), true, 'eve', '')"
        )
    await carry_out(harness)
    await order(harness, provider="square")


async def test_of_two_who_order_at_once_the_second_finds_the_first(database: Database) -> None:
    """How many are open is counted under a lock that lasts until the order before is committed."""
    now = dt.datetime.now(dt.UTC)
    asked = [
        RecallOrder(one, "", now - dt.timedelta(days=1), now, dry_run=True, because="") for one in ("stripe", "mollie")
    ]
    holder, observer, *people = [await asyncpg.connect(database.owner_dsn) for _ in range(4)]
    try:
        async with holder.transaction():
            await holder.execute("select from operator_action_heads for update")  # the first waits there, uncommitted
            first = asyncio.create_task(recall_orders.order_recall(people[0], ADA, asked[0], 1))
            await until_waiting(observer)
            second = asyncio.create_task(recall_orders.order_recall(people[1], ADA, asked[1], 1))
            await until_waiting(observer, 2)
        await first
        with pytest.raises(RatchetError, match="1 recalls are not over"):
            await second
    finally:
        for one in (holder, observer, *people):
            one.terminate()


async def test_an_api_that_fails_is_asked_again_and_given_up_at_last(harness: Office) -> None:
    await began(harness, 20 * DAY)
    harness.world.events = [paid(1, time.time() - HOUR)]
    harness.world.fail("/v1/events", 503, 500)
    first = await order(harness)
    await carry_out(harness)
    now = await progress(harness, first)
    assert (now.status, now.new, now.error) == (RecallStatus.DONE, 1, None)
    harness.world.fail("/v1/events", 503, 503, 503)
    second = await order(harness)
    await carry_out(harness, order_tries_max=3)
    now = await progress(harness, second)
    assert now.status is RecallStatus.FAILED
    assert "503" in (now.error or "")
    assert "ask again for the rest" in (now.error or "")
    harness.world.fail("/v1/events", 401)
    third = await order(harness)
    await carry_out(harness)
    assert "refuses the credentials (401)" in ((await progress(harness, third)).error or "")


async def test_it_is_stopped_before_the_next_page(harness: Office) -> None:
    await began(harness, 20 * DAY)
    harness.world.events = [paid(number, time.time() - number * HOUR) for number in range(1, 6)]
    number, lease = await order(harness), await harness.lease()
    async with harness.recall_orders(providers=stripe_of(harness), recall=RECALL) as orders:
        await orders.turn(lease)
        async with harness.pool.acquire() as connection:
            await recall_orders.stop_recall(connection, Operator("eve"), number)
            await recall_orders.stop_recall(connection, Operator("eve"), number)
        await orders.turn(lease)
    ended = await progress(harness, number)
    assert (ended.status, ended.stopped_by, ended.pages, ended.new) == (RecallStatus.STOPPED, "eve", 1, 2)
    actions = await harness.pool.fetch("select who, target from operator_actions where action = 'recall.stop'")
    assert [tuple(row) for row in actions] == [("eve", f"recall {number}")]


async def test_one_that_has_not_begun_is_stopped_without_a_dispatcher(harness: Office) -> None:
    number = await order(harness)
    async with harness.pool.acquire() as connection:
        ended = await recall_orders.stop_recall(connection, Operator("eve"), number)
    assert (ended.status, ended.ended) == (RecallStatus.STOPPED, True)


async def test_what_lies_before_the_list_is_named_and_not_asked(harness: Office) -> None:
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=60)
    number = await order(harness, days=90, until=long_ago)
    await carry_out(harness)
    assert "stripe's lists reach back until" in ((await progress(harness, number)).error or "")
    assert harness.world.asked("/v1/events") == 0


async def test_a_full_spool_puts_the_order_off(harness: Office) -> None:
    await began(harness, 20 * DAY)
    harness.world.events = [paid(number, time.time() - number * HOUR) for number in range(1, 5)]
    number, lease = await order(harness), await harness.lease()
    recall = RECALL | {"spool_rows_max": 2}
    async with harness.recall_orders(providers=stripe_of(harness), recall=recall) as orders:
        for _ in range(4):
            await orders.turn(lease)
        assert ((await progress(harness, number)).pages, len(await spooled(harness))) == (1, 2)
        while not (await progress(harness, number)).ended:
            await orders.turn(lease)
    assert len(await spooled(harness)) == 2


@pytest.mark.slow
async def test_kill_nine_in_the_middle_of_an_order_loses_and_doubles_nothing(harness: Office, tmp_path: Path) -> None:
    await began(harness, 2 * DAY)
    harness.world.events = [paid(number, time.time() - number * 600) for number in range(1, 61)]
    more = {"RATCHET_RECALL__PAGE_ITEMS_MAX": "5", "RATCHET_RECALL__REQUESTS_PER_SECOND_MAX": "50"}
    number = await order(harness)
    for run, least in enumerate((5, 25, 60)):
        holds = asyncio.Event()
        if least < 60:
            harness.world.faults.clear()
            for _ in range(1 + 2 * run):
                harness.world.fail("/v1/events", accepts=True)
            harness.world.fail("/v1/events", accepts=True, holds=holds)
        async with harness.process(tmp_path / str(run), **more) as process:

            async def enough(least: int = least) -> bool:
                return (await progress(harness, number)).new >= least

            await until(enough, within_seconds=60)
            process.kill()
            await process.wait()
        holds.set()
        await harness.pool.execute("update leases set expires_at = clock_timestamp() where name = $1", LEASE_NAME)
    now = await progress(harness, number)
    assert (now.status, now.new, now.known) == (RecallStatus.DONE, 60, 0)
    ids = [dict(record.headers)["ce_id"] for record in await spooled(harness)]
    assert len(ids) == 60
    assert set(ids) == {f"evt_{one}".encode() for one in range(1, 61)}
