"""What never came is found: a provider's list is read page by page, and what it shows has its effect exactly once."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import batch_harness, until_waiting
from dispatching import Office, office
from filled_database import undone
from msgspec.structs import replace
from outside import intent, mollie_payment, outside, stripe_event
from pydantic import SecretStr
from typer.testing import CliRunner
from waiting import until
from written_rows import insert

from consumer.dispatcher.role import LEASE_NAME
from ops.cli import app
from runtime import metrics
from runtime.postgres_arrays import text_array
from runtime.sql import statement
from schemas.errors import LeaseLostError
from schemas.record import RECALL_HEADER, Attributes, Record
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

    from consumer.plan import Plan

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
HOUR, DAY = 3600.0, 86_400.0
RECALL = {"delay_seconds": 1.0, "requests_per_second_max": 1000.0, "page_items_max": 2, "count_seconds": 1e-6}


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[Office]:
    async with outside() as world, office(database, world) as open_office:
        yield open_office


def stripe_of(jobs: Office) -> dict[str, Any]:
    return {"stripe": {"api_key": SecretStr("sk_test"), "api_base_url": jobs.world.url, "recall": True}}


def paypal_of(jobs: Office) -> dict[str, Any]:
    keys = {"api_key": SecretStr("client"), "api_secret": SecretStr("hidden")}
    return {"paypal": keys | {"api_base_url": jobs.world.url, "recall": True}}


def paid(number: int, created: float) -> dict[str, Any]:
    key = f"pi_{number}"
    return stripe_event(
        number, "payment_intent.succeeded", intent(key, status="succeeded", amount_received=1000), created
    )


def webhook(event: dict[str, Any], offset: int) -> Record:
    """Return the record that the ingress makes of an event's webhook."""
    headers = Attributes("stripe", event["id"], event["type"], time.time()).to_headers()
    value = json.dumps(event, separators=(",", ":")).encode()
    return Record(WEBHOOKS.name, 0, offset, 0, event["data"]["object"]["id"].encode(), value, headers)


async def began(jobs: Office, seconds_ago: float, provider: str = "stripe", listing: str = "events") -> None:
    """Write when the endpoint's secret was configured."""
    await jobs.pool.execute(
        "insert into recall_cursors (provider, account, list, began_at, read_until)"
        " select $1, '', $3, at, at from (select clock_timestamp() - make_interval(secs => $2) as at) as began",
        provider, seconds_ago, listing,
    )  # fmt: skip


async def read_all(jobs: Office, providers: dict[str, Any], **recall: Any) -> int:
    """Turn the job until it has nothing more to read; return how many pages followed each other."""
    lease, turns = await jobs.lease(), 1
    async with jobs.job("recall", providers=providers, recall=RECALL | recall) as job:
        while await job.turn(lease):
            turns += 1
    await jobs.pool.execute("update leases set expires_at = clock_timestamp()")
    return turns


async def spooled(jobs: Office, first: int = 0) -> list[Record]:
    """Take the spool's rows out as the relay publishes them."""
    rows = await jobs.pool.fetch("with taken as (delete from spool returning *) select * from taken order by id")
    return [
        Record(row["topic"], 0, first + place, 0, row["key"], row["value"],
               tuple((n.decode(), v) for n, v in zip(row["header_names"], row["header_values"], strict=True)))
        for place, row in enumerate(rows)
    ]  # fmt: skip


async def process(jobs: Office, records: list[Record]) -> Plan:
    async with batch_harness(jobs.dsn) as ledger:
        return await ledger.process(records)


applied = process


async def seen(jobs: Office) -> dict[str, tuple[bool, bool, bool]]:
    """Return of each event whether recall was first, whether its webhook came, whether it is lost."""
    rows = await jobs.pool.fetch("select * from recalled_events")
    return {row["event_id"]: tuple(row[at] is not None for at in ("first_at", "webhook_at", "lost_at")) for row in rows}  # type: ignore[misc]


def totals(metric: Any) -> dict[str, float]:
    return {
        sample.labels["provider"]: sample.value
        for family in metric.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }


