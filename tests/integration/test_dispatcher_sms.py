"""The SMS job on real rows: one message at the provider, whatever breaks between sending and writing."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import batch_harness
from dispatching import NUMBER, Office, office
from outside import outside
from relay_rows import LEDGER, ledger_row
from waiting import until

from consumer.dispatcher.role import serve
from consumer.dispatcher.sender import SmsMessage, Taken
from consumer.dispatcher.sms import Unknown
from runtime.health import Probe
from runtime.settings import SmsSettings
from runtime.sql import statement
from schemas.errors import LeaseLostError
from schemas.record import Attributes, Record
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database

pytestmark = pytest.mark.integration


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[Office]:
    async with outside() as world, office(database, world) as open_office:
        yield open_office


async def status_is(of: Office, *statuses: str) -> bool:
    return [row["status"] for row in await of.rows("sms_transactions")] == list(statuses)


async def turn_until(of: Office, job: Any, lease: Any, *statuses: str) -> None:
    async def turned() -> bool:
        await job.turn(lease)
        return await status_is(of, *statuses)

    await until(turned)


async def test_message_is_sent_and_its_id_is_kept(harness: Office):
    payment = await harness.queue_sms("captured", "refunded")
    lease = await harness.lease()
    async with harness.job("sms") as job:
        assert await job.turn(lease)
        assert await job.turn(lease)
        assert not await job.turn(lease)
    first, second = await harness.rows("sms_transactions")
    assert (first["status"], first["attempts"], first["provider_sid"]) == ("sent", 1, "SM" + "0" * 32)
    assert second["provider_sid"] != first["provider_sid"]
    sent = harness.world.messages[-1]
    assert sent["body"] == f"We received your payment of 10.00 EUR. Thank you. Ref {payment.hex[-10:].upper()}C"
    assert (sent["to"], sent["status_callback"]) == (NUMBER, "https://pay.example/webhooks/twilio")
    assert harness.world.asked("Messages", "GET") == 0, "a first try needs no look-up"


async def test_merged_payment_tells_the_figures_of_the_one_that_survived(harness: Office):
    merged, survivor = await harness.queue_sms("captured"), await harness.queue_sms()
    sql = "update payments set merged_into = $2, amount = 7, authorized = 7, captured = 7 where id = $1"
    await harness.pool.execute(sql, merged, survivor)
    lease = await harness.lease()
    async with harness.job("sms") as job:
        await job.turn(lease)
    assert " 10.00 EUR." in harness.world.messages[0]["body"]


async def test_crash_between_sending_and_writing_is_looked_up(harness: Office):
    await harness.queue_sms("captured")
    lease, fault = await harness.lease(), harness.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with harness.job("sms") as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
        fault.holds.set()  # type: ignore[union-attr]
        assert await status_is(harness, "sending")
        assert not await job.turn(lease), "the claim holds"
        await harness.pool.execute("update payments set captured = 900")
        await harness.make_due("sms_transactions")
        assert await job.turn(lease)
    [row] = await harness.rows("sms_transactions")
    assert (row["status"], row["attempts"], row["provider_sid"]) == ("sent", 2, "SM" + "0" * 32)
    assert len(harness.world.messages) == 1
    assert harness.world.asked("Messages", "POST") == 1


async def test_kill_9_between_sending_and_writing_is_looked_up_by_the_next_process(harness: Office, tmp_path: Path):
    await harness.queue_sms("captured")
    fault = harness.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with harness.process(tmp_path / "first") as first:
        async with asyncio.timeout(60):
            await fault.met.wait()
        first.send_signal(signal.SIGKILL)
        await first.wait()
    fault.holds.set()  # type: ignore[union-attr]
    assert await status_is(harness, "sending")
    async with harness.process(tmp_path / "next"):
        await until(lambda: status_is(harness, "sent"), within_seconds=60)
    assert len(harness.world.messages) == 1
    assert (harness.world.asked("Messages", "POST"), harness.world.asked("Messages", "GET")) == (1, 1)


async def test_answers_that_say_nothing_end_in_one_message(harness: Office):
    await harness.queue_sms("captured")
    lease = await harness.lease()
    harness.world.fail("POST", accepts=True, drops=True)
    harness.world.fail("GET", 500, 429, 404)
    async with harness.job("sms") as job:
        assert await job.turn(lease)
        assert await status_is(harness, "queued")
        await turn_until(harness, job, lease, "sent")
    [row] = await harness.rows("sms_transactions")
    assert row["attempts"] == 4, "404 is trouble of the account, and counts as no try"
    assert (len(harness.world.messages), harness.world.asked("Messages", "POST")) == (1, 1)


async def test_message_that_was_surely_not_taken_is_sent_again(harness: Office):
    await harness.queue_sms("captured")
    lease = await harness.lease()
    harness.world.fail("POST", 500, 429, 503)
    async with harness.job("sms") as job:
        await turn_until(harness, job, lease, "sent")
    assert (len(harness.world.messages), harness.world.asked("Messages", "POST")) == (1, 4)


async def test_refused_and_unknown_templates_fail(harness: Office):
    await harness.queue_sms("captured", "invoice")
    lease = await harness.lease()
    harness.world.fail("POST", 400, body='{"code": 21610, "message": "unsubscribed"}')
    async with harness.job("sms") as job:
        await turn_until(harness, job, lease, "failed", "failed")
    assert harness.world.messages == []


async def test_tries_are_bounded_and_the_last_ones_only_look(harness: Office):
    await harness.queue_sms("captured")
    await harness.queue_sms("captured")
    lease = await harness.lease()
    async with harness.job("sms", sms={"sends_max": 2, "attempts_max": 4}) as job:
        harness.world.fail("POST", 500, 500, 500, 500)
        await turn_until(harness, job, lease, "failed", "failed")
        assert harness.world.asked("Messages", "POST") == 4
        await harness.queue_sms("failed")
        harness.world.fail("POST", 500)
        harness.world.fail("GET", 500, 500, 500)
        await turn_until(harness, job, lease, "failed", "failed", "failed")
    assert [row["attempts"] for row in await harness.rows("sms_transactions")] == [3, 3, 4]
    assert harness.world.messages == []


async def test_a_receipt_that_came_first_stands(harness: Office):
    await harness.queue_sms("captured")
    lease, fault = await harness.lease(), harness.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with harness.job("sms") as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        await harness.pool.execute("update sms_transactions set status = 'delivered'")
        fault.holds.set()  # type: ignore[union-attr]
        await turn
        await harness.make_due("sms_transactions")
        assert not await job.turn(lease)
    [row] = await harness.rows("sms_transactions")
    assert (row["status"], row["provider_sid"]) == ("delivered", "SM" + "0" * 32)


async def test_what_was_sent_is_not_noted_beside_a_receipt_that_comes_in(harness: Office):
    """A batch with the receipt found no message of this id, and is not committed yet: the note waits for it."""
    await harness.queue_sms("captured")
    lease, sid = await harness.lease(), "SM" + "0" * 32
    event = (None, "twilio", f"{sid}:delivered", "delivered", *ledger_row(None, None, 3)[4:])
    async with harness.job("sms") as job, harness.pool.acquire() as batch:
        async with batch.transaction():
            await batch.execute(statement("consumer", "lock_reported_messages"), [sid])
            await batch.copy_records_to_table("payment_logs", records=[event], columns=LEDGER)
            await batch.execute(statement("consumer", "note_delivery_reports"), [sid], ["delivered"])
            turn = asyncio.create_task(job.turn(lease))
            await until(lambda: waits_for_name(harness, turn), "the note waits")
        await turn
    [row] = await harness.rows("sms_transactions")
    assert (row["status"], row["provider_sid"]) == ("delivered", sid)


async def test_a_receipt_is_not_noted_beside_what_was_sent(harness: Office):
    """The other way round: the message's id is written and not committed yet, and the batch waits for it."""
    await harness.queue_sms("captured")
    headers = Attributes("twilio", "SM1:delivered", "delivered", time.time()).to_headers()
    receipt = Record(WEBHOOKS.name, 0, 0, 0, b"SM1", b"MessageSid=SM1&MessageStatus=delivered", headers)
    async with batch_harness(harness.dsn) as tables, harness.pool.acquire() as sender:
        async with sender.transaction():
            await sender.execute(statement("consumer", "lock_reported_messages"), ["SM1"])
            await sender.execute("update sms_transactions set status = 'sent', provider_sid = 'SM1'")
            batch = asyncio.create_task(tables.process([receipt]))
            await until(lambda: waits_for_name(harness, batch), "the batch waits")
        await batch
    assert await status_is(harness, "delivered")


