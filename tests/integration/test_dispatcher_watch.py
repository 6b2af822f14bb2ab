"""The watch job on real rows: what nothing tells the end of is asked about in its time, and until it is final."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import batch_harness
from dispatching import Office, office
from outside import charge, dispute, intent, outside
from pydantic import SecretStr

from providers.core.refetch import DAY, HOUR, MINUTE
from runtime.sql import statement
from schemas.record import Attributes, Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

    from runtime.lease import Lease

pytestmark = pytest.mark.integration

MOLLIE = {"mollie": {"api_key": SecretStr("test_mollie")}}
MPESA = {"mpesa": {"api_key": SecretStr("k"), "api_secret": SecretStr("s"), "api_merchant": "174379"}}


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[Office]:
    async with outside() as world, office(database, world) as open_office:
        yield open_office


async def pay(
    jobs: Office, provider: str, ref: str, silent: float, *, old: float | None = None, **columns: str
) -> None:
    """Write a payment that was last heard of so many seconds ago."""
    now = dt.datetime.now(dt.UTC)
    states = {"status": "captured", "refund_status": "none", "dispute_status": "none"} | columns
    await jobs.pool.execute(
        "insert into payments (id, provider, account, provider_ref, status, refund_status, dispute_status, currency,"
        " amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid, created_at,"
        " updated_at)"
        " values ($1, $2, '', $3, $4, $5, $6, 'EUR', 1000, 1000, 1000, 0, 0, 1, '{}', '', 0, $7, $8)",
        uuid.uuid4(), provider, ref, *states.values(),
        now - dt.timedelta(seconds=silent if old is None else old), now - dt.timedelta(seconds=silent),
    )  # fmt: skip


async def look(jobs: Office, providers: dict[str, Any], **refetch: Any) -> list[tuple[str, str, str]]:
    lease = await jobs.lease()
    async with jobs.job("watch", providers=providers, refetch=refetch) as job:
        assert not await job.turn(lease)
    await jobs.pool.execute("update leases set expires_at = clock_timestamp()")
    return [(row["ref"], row["reason"], row["status"]) for row in await jobs.rows("refetches")]


async def test_case_pb7_a_push_without_callback_is_asked_about(harness: Office) -> None:
    await pay(harness, "mpesa", "ws_CO_silent", 4 * MINUTE, status="created")
    await pay(harness, "mpesa", "ws_CO_new", 1 * MINUTE, status="created")
    await pay(harness, "mpesa", "ws_CO_old", 2 * DAY, status="created")
    await pay(harness, "mpesa", "ws_CO_paid", 4 * MINUTE)
    assert await look(harness, MPESA) == [("ws_CO_silent", "stale", "queued")]


async def test_case_pb13_a_chargeback_and_a_refund_that_are_open_are_asked_about(harness: Office) -> None:
    await pay(harness, "mollie", "tr_disputed", 2 * DAY, dispute_status="open")
    await pay(harness, "mollie", "tr_won", 2 * DAY, dispute_status="won")
    await pay(harness, "mollie", "tr_refund", 13 * HOUR, refund_status="pending")
    await pay(harness, "mollie", "tr_fresh", 1 * HOUR, refund_status="pending")
    await pay(harness, "adyen", "PSP1", 2 * DAY, dispute_status="open")
    assert sorted(await look(harness, MOLLIE)) == [
        ("tr_disputed", "stale", "queued"),
        ("tr_refund", "stale", "queued"),
    ]


async def asked_about(jobs: Office, lease: Lease) -> set[str]:
    """Let the clock look; return what is queued then."""
    async with jobs.job("watch") as watch:
        await watch.turn(lease)
    return {row["ref"] for row in await jobs.rows("refetches") if row["status"] == "queued"}


async def refuse_one_of(jobs: Office, lease: Lease, *, absent_seconds: float) -> None:
    """Ask about all that is queued of an API that refuses `pi_kept` and knows no other."""
    jobs.world.fail("/v1/payment_intents/pi_kept", 400)
    async with jobs.job("refetch", refetch={"absent_seconds": absent_seconds}) as refetch:
        while await refetch.turn(lease):
            pass


async def let_pass(jobs: Office, aged: str) -> None:
    """Let that much time go by since the last questions, which came to nothing."""
    change = f"updated_at = updated_at - interval '{aged}', next_attempt_at = next_attempt_at - interval '{aged}'"
    await jobs.pool.execute(f"update refetches set status = 'failed', {change}")


async def test_what_the_api_does_not_know_is_asked_about_seldom(harness: Office) -> None:
    """An id that the provider gave to something else, say; a refusal is asked about as ever."""
    await pay(harness, "stripe", "pi_gone", 8 * DAY, status="authorized")
    await pay(harness, "stripe", "pi_kept", 8 * DAY, status="authorized")
    lease = await harness.lease()
    assert await asked_about(harness, lease) == {"pi_gone", "pi_kept"}
    await refuse_one_of(harness, lease, absent_seconds=7 * DAY)
    for aged, expected in (("1 day", {"pi_kept"}), ("7 days", {"pi_gone", "pi_kept"})):
        await let_pass(harness, aged)
        assert await asked_about(harness, lease) == expected, aged


async def test_a_payment_of_an_account_with_capitals_is_asked_about(harness: Office) -> None:
    await pay(harness, "stripe", "pi_capital", 8 * DAY, status="authorized")
    await harness.pool.execute("update payments set account = 'Acme'")
    assert await asked_about(harness, await harness.lease()) == {"pi_capital"}


async def set_refunds(jobs: Office, ref: str, **refunds: str) -> None:
    facts = {f"refund:{own}": [state, 100] for own, state in refunds.items()}
    await jobs.pool.execute("update payments set facts = $2 where provider_ref = $1", ref, json.dumps(facts))


async def test_a_refund_that_is_open_beside_one_that_is_done_is_asked_about(harness: Office) -> None:
    for ref in ("tr_both", "tr_done", "tr_disputed"):
        disputed = "open" if ref == "tr_disputed" else "none"
        await pay(harness, "mollie", ref, 2 * DAY, refund_status="partial", dispute_status=disputed)
        await set_refunds(harness, ref, re_1="succeeded", re_2="succeeded" if ref == "tr_done" else "pending")
    await pay(harness, "mollie", "tr_fresh", 1 * HOUR, refund_status="partial")
    await set_refunds(harness, "tr_fresh", re_1="succeeded", re_2="pending")
    assert sorted(await look(harness, MOLLIE)) == [
        ("tr_both", "stale", "queued"),
        ("tr_disputed", "stale", "queued"),
    ]


async def test_by_its_own_id_where_the_provider_is_asked_so(harness: Office) -> None:
    await pay(harness, "square", "p1", 4 * DAY, refund_status="partial")
    await set_refunds(harness, "p1", r1="succeeded", r2="pending")
    await harness.pool.execute(
        "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)"
        " select 'square', '', '', true, 'refund', ref, id from payments, unnest(array['r1', 'r2']) as ref"
    )
    assert await look(harness, {"square": {"api_key": SecretStr("k")}}) == [("refund:r2", "stale", "queued")]


async def test_what_is_open_beside_what_is_done_is_read_from_an_index(harness: Office) -> None:
    name = "payments_open_refunds"
    definition = await harness.pool.fetchval("select indexdef from pg_indexes where indexname = $1", name)
    assert "(provider, account, updated_at)" in definition
    await harness.pool.execute(
        "insert into payments (id, provider, account, provider_ref, status, refund_status, dispute_status, currency,"
        " amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid, created_at,"
        " updated_at) select gen_random_uuid(), 'mollie', '', 'tr_' || n, 'captured', 'partial', 'none', 'EUR',"
        " 1000, 1000, 1000, 100, 0, 1, '{\"refund:re_1\": [\"succeeded\", 100]}', '', 0, now() - interval '3 d',"
        " now() - interval '2 d' from generate_series(1, 2000) as n"
    )
    await set_refunds(harness, "tr_7", re_1="succeeded", re_2="pending")
    await harness.pool.execute("analyze payments")
    sql = statement("consumer.dispatcher", "queue_stale")
    asked = "'mollie', '', '{}', '{pending}', '{}', 43200, 43200, 2592000, 500, null"
    async with harness.pool.acquire() as connection:
        types = "text, text, text[], text[], text[], float8, float8, float8, bigint, text"
        await connection.execute(f"prepare look ({types}) as {sql}")
        rows = await connection.fetch(f"explain (costs off) execute look ({asked})")
    plan = "\n".join(row[0] for row in rows)
    assert name in plan, plan
    assert "Seq Scan on payments" not in plan, plan


async def test_one_is_asked_about_again_after_its_interval_and_not_before(harness: Office) -> None:
    await pay(harness, "mollie", "tr_1", 2 * DAY, dispute_status="open")
    await look(harness, MOLLIE)
    await harness.pool.execute("update refetches set status = 'done', updated_at = clock_timestamp()")
    assert await look(harness, MOLLIE) == [("tr_1", "stale", "done")]
    await harness.pool.execute("update refetches set updated_at = clock_timestamp() - interval '25 hours'")
    assert await look(harness, MOLLIE) == [("tr_1", "stale", "queued")]


async def test_a_look_queues_so_many_the_longest_silent_first(harness: Office) -> None:
    for days in range(2, 6):
        await pay(harness, "mollie", f"tr_{days}", days * DAY, dispute_status="open")
    assert {ref for ref, _, _ in await look(harness, MOLLIE, watch_payments_max=2)} == {"tr_5", "tr_4"}


async def test_what_is_silent_is_read_from_the_index(harness: Office) -> None:
    """A million captured payments must cost the clock nothing."""
    definition = await harness.pool.fetchval("select indexdef from pg_indexes where indexname = 'payments_open'")
    assert "(provider, account, updated_at)" in definition


GOCARDLESS = {"gocardless": {"api_key": SecretStr("k")}}


async def test_a_debit_that_was_collected_is_asked_about_until_its_time_is_over(
    harness: Office, database: Database
) -> None:
    """The event says that it was collected; the one that says that the bank took it back may be lost."""
    body = {"resource_type": "payments", "action": "confirmed", "links": {"payment": "PM1"}}
    paid = json.dumps({**body, "created_at": "2026-09-21T10:00:00.000Z"}).encode()
    payment = json.dumps({"payments": {"id": "PM1", "amount": 5000, "currency": "GBP", "status": "submitted"}}).encode()
    async with batch_harness(database.dsn) as ledger:
        for place, (kind, value) in enumerate([("refetch.payments", payment), ("payments.confirmed", paid)] * 2):
            headers = Attributes("gocardless", f"e{place % 2}", kind, 1.79e9).to_headers()
            await ledger.process([Record("payments.webhooks", 0, place, 0, b"PM1", value, headers)])
    [row] = await harness.pool.fetch("select * from debits")
    assert (row["ref"], (row["until"] - row["noted_at"]).days, row["asked_at"]) == ("PM1", 60, None)
    for aged, expected in (("1 day", []), ("5 days", ["queued"]), ("1 day", ["done"]), ("7 days", ["queued"])):
        await harness.pool.execute("update refetches set status = 'done'")
        change = f"noted_at = noted_at - interval '{aged}', asked_at = asked_at - interval '{aged}'"
        await harness.pool.execute(f"update debits set {change}")
        assert [status for _, _, status in await look(harness, GOCARDLESS)] == expected, aged
    await harness.pool.execute("update debits set until = clock_timestamp() - interval '1 hour'")
    await look(harness, GOCARDLESS)
    assert await harness.pool.fetchval("select count(*) from debits") == 0


async def test_an_endpoint_whose_name_has_a_capital_letter_is_asked_too(harness: Office) -> None:
    """Settings know it in small letters, rows as its URL has it."""

    def sql(name: str) -> str:
        return statement("consumer.dispatcher", name)

    await pay(harness, "stripe", "pi_open", HOUR, status="processing")
    await harness.pool.execute("update payments set account = 'EU'")
    await harness.pool.execute(
        "insert into debits (provider, account, ref, noted_at, until) values"
        " ('stripe', 'EU', 'pi_paid', now() - interval '6 days', now() + interval '300 days')"
    )
    open_states = ["processing"], ["pending"], ["open"]
    assert await harness.pool.fetchval(sql("queue_debits"), "stripe", "eu", DAY, DAY, 10) == 1
    assert (
        await harness.pool.fetchval(sql("queue_stale"), "stripe", "eu", *open_states, MINUTE, DAY, 9 * DAY, 10, None)
        == 1
    )
    places = ["stripe"], ["eu"]
    claimed = [await harness.pool.fetchrow(sql("claim_refetch"), *places, 60.0, [False], 0.0) for _ in range(2)]
    assert {(one["account"], one["ref"]) for one in claimed if one} == {("EU", "pi_open"), ("EU", "pi_paid")}
    counted = await harness.pool.fetchrow(sql("count_waiting"), *places)
    assert counted is not None
    assert (counted["refetches"], counted["without_key"]) == (2, [])
    await harness.pool.execute("update debits set until = now() - interval '1 hour'")
    await harness.pool.fetchval(sql("queue_debits"), "stripe", "eu", DAY, DAY, 10)
    assert await harness.pool.fetchval("select count(*) from debits") == 0


async def test_a_debit_that_the_api_does_not_know_is_asked_about_seldom(harness: Office) -> None:
    for ref in ("pi_gone", "pi_kept"):
        await harness.pool.execute(
            "insert into debits (provider, account, ref, noted_at, until) values"
            " ('stripe', '', $1, now() - interval '6 days', now() + interval '300 days')",
            ref,
        )
    lease = await harness.lease()
    assert await asked_about(harness, lease) == {"pi_gone", "pi_kept"}
    await refuse_one_of(harness, lease, absent_seconds=30 * DAY)
    for aged, expected in (("8 days", {"pi_kept"}), ("23 days", {"pi_gone", "pi_kept"})):
        await let_pass(harness, aged)
        await harness.pool.execute(f"update debits set asked_at = asked_at - interval '{aged}'")
        assert await asked_about(harness, lease) == expected, aged


async def test_a_debit_of_stripe_that_its_bank_returned_is_found_by_the_clock(
    harness: Office, database: Database
) -> None:
    """The event of the dispute is lost: the payment is asked about, says that it is disputed, and its disputes too."""
    details = {"payment_method_details": {"type": "us_bank_account"}}
    paid = charge("ch_pi_1", "pi_1", **details)
    event = json.dumps({"type": "charge.succeeded", "created": 1_790_000_000, "data": {"object": paid}}).encode()
    harness.world.objects["pi_1"] = intent(
        "pi_1", status="succeeded", amount_received=1000, latest_charge=paid | {"disputed": True}
    )
    harness.world.objects["dp_1"] = dispute("dp_1", "pi_1")
    async with batch_harness(database.dsn) as ledger:
        headers = Attributes("stripe", "evt_1", "charge.succeeded", 1.79e9).to_headers()
        await ledger.process([Record("payments.webhooks", 0, 0, 0, b"pi_1", event, headers)])
        await harness.pool.execute("update debits set noted_at = noted_at - interval '5 days'")
        lease = await harness.lease()
        async with harness.job("watch") as watch, harness.job("refetch") as refetch:
            await watch.turn(lease)
            for place, asked in enumerate(("pi_1", "disputes:pi_1"), start=1):
                assert await refetch.turn(lease)
                row = (await harness.rows("spool"))[-1]
                names = [name.decode() for name in row["header_names"]]
                headers = tuple(zip(names, row["header_values"], strict=True))
                await ledger.process([Record(row["topic"], 0, place, 0, row["key"], row["value"], headers)])
                assert asked in {one["ref"] for one in await harness.rows("refetches") if one["status"] == "done"}
            assert not await refetch.turn(lease), "nothing more is asked"
    [payment] = await harness.pool.fetch("select * from payments")
    assert (payment["status"], payment["dispute_status"]) == ("captured", "lost")
    assert (payment["captured"], payment["disputed"]) == (1000, 1000)


async def test_the_role_asks_and_reads_until_it_is_final(harness: Office) -> None:
    await pay(harness, "stripe", "pi_1", 8 * DAY, status="authorized")
    harness.world.objects["pi_1"] = {"id": "pi_1", "object": "payment_intent", "status": "canceled", "amount": 1000,
                                     "currency": "eur"}  # fmt: skip
    lease = await harness.lease()
    async with harness.job("watch") as watch:
        await watch.turn(lease)
    async with harness.job("refetch") as refetch:
        assert await refetch.turn(lease)
    [row], [spooled] = await harness.rows("refetches"), await harness.rows("spool")
    assert (row["status"], row["reason"], spooled["key"]) == ("done", "stale", b"pi_1")