async def test_a_muted_webhook_has_its_effect_and_is_counted(harness: Office) -> None:
    now = time.time()
    await began(harness, 20 * DAY)
    harness.world.events = [paid(number, now - number * HOUR) for number in (3, 4, 5, 100)]
    await process(harness, [webhook(harness.world.events[0], 0)])
    assert await read_all(harness, stripe_of(harness)) == 2, "two pages of two"
    records = await spooled(harness, 1)
    assert sorted(dict(record.headers)["ce_id"] for record in records) == [b"evt_100", b"evt_4", b"evt_5"]
    assert {dict(record.headers)[RECALL_HEADER] for record in records} == {b"events"}
    await process(harness, records)
    rows = await harness.pool.fetch("select provider_ref, status, captured, livemode from payments order by 1")
    assert [tuple(row) for row in rows] == [(f"pi_{n}", "captured", 1000, True) for n in (100, 3, 4, 5)]
    await read_all(harness, stripe_of(harness))
    assert await spooled(harness) == [], "what came already costs nothing"
    assert await seen(harness) == {
        "evt_4": (True, False, False), "evt_5": (True, False, False), "evt_100": (True, False, True),
    }  # fmt: skip
    assert (totals(metrics.WEBHOOKS_RECALLED), totals(metrics.WEBHOOKS_LOST)) == ({"stripe": 3}, {"stripe": 1})
    await process(harness, [webhook(harness.world.events[1], 9)])
    assert await harness.pool.fetchval("select count(*) from payment_logs") == 4, "the late webhook is a duplicate"
    assert (await seen(harness))["evt_4"] == (True, True, False)
    await harness.pool.execute("update recalled_events set occurred_at = occurred_at - interval '4 days'")
    await read_all(harness, stripe_of(harness))
    assert totals(metrics.WEBHOOKS_LOST) == {"stripe": 2}, "evt_4 came late, evt_5 never"


async def test_a_webhook_that_was_on_its_way_is_not_counted(harness: Office) -> None:
    """Kafka had it already when recall saw it: it was neither brought by recall nor lost."""
    await began(harness, DAY)
    harness.world.events = [paid(1, time.time() - HOUR)]
    await read_all(harness, stripe_of(harness))
    [record] = await spooled(harness, 1)
    await process(harness, [webhook(harness.world.events[0], 0), record])
    assert await seen(harness) == {"evt_1": (False, True, False)}
    assert await harness.pool.fetchval("select count(*) from payment_logs") == 1


async def test_what_waits_or_is_a_dead_letter_came_already(harness: Office) -> None:
    await began(harness, DAY)
    harness.world.events = [paid(number, time.time() - number * HOUR) for number in range(1, 5)]
    await process(harness, [webhook(harness.world.events[0], 0)])
    await harness.pool.execute(
        'insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition, "offset",'
        " timestamp_ms, header_names, header_values, parked_at, deadline)"
        " values ('stripe', 'evt_2', '', 'orphan', '', '[]', 'payments.webhooks', 0, 1, 0, '{}', '{}', now(), now())"
    )
    broken = replace(webhook(harness.world.events[2], 2), value=b"{")
    await process(harness, [broken])
    ids = [one["id"] for one in harness.world.events]
    known = await harness.pool.fetch(statement("consumer.dispatcher", "find_known"), "stripe", ids)
    assert {row["event_id"] for row in known} == {"evt_1", "evt_2", "evt_3"}
    await read_all(harness, stripe_of(harness))
    assert [dict(record.headers)["ce_id"] for record in await spooled(harness, 9)] == [b"evt_4"]
    assert set(await seen(harness)) == {"evt_4"}


async def test_paypals_list_brings_the_same_events_as_its_webhooks(harness: Office) -> None:
    now = time.time()
    await began(harness, DAY, "paypal")
    harness.world.notifications = [
        {
            "id": f"WH-{number}",
            "create_time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now - number * HOUR)),
            "resource_type": "capture",
            "event_type": kind,
            "resource": {
                "id": f"CAP{number}",
                "amount": {"value": "10.00", "currency_code": "EUR"},
                "status": "COMPLETED",
                "final_capture": True,
                "supplementary_data": {"related_ids": {"order_id": f"ORDER{number}"}},
            },
        }
        for number, kind in enumerate(
            ["PAYMENT.CAPTURE.COMPLETED", "CATALOG.PRODUCT.CREATED", *["PAYMENT.CAPTURE.COMPLETED"] * 3], 1
        )
    ]
    assert await read_all(harness, paypal_of(harness)) == 3
    assert harness.world.asked("/v1/oauth2/token") == 1, "one token serves all pages"
    assert all(call[1].startswith("/v1/") for call in harness.world.calls), "the link's host was not asked"
    records = await spooled(harness)
    assert sorted(dict(record.headers)["ce_id"] for record in records) == [b"WH-1", b"WH-3", b"WH-4", b"WH-5"]
    await process(harness, records)
    rows = await harness.pool.fetch("select status, captured from payments")
    assert [tuple(row) for row in rows] == [("captured", 1000)] * 4