async def waits_for_name(of: Office, task: asyncio.Task[Any]) -> bool:
    """Tell whether somebody waits for a lock on a name; fails where the task ended without having waited."""
    assert not task.done(), "it did not wait"
    return bool(await of.pool.fetchval(
        "select exists (select from pg_locks join pg_database on pg_database.oid = database"
        " where datname = current_database() and locktype = 'advisory' and not granted)"
    ))  # fmt: skip


async def test_a_message_that_ended_already_is_found_ended(harness: Office):
    await harness.queue_sms("captured")
    lease = await harness.lease()
    harness.world.fail("POST", accepts=True, drops=True)
    async with harness.job("sms") as job:
        await job.turn(lease)
        harness.world.messages[0]["status"] = "undelivered"
        await turn_until(harness, job, lease, "undelivered")


async def test_a_lost_lease_writes_nothing_and_its_successor_looks_up(harness: Office):
    await harness.queue_sms("captured")
    lease, fault = await harness.lease(), harness.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with harness.job("sms") as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        successor = await harness.steal_lease()
        fault.holds.set()  # type: ignore[union-attr]
        with pytest.raises(LeaseLostError):
            await turn
        [row] = await harness.rows("sms_transactions")
        assert (row["status"], row["provider_sid"]) == ("sending", None)
        await harness.make_due("sms_transactions")
        assert await job.turn(successor)
    assert await status_is(harness, "sent")
    assert len(harness.world.messages) == 1


