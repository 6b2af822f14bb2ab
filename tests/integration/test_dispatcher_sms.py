"""The SMS desk on real rows: one message at the provider, whatever breaks between sending and writing."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from dispatching import NUMBER, Office, office, until
from outside import outside
from settling import bench

from consumer.dispatcher.role import serve
from consumer.dispatcher.sender import Message, Taken
from consumer.dispatcher.sms import Unknown
from runtime.health import Probe
from runtime.settings import SmsSettings
from schemas.errors import LeaseLostError
from schemas.record import Attributes, Record
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database

pytestmark = pytest.mark.integration


@pytest.fixture
async def desk_of(database: Database) -> AsyncIterator[Office]:
    async with outside() as world, office(database, world) as open_office:
        yield open_office


async def status_is(of: Office, *statuses: str) -> bool:
    return [row["status"] for row in await of.rows("sms_transactions")] == list(statuses)


async def turn_until(of: Office, desk: Any, lease: Any, *statuses: str) -> None:
    async def turned() -> bool:
        await desk.turn(lease)
        return await status_is(of, *statuses)

    await until(turned)


async def test_message_is_sent_and_its_id_is_kept(desk_of: Office):
    payment = await desk_of.queue_sms("captured", "refunded")
    lease = await desk_of.lease()
    async with desk_of.desk("sms") as desk:
        assert await desk.turn(lease)
        assert await desk.turn(lease)
        assert not await desk.turn(lease)
    first, second = await desk_of.rows("sms_transactions")
    assert (first["status"], first["attempts"], first["provider_sid"]) == ("sent", 1, "SM" + "0" * 32)
    assert second["provider_sid"] != first["provider_sid"]
    sent = desk_of.world.messages[-1]
    assert sent["body"] == f"We received your payment of 10.00 EUR. Thank you. Ref {payment.hex[-10:].upper()}C"
    assert (sent["to"], sent["status_callback"]) == (NUMBER, "https://pay.example/webhooks/twilio")
    assert desk_of.world.asked("Messages", "GET") == 0, "a first try needs no look-up"


async def test_merged_payment_tells_the_figures_of_the_one_that_survived(desk_of: Office):
    merged, survivor = await desk_of.queue_sms("captured"), await desk_of.queue_sms()
    await desk_of.pool.execute("update payments set merged_into = $2, captured = 0 where id = $1", merged, survivor)
    lease = await desk_of.lease()
    async with desk_of.desk("sms") as desk:
        await desk.turn(lease)
    assert " 10.00 EUR." in desk_of.world.messages[0]["body"]


async def test_crash_between_sending_and_writing_is_looked_up(desk_of: Office):
    await desk_of.queue_sms("captured")
    lease, fault = await desk_of.lease(), desk_of.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with desk_of.desk("sms") as desk:
        turn = asyncio.create_task(desk.turn(lease))
        await fault.met.wait()
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
        fault.holds.set()  # type: ignore[union-attr]
        assert await status_is(desk_of, "sending")
        assert not await desk.turn(lease), "the claim holds"
        await desk_of.pool.execute("update payments set captured = 900")
        await desk_of.make_due("sms_transactions")
        assert await desk.turn(lease)
    [row] = await desk_of.rows("sms_transactions")
    assert (row["status"], row["attempts"], row["provider_sid"]) == ("sent", 2, "SM" + "0" * 32)
    assert len(desk_of.world.messages) == 1
    assert desk_of.world.asked("Messages", "POST") == 1


async def test_kill_9_between_sending_and_writing_is_looked_up_by_the_next_process(desk_of: Office, tmp_path: Path):
    await desk_of.queue_sms("captured")
    fault = desk_of.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with desk_of.process(tmp_path / "first") as first:
        async with asyncio.timeout(60):
            await fault.met.wait()
        first.send_signal(signal.SIGKILL)
        await first.wait()
    fault.holds.set()  # type: ignore[union-attr]
    assert await status_is(desk_of, "sending")
    async with desk_of.process(tmp_path / "next"):
        await until(lambda: status_is(desk_of, "sent"), seconds=60)
    assert len(desk_of.world.messages) == 1
    assert (desk_of.world.asked("Messages", "POST"), desk_of.world.asked("Messages", "GET")) == (1, 1)


async def test_answers_that_say_nothing_end_in_one_message(desk_of: Office):
    await desk_of.queue_sms("captured")
    lease = await desk_of.lease()
    desk_of.world.fail("POST", accepts=True, drops=True)
    desk_of.world.fail("GET", 500, 429, 404)
    async with desk_of.desk("sms") as desk:
        assert await desk.turn(lease)
        assert await status_is(desk_of, "queued")
        await turn_until(desk_of, desk, lease, "sent")
    [row] = await desk_of.rows("sms_transactions")
    assert row["attempts"] == 5
    assert (len(desk_of.world.messages), desk_of.world.asked("Messages", "POST")) == (1, 1)


async def test_message_that_was_surely_not_taken_is_sent_again(desk_of: Office):
    await desk_of.queue_sms("captured")
    lease = await desk_of.lease()
    desk_of.world.fail("POST", 500, 429, 503)
    async with desk_of.desk("sms") as desk:
        await turn_until(desk_of, desk, lease, "sent")
    assert (len(desk_of.world.messages), desk_of.world.asked("Messages", "POST")) == (1, 4)


async def test_refused_and_unknown_templates_fail(desk_of: Office):
    await desk_of.queue_sms("captured", "invoice")
    lease = await desk_of.lease()
    desk_of.world.fail("POST", 400, body='{"code": 21610, "message": "unsubscribed"}')
    async with desk_of.desk("sms") as desk:
        await turn_until(desk_of, desk, lease, "failed", "failed")
    assert desk_of.world.messages == []


async def test_tries_are_bounded_and_the_last_ones_only_look(desk_of: Office):
    await desk_of.queue_sms("captured")
    await desk_of.queue_sms("captured")
    lease = await desk_of.lease()
    async with desk_of.desk("sms", sms={"sends_max": 2, "attempts_max": 4}) as desk:
        desk_of.world.fail("POST", 500, 500, 500, 500)
        await turn_until(desk_of, desk, lease, "failed", "failed")
        assert desk_of.world.asked("Messages", "POST") == 4
        await desk_of.queue_sms("failed")
        desk_of.world.fail("POST", 500)
        desk_of.world.fail("GET", 500, 500, 500)
        await turn_until(desk_of, desk, lease, "failed", "failed", "failed")
    assert [row["attempts"] for row in await desk_of.rows("sms_transactions")] == [3, 3, 4]
    assert desk_of.world.messages == []


async def test_a_receipt_that_came_first_stands(desk_of: Office):
    await desk_of.queue_sms("captured")
    lease, fault = await desk_of.lease(), desk_of.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with desk_of.desk("sms") as desk:
        turn = asyncio.create_task(desk.turn(lease))
        await fault.met.wait()
        await desk_of.pool.execute("update sms_transactions set status = 'delivered'")
        fault.holds.set()  # type: ignore[union-attr]
        await turn
        await desk_of.make_due("sms_transactions")
        assert not await desk.turn(lease)
    [row] = await desk_of.rows("sms_transactions")
    assert (row["status"], row["provider_sid"]) == ("delivered", "SM" + "0" * 32)


async def test_a_message_that_ended_already_is_found_ended(desk_of: Office):
    await desk_of.queue_sms("captured")
    lease = await desk_of.lease()
    desk_of.world.fail("POST", accepts=True, drops=True)
    async with desk_of.desk("sms") as desk:
        await desk.turn(lease)
        desk_of.world.messages[0]["status"] = "undelivered"
        await turn_until(desk_of, desk, lease, "undelivered")


async def test_a_lost_lease_writes_nothing_and_its_successor_looks_up(desk_of: Office):
    await desk_of.queue_sms("captured")
    lease, fault = await desk_of.lease(), desk_of.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with desk_of.desk("sms") as desk:
        turn = asyncio.create_task(desk.turn(lease))
        await fault.met.wait()
        successor = await desk_of.steal_lease()
        fault.holds.set()  # type: ignore[union-attr]
        with pytest.raises(LeaseLostError):
            await turn
        [row] = await desk_of.rows("sms_transactions")
        assert (row["status"], row["provider_sid"]) == ("sending", None)
        await desk_of.make_due("sms_transactions")
        assert await desk.turn(successor)
    assert await status_is(desk_of, "sent")
    assert len(desk_of.world.messages) == 1


async def test_one_that_was_paused_past_its_claim_does_not_send(desk_of: Office):
    async with desk_of.desk("sms", dispatcher={"claim_seconds": 1.0}) as desk:
        message = Message(NUMBER, "Hello. Ref 1A", "Ref 1A", dt.datetime.now(dt.UTC))
        outcome = await desk._find_or_send(message, 1, time.monotonic() - 1)  # type: ignore[attr-defined]
        assert isinstance(outcome, Unknown)
        assert desk_of.world.calls == []
        assert await desk._find_or_send(message, 1, time.monotonic()) == Taken("SM" + "0" * 32)  # type: ignore[attr-defined]


async def test_a_try_whose_claim_was_taken_over_settles_nothing(desk_of: Office):
    await desk_of.queue_sms("captured")
    lease, fault = await desk_of.lease(), desk_of.world.fail("POST", accepts=True, holds=asyncio.Event())
    async with desk_of.desk("sms") as desk:
        turn = asyncio.create_task(desk.turn(lease))
        await fault.met.wait()
        await desk_of.pool.execute("update sms_transactions set attempts = attempts + 1")
        fault.holds.set()  # type: ignore[union-attr]
        await turn
    [row] = await desk_of.rows("sms_transactions")
    assert (row["status"], row["attempts"], row["provider_sid"]) == ("sending", 2, None)


async def test_a_receipt_that_comes_late_takes_no_last_word_back(desk_of: Office):
    await desk_of.queue_sms("captured")
    await desk_of.pool.execute("update sms_transactions set status = 'sent', provider_sid = 'SM1'")
    async with bench(desk_of.dsn) as books:
        for offset, status in enumerate(("delivered", "sent", "failed")):
            headers = Attributes("twilio", f"SM1:{status}", status, time.time()).to_headers()
            body = f"MessageSid=SM1&MessageStatus={status}".encode()
            await books.settle([Record(WEBHOOKS.name, 0, offset, 0, b"SM1", body, headers)])
            assert await status_is(desk_of, "delivered")
        assert [row["event_type"] for row in (await books.books()).ledger] == ["delivered", "sent", "failed"]


async def test_two_dispatchers_send_each_message_once_while_answers_get_lost(desk_of: Office):
    numbers = [f"+49151{number:08d}" for number in range(40)]
    for number in numbers:
        await desk_of.queue_sms("captured", number=number)
    for _ in range(8):
        desk_of.world.fail("POST", accepts=True, drops=True)
        desk_of.world.fail("POST", 500, 429)
    async with desk_of.role(), desk_of.role():
        await until(lambda: status_is(desk_of, *["sent"] * 40))
    assert sorted(message["to"] for message in desk_of.world.messages) == sorted(numbers)


async def test_without_a_provider_messages_wait(desk_of: Office):
    await desk_of.queue_sms("captured")
    bare = desk_of.settings().model_copy(update={"sms": SmsSettings(), "providers": {}})
    stop, probe = asyncio.Event(), Probe("dispatcher")
    role = asyncio.create_task(serve(bare, stop, probe))
    await until(lambda: waits(probe))
    assert (probe.state, probe.stuck(), probe.unready()) == ("running", None, None)
    stop.set()
    await role
    assert await status_is(desk_of, "queued")


async def waits(probe: Probe) -> bool:
    return probe.facts.get("waiting") == {"refetches": 0, "sms": 1}