async def test_a_token_that_is_taken_no_longer_is_asked_for_again(harness: Office) -> None:
    await began(harness, DAY, "paypal")
    lease, recall = await harness.lease(), RECALL | {"interval_seconds": 1e-6, "backoff_initial_seconds": 1e-6}
    async with harness.job("recall", providers=paypal_of(harness), recall=recall) as job:
        await job.turn(lease)
        harness.world.tokens.append("another")
        await job.turn(lease)
        error = await harness.pool.fetchval("select last_error from recall_cursors")
        assert "takes the access token no longer" in error
        await job.turn(lease)
    assert await harness.pool.fetchval("select last_error from recall_cursors") is None


async def test_a_page_that_the_list_does_not_know_any_more_begins_its_span_anew(harness: Office) -> None:
    await began(harness, DAY)
    harness.world.events = [paid(number, time.time() - number * HOUR) for number in range(1, 5)]
    lease = await harness.lease()
    async with harness.job(
        "recall", providers=stripe_of(harness), recall=RECALL | {"backoff_initial_seconds": 1e-6}
    ) as job:
        assert await job.turn(lease)
        await harness.pool.execute("update recall_cursors set page = 'evt_gone'")
        assert not await job.turn(lease)
        [row] = await harness.pool.fetch("select * from recall_cursors")
        assert (row["page"], "refuses the list events (400)" in row["last_error"]) == (None, True)
        assert await job.turn(lease)
        assert not await job.turn(lease)
    [row] = await harness.pool.fetch("select * from recall_cursors")
    assert (row["since"], row["page"], row["last_error"]) == (None, None, None)
    assert len(await spooled(harness)) == 4


async def test_history_is_not_lost(harness: Office) -> None:
    """What happened before the secret was configured could not be delivered: the dispatcher does not ask for it."""
    await began(harness, 5 * DAY)
    harness.world.events = [paid(1, time.time() - 4 * DAY), paid(2, time.time() - 6 * DAY)]
    await read_all(harness, stripe_of(harness))
    assert await seen(harness) == {"evt_1": (False, False, False)}


async def test_what_was_lost_stays_counted_however_old_it_is(harness: Office) -> None:
    """Forgotten is history, and what came by a webhook as well; of what recall brought first the totals are made."""
    await harness.pool.execute(
        "insert into recalled_events (source, event_id, kind, occurred_at, history, first_at, lost_at, seen_at)"
        " select 'stripe', name, 'k', now() - make_interval(days => days), history,"
        " case when first then now() end, case when lost then now() end, now() - make_interval(days => days)"
        " from (values ('history', 40, true, true, false), ('webhook', 40, false, false, false),"
        " ('lost', 40, false, true, true), ('not yet lost', 40, false, true, false),"
        " ('young history', 20, true, true, false), ('on its way', 20, false, false, false))"
        " as n (name, days, history, first, lost)"
    )
    lease = await harness.lease()
    async with harness.job("recall", providers=stripe_of(harness), recall=RECALL | {"kept_days": 30}) as job:
        await job.turn(lease)
    assert set(await seen(harness)) == {"lost", "not yet lost", "young history", "on its way"}
    assert (totals(metrics.WEBHOOKS_RECALLED), totals(metrics.WEBHOOKS_LOST)) == ({"stripe": 2}, {"stripe": 2})


async def test_a_full_spool_puts_the_reading_off(harness: Office) -> None:
    await began(harness, DAY)
    harness.world.events = [paid(number, time.time() - number * HOUR) for number in range(1, 5)]
    await read_all(harness, stripe_of(harness), spool_rows_max=2)
    assert (harness.world.asked("/v1/events"), len(await spooled(harness))) == (1, 2)
    await read_all(harness, stripe_of(harness), spool_rows_max=20)
    assert len(await spooled(harness)) == 2, "it goes on where it stood"