async def test_one_that_was_paused_past_its_claim_does_not_send(harness: Office):
    async with harness.job("sms", dispatcher={"claim_seconds": 1.0}) as job:
        message = SmsMessage(NUMBER, "Hello. Ref 1A", "Ref 1A", dt.datetime.now(dt.UTC))
        outcome = await job._find_or_send(message, 1, time.monotonic() - 1)  # type: ignore[attr-defined]
        assert isinstance(outcome, Unknown)
        assert harness.world.calls == []
        assert await job._find_or_send(message, 1, time.monotonic()) == Taken("SM" + "0" * 32)  # type: ignore[attr-defined]


async def test_a_try_whose_claim_was_taken_over_finishes_nothing(harness: Office):
    await harness.queue_sms("captured")
    lease, fault = await harness.lease(), harness.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with harness.job("sms") as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        await harness.pool.execute("update sms_transactions set attempts = attempts + 1")
        fault.holds.set()  # type: ignore[union-attr]
        await turn
    [row] = await harness.rows("sms_transactions")
    assert (row["status"], row["attempts"], row["provider_sid"]) == ("sending", 2, None)


async def test_a_receipt_that_comes_late_takes_no_last_word_back(harness: Office):
    await harness.queue_sms("captured")
    await harness.pool.execute("update sms_transactions set status = 'sent', provider_sid = 'SM1'")
    async with batch_harness(harness.dsn) as tables:
        for offset, status in enumerate(("delivered", "sent", "failed")):
            headers = Attributes("twilio", f"SM1:{status}", status, time.time()).to_headers()
            body = f"MessageSid=SM1&MessageStatus={status}".encode()
            await tables.process([Record(WEBHOOKS.name, 0, offset, 0, b"SM1", body, headers)])
            assert await status_is(harness, "delivered")
        assert [row["event_type"] for row in (await tables.tables()).ledger] == ["delivered", "sent", "failed"]


async def test_two_dispatchers_send_each_message_once_while_answers_get_lost(harness: Office):
    numbers = [f"+49151{number:08d}" for number in range(40)]
    for number in numbers:
        await harness.queue_sms("captured", number=number)
    for _ in range(8):
        harness.world.fail("POST", accepts=True, drops=True)
        harness.world.fail("POST", 500, 429)
    async with harness.role(), harness.role():
        await until(lambda: status_is(harness, *["sent"] * 40))
    assert sorted(message["to"] for message in harness.world.messages) == sorted(numbers)


async def test_without_a_provider_messages_wait(harness: Office):
    await harness.queue_sms("captured")
    bare = harness.settings().model_copy(update={"sms": SmsSettings(), "providers": {}})
    stop, probe = asyncio.Event(), Probe("dispatcher")
    role = asyncio.create_task(serve(bare, stop, probe))
    await until(lambda: waits(probe))
    assert (probe.state, probe.stuck(), probe.unready()) == ("running", None, None)
    stop.set()
    await role
    assert await status_is(harness, "queued")


async def waits(probe: Probe) -> bool:
    return probe.facts.get("waiting") == {"refetches": 0, "sms": 1}