async def test_a_lost_lease_writes_neither_cursor_nor_spool(harness: Office) -> None:
    await began(harness, DAY)
    harness.world.events = [paid(1, time.time() - HOUR)]
    lease, fault = await harness.lease(), harness.world.fail("/v1/events", accepts=True, holds=asyncio.Event())
    async with harness.job("recall", providers=stripe_of(harness), recall=RECALL) as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        successor = await harness.steal_lease()
        fault.holds.set()  # type: ignore[union-attr]
        with pytest.raises(LeaseLostError):
            await turn
        assert await spooled(harness) == []
        assert await seen(harness) == {}
        assert not await job.turn(successor)
    assert len(await spooled(harness)) == 1


async def test_a_page_of_a_cursor_that_another_moved_writes_nothing(harness: Office) -> None:
    await began(harness, DAY)
    harness.world.events = [paid(1, time.time() - HOUR)]
    lease, fault = await harness.lease(), harness.world.fail("/v1/events", accepts=True, holds=asyncio.Event())
    async with harness.job("recall", providers=stripe_of(harness), recall=RECALL) as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        moved = await harness.pool.fetchrow("update recall_cursors set turns = turns + 1 returning turns, read_until")
        fault.holds.set()  # type: ignore[union-attr]
        await turn
        assert await spooled(harness) == []
        assert await harness.pool.fetchrow("select turns, read_until from recall_cursors") == moved


async def test_an_api_that_fails_is_left_alone_and_nothing_is_skipped(harness: Office) -> None:
    await began(harness, DAY)
    harness.world.events = [paid(1, time.time() - HOUR)]
    harness.world.fail("/v1/events", 503, 500, 200)
    recall = RECALL | {"backoff_initial_seconds": 1e-6, "backoff_max_seconds": 1e-5}
    lease = await harness.lease()
    async with harness.job("recall", providers=stripe_of(harness), recall=recall) as job:
        for error in ("answered 503", "answered 500", "answered with something else than the list events"):
            await job.turn(lease)
            assert error in await harness.pool.fetchval("select last_error from recall_cursors")
        assert await spooled(harness) == []
        await job.turn(lease)
    assert len(await spooled(harness)) == 1


def mollie_of(jobs: Office) -> dict[str, Any]:
    return {"mollie": {"api_key": SecretStr("test_mollie"), "api_base_url": jobs.world.url, "recall": True}}


def listed_payment(number: int, created: float, status: str) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(created))
    return mollie_payment(f"tr_{number}", status, createdAt=at) | ({"paidAt": at} if status == "paid" else {})


async def hint(jobs: Office, ref: str) -> None:
    """Take an old webhook of Mollie as the ingress does."""
    await jobs.pool.fetchrow(statement("producers", "queue_hint"), "mollie", "", ref, 100, 100, 1e-6, None)


async def test_the_state_of_a_listed_payment_has_its_effect_once(harness: Office) -> None:
    """Mollie lists payments: their states are events of ours, and say what an answer to a hint says."""
    now = time.time()
    await began(harness, 2 * DAY, "mollie", "payments")
    harness.world.payments = [
        listed_payment(1, now - 1 * HOUR, "open"), listed_payment(2, now - 2 * HOUR, "paid"),
        listed_payment(3, now - 3 * HOUR, "paid"), listed_payment(4, now - 9 * DAY, "paid"),
        listed_payment(5, now - 10 * DAY, "paid"),
    ]  # fmt: skip
    answer = json.dumps(harness.world.payments[1], separators=(",", ":")).encode()
    reported = Record(WEBHOOKS.name, 0, 0, 0, b"tr_2", answer,
                  Attributes("mollie", "refetch:x", "refetch.payment", now).to_headers())  # fmt: skip
    await process(harness, [reported])
    await hint(harness, "tr_3")
    assert await read_all(harness, mollie_of(harness)) == 2, "the second page begins before the span"
    records = await spooled(harness, 1)
    assert len(records) == 3
    await process(harness, records)
    rows = await harness.pool.fetch("select provider_ref, status from payments order by 1")
    assert [tuple(row) for row in rows] == [("tr_1", "created"), ("tr_2", "captured"), ("tr_3", "captured")]
    outcomes = await harness.pool.fetch("select outcome from payment_logs where event_type = 'recall.payment'")
    assert sorted(row["outcome"] for row in outcomes) == ["applied", "applied", "noop"]
    by_ref = {row["ref"]: row for row in await harness.pool.fetch("select * from recalled_events")}
    noted = {ref: (row["first_at"] is not None, row["webhook_at"] is not None) for ref, row in by_ref.items()}
    assert noted == {"tr_1": (True, False), "tr_2": (False, False), "tr_3": (True, True)}, "tr_3's webhook waited"
    await hint(harness, "tr_1")
    assert await harness.pool.fetchval("select webhook_at is not null from recalled_events where ref = 'tr_1'")
    harness.world.payments[0] = listed_payment(1, now - 1 * HOUR, "paid")
    await harness.pool.execute("update refetches set reason = 'stale', status = 'done'")
    await read_all(harness, mollie_of(harness))
    [record] = await spooled(harness, 9)
    await process(harness, [record])
    assert await harness.pool.fetchval("select status from payments where provider_ref = 'tr_1'") == "captured"
    await harness.pool.execute("update recalled_events set occurred_at = occurred_at - interval '2 days'")
    await read_all(harness, mollie_of(harness))
    assert totals(metrics.WEBHOOKS_LOST) == {"mollie": 1}, "the state of tr_1 that no webhook reported"


async def test_a_signed_webhook_of_a_listed_object_is_noted(harness: Office) -> None:
    now = time.time()
    await began(harness, DAY, "mollie", "payments")
    harness.world.payments = [listed_payment(1, now - HOUR, "paid")]
    await read_all(harness, mollie_of(harness))
    await process(harness, await spooled(harness))
    event = {"id": "event_1", "type": "payment.paid", "entityId": "tr_1", "createdAt": "2026-11-01T10:00:00Z",
             "_embedded": {"entity": harness.world.payments[0]}}  # fmt: skip
    headers = Attributes("mollie", "event_1", "payment.paid", now).to_headers()
    await process(harness, [Record(WEBHOOKS.name, 0, 5, 0, b"tr_1", json.dumps(event).encode(), headers)])
    assert list((await seen(harness)).values()) == [(True, True, False)]


def command_of(jobs: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Give `ratchet recall --json` with the office's settings."""
    for name in [name for name in os.environ if name.startswith("RATCHET_")]:
        monkeypatch.delenv(name)
    found = {
        "HOME": str(tmp_path), "KAFKA__BOOTSTRAP": "127.0.0.1:1", "POSTGRES__DSN": jobs.dsn,
        "PROVIDERS__STRIPE__API_KEY": "sk_test", "PROVIDERS__STRIPE__API_BASE_URL": jobs.world.url,
        "RECALL__PAGE_ITEMS_MAX": "2", "RECALL__REQUESTS_PER_SECOND_MAX": "1000",
        "RECALL__BACKOFF_INITIAL_SECONDS": "0.01",
    }  # fmt: skip
    for name, value in found.items():
        monkeypatch.setenv(f"RATCHET_{name}", value)

    async def run(*words: str) -> Any:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["recall", *words, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


async def test_what_is_noted_of_many_events_is_locked_in_the_order_of_their_ids(database: Database) -> None:
    """However the batch groups them: two that note the same events in turned order would wait for each other."""
    ids = [f"e-{number}" for number in range(1, 9)]
    every = "select event_id from recalled_events order by event_id for update skip locked"
    async with (
        asyncpg.create_pool(database.owner_dsn, min_size=3, max_size=3) as pool,
        pool.acquire() as holder,
        pool.acquire() as asker,
        pool.acquire() as observer,
    ):
        for event_id in reversed(ids):
            row = {"source": "p/a", "event_id": event_id, "kind": "k", "history": False}
            await insert(holder, "recalled_events", **row, occurred_at=datetime.now(UTC))
        for setting in ("sort", "hashjoin", "mergejoin"):
            await asker.execute(f"set enable_{setting} = off")  # so that they come grouped by their hashes
        async with undone(holder):
            await holder.execute("select from recalled_events where event_id = 'e-1' for update")
            notes = [text_array(["p/a"] * 8), text_array(ids), text_array(["webhook"] * 8)]
            begun = asyncio.create_task(asker.execute(statement("consumer", "note_recalled"), *notes))
            await until_waiting(observer)
            assert [row["event_id"] for row in await observer.fetch(every)] == ids[1:]
        await begun


async def test_a_dry_run_says_what_it_would_bring_and_the_command_brings_it(
    harness: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = time.time()
    await began(harness, 2 * DAY)
    harness.world.events = [paid(number, now - number * DAY + 60) for number in range(1, 6)]
    await process(harness, [webhook(harness.world.events[0], 0)])
    run = command_of(harness, monkeypatch, tmp_path)
    words = ("--provider", "stripe", "--since", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 29 * DAY)))
    would = await run(*words, "--dry-run")
    assert {name: would[name] for name in ("known", "new", "history", "kinds")} == {
        "known": 1, "new": 4, "history": 3, "kinds": {"payment_intent.succeeded": 4},
    }  # fmt: skip
    assert await spooled(harness) == []
    harness.world.fail("/v1/events", 503)
    did = await run(*words)
    assert did == would | {"dry_run": False}
    await process(harness, await spooled(harness, 1))
    assert await harness.pool.fetchval("select count(*) from payments where status = 'captured'") == 5
    await read_all(harness, stripe_of(harness))
    assert totals(metrics.WEBHOOKS_RECALLED) == {"stripe": 1}, "history was never to come by webhook"
    again = await run(*words)
    assert (again["known"], again["new"]) == (5, 0)
    assert await spooled(harness) == []
    [action] = await harness.pool.fetch("select action, target from operator_actions limit 1")
    assert tuple(action) == ("recall", "stripe")


COMMANDS = re.findall(r"```sh\nratchet recall (.*?)\n```", (ROOT / "docs" / "find-what-never-came.md").read_text())


async def test_the_page_s_commands_say_what_never_came_and_bring_it(
    harness: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = time.time()
    await began(harness, 20 * DAY)
    harness.world.events = [paid(number, now - number * DAY) for number in (1, 2)]
    run = command_of(harness, monkeypatch, tmp_path)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 9 * DAY))
    asking, bringing = (shlex.split(command.replace("$SINCE", since)) for command in COMMANDS)
    assert ((await run(*asking))["new"], len(await spooled(harness))) == (2, 0)
    assert (await run(*bringing))["new"] == 2
    await process(harness, await spooled(harness))
    assert await harness.pool.fetchval("select count(*) from payments where status = 'captured'") == 2
    assert (await run(*bringing))["new"] == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--provider", "adyen", "--since", "2026-01-01"), "adyen is not configured"),
        (("--provider", "paystack", "--since", "2026-01-01"), "paystack has no list that could be asked; "),
        (("--provider", "paypal", "--since", "2026-01-01"), "set API_SECRET of RATCHET_PROVIDERS__PAYPAL"),
        (("--provider", "stripe", "--since", "2026-01-02", "--until", "2026-01-01"), "--since must be before --until"),
        (("--provider", "stripe", "--since", "yesterday"), "is no ISO 8601 time"),
    ],
)
def test_what_can_not_be_asked_is_reported(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], expected: str
) -> None:
    for name in [name for name in os.environ if name.startswith("RATCHET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RATCHET_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", "postgresql://nobody@127.0.0.1:1/none")
    for name in ("STRIPE", "PAYPAL", "PAYSTACK"):
        monkeypatch.setenv(f"RATCHET_PROVIDERS__{name}__API_KEY", "k")
    result = CliRunner().invoke(app, ["recall", *words])
    assert (result.exit_code, expected in result.output) == (2, True), result.output


@pytest.mark.slow
async def test_kill_nine_between_pages_loses_and_doubles_nothing(harness: Office, tmp_path: Path) -> None:
    await began(harness, 2 * DAY)
    harness.world.events = [paid(number, time.time() - number * 600) for number in range(1, 61)]
    more = {
        "RATCHET_PROVIDERS__STRIPE__RECALL": "true",
        "RATCHET_RECALL__DELAY_SECONDS": "1",
        "RATCHET_RECALL__PAGE_ITEMS_MAX": "5",
        "RATCHET_RECALL__REQUESTS_PER_SECOND_MAX": "50",
    }

    async def spool_rows() -> int:
        return int(await harness.pool.fetchval("select count(*) from spool"))

    for number, least in enumerate((5, 25, 60)):
        holds = asyncio.Event()
        if least < 60:
            harness.world.faults.clear()
            for _ in range(1 + 2 * number):
                harness.world.fail("/v1/events", accepts=True)
            harness.world.fail("/v1/events", accepts=True, holds=holds)
        async with harness.process(tmp_path / str(number), **more) as process:

            async def enough(least: int = least) -> bool:
                return await spool_rows() >= least

            await until(enough, within_seconds=60)
            process.kill()
            await process.wait()
        holds.set()
        await harness.pool.execute("update leases set expires_at = clock_timestamp() where name = $1", LEASE_NAME)
    records = await spooled(harness)
    ids = [dict(record.headers)["ce_id"] for record in records]
    assert sorted(ids) == sorted(f"evt_{number}".encode() for number in range(1, 61))