async def test_an_account_that_is_refused_loses_no_message_and_is_left_alone(harness: Office):
    """A token that is rotated, an account without credit: every call is refused, and no message is at fault."""
    for number in range(5):
        await harness.queue_sms("captured", number=f"+49151{number:08d}")
    lease = await harness.lease()
    harness.world.fail("POST", 401, body='{"code": 20003, "message": "Authenticate"}')
    harness.world.fail("POST", 403, body='{"code": 20005, "message": "Account not active"}')
    harness.world.fail("POST", 402)
    async with harness.job("sms") as job:
        assert await job.turn(lease)
        assert await status_is(harness, *["queued"] * 5)
        assert [row["attempts"] for row in await harness.rows("sms_transactions")] == [0] * 5, "it counts as no try"
        for _ in range(10):
            assert not await job.turn(lease), "the breaker is open"
        assert harness.world.asked("Messages") == 1
        await turn_until(harness, job, lease, *["sent"] * 5)
    assert sorted(one["to"] for one in harness.world.messages) == [f"+49151{number:08d}" for number in range(5)]
    assert harness.world.asked("Messages", "GET") == 0, "nothing was handed over that could be looked up"


async def test_an_account_that_is_refused_at_the_look_up_loses_nothing_either(harness: Office):
    await harness.queue_sms("captured")
    lease = await harness.lease()
    harness.world.fail("POST", accepts=True, drops=True)
    harness.world.fail("GET", 401, 401, 403)
    async with harness.job("sms", sms={"attempts_max": 2}) as job:
        await turn_until(harness, job, lease, "sent")
    assert (len(harness.world.messages), harness.world.asked("Messages", "POST")) == (1, 1)


async def test_a_list_that_is_late_makes_no_second_message(harness: Office):
    """A hand-over without an answer is in the list only a while later; the next try waits for that."""
    await harness.queue_sms("captured")
    lease = await harness.lease()
    harness.world.fail("POST", accepts=True, drops=True)
    async with harness.job("sms", sms={"unsure_seconds": 1.5}) as job:
        assert await job.turn(lease)
        handed_over = time.monotonic()
        [late], harness.world.messages = harness.world.messages, []
        while time.monotonic() - handed_over < 1.0:
            assert not await job.turn(lease), "it waits"
            await asyncio.sleep(0.05)
        harness.world.messages.append(late)
        await turn_until(harness, job, lease, "sent")
    assert (harness.world.messages, harness.world.asked("Messages", "POST")) == ([late], 1)


async def test_a_claim_that_ended_without_a_word_holds_as_long(harness: Office):
    await harness.queue_sms("captured")
    lease = await harness.lease()
    limits: dict[str, dict[str, Any]] = {"sms": {"unsure_seconds": 50.0}, "dispatcher": {"claim_seconds": 1.0}}
    async with harness.job("sms", **limits) as job:
        fault = harness.world.fail("POST", accepts=True, holds=asyncio.Event())
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
        fault.holds.set()  # type: ignore[union-attr]
    waits = "select extract(epoch from next_attempt_at - clock_timestamp())::float8 from sms_transactions"
    assert 40 < await harness.pool.fetchval(waits) <= 50


async def test_what_is_true_no_more_is_not_sent(harness: Office):
    """An outage held a message up; meanwhile the payment went on."""
    payment = await harness.queue_sms("failed")
    await harness.pool.execute("update payments set status = 'captured' where id = $1", payment)
    lease = await harness.lease()
    async with harness.job("sms") as job:
        assert await job.turn(lease)
    assert await status_is(harness, "failed")
    assert harness.world.calls == []


async def test_each_refund_has_its_own_message(harness: Office):
    payment = await harness.queue_sms()
    insert = "insert into sms_transactions (payment_id, to_number, template, status, child, amount)"
    for child, amount in (("re_1", 300), ("re_2", 200)):
        await harness.pool.execute(
            f"{insert} values ($1, $2, 'refunded', 'queued', $3, $4)", payment, NUMBER, child, amount
        )
    lease = await harness.lease()
    async with harness.job("sms") as job:
        harness.world.fail("POST", accepts=True, drops=True)
        await turn_until(harness, job, lease, "sent", "sent")
    bodies = sorted(one["body"] for one in harness.world.messages)
    assert [body.split(" to you")[0] for body in bodies] == ["We refunded 2.00 EUR", "We refunded 3.00 EUR"]
    assert len({body[-10:] for body in bodies}) == 2, "each is found by a mark of its own"
