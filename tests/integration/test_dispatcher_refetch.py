"""The refetch job on real rows: each answer goes into the ledger once, whatever breaks between asking and writing."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from dispatching import Office, office
from outside import charge, intent, outside
from waiting import until

from consumer.decode import Event, decode
from runtime.sql import statement
from schemas.errors import LeaseLostError
from schemas.facts import FactKind
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = pytest.mark.integration


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[Office]:
    async with outside() as world, office(database, world) as open_office:
        yield open_office


def paid(key: str) -> dict[str, Any]:
    return intent(key, status="succeeded", amount_received=1000, latest_charge=charge(f"ch_{key}", key))


async def test_answer_is_spooled_as_an_event_that_the_consumer_decodes(harness: Office):
    harness.world.objects["pi_1"] = paid("pi_1")
    await harness.ask_again("pi_1")
    lease = await harness.lease()
    async with harness.job("refetch") as job:
        assert await job.turn(lease)
        assert not await job.turn(lease), "nothing is due"
    [row], [spooled] = await harness.rows("refetches"), await harness.rows("spool")
    assert (row["status"], row["attempts"], row["last_error"]) == ("done", 1, None)
    assert json.loads(spooled["value"]) == paid("pi_1")
    assert (spooled["topic"], spooled["key"]) == ("payments.webhooks", b"pi_1")
    names = [name.decode() for name in spooled["header_names"]]
    headers = tuple(zip(names, spooled["header_values"], strict=True))
    assert dict(headers)["ce_id"] == b"refetch:" + hashlib.sha256(spooled["value"]).hexdigest().encode()
    assert dict(headers)["ce_source"] == b"stripe"
    assert dict(headers)["ce_type"] == b"refetch.payment_intent"
    assert dict(headers)["ce_ratchettrust"] == b"verified"
    event = decode(Record(spooled["topic"], 0, 0, 0, spooled["key"], spooled["value"], headers))
    assert isinstance(event, Event)
    assert {fact.kind for fact in event.meaning.facts} >= {FactKind.CAPTURE, FactKind.TERMS}


async def test_an_answer_that_was_not_written_is_asked_for_again(harness: Office):
    harness.world.objects["pi_1"] = paid("pi_1")
    await harness.ask_again("pi_1")
    lease, fault = await harness.lease(), harness.world.fail("/v1/", holds=asyncio.Event())
    async with harness.job("refetch") as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        [row] = await harness.rows("refetches")
        assert (row["status"], row["attempts"]) == ("queued", 1)
        assert row["next_attempt_at"] > dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20), "put off before the call"
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
        fault.holds.set()  # type: ignore[union-attr]
        assert not await job.turn(lease), "the claim holds"
        await harness.make_due("refetches")
        assert await job.turn(lease)
    [row], spool = await harness.rows("refetches"), await harness.rows("spool")
    assert (row["status"], row["attempts"], len(spool)) == ("done", 2, 1)


async def test_ids_that_nobody_knows_are_asked_about_within_their_budget(harness: Office):
    for ref in ("pi_1", "pi_2"):
        harness.world.objects[ref] = paid(ref)
        await harness.pool.execute(
            "insert into refetches (provider, account, ref, reason, known, priority) values ('stripe', '', $1, 'hint',"
            " false, 9)",
            ref,
        )
    harness.world.objects["pi_3"] = paid("pi_3")
    lease = await harness.lease()
    async with harness.job("refetch", refetch={"unknown_per_minute_max": 1}) as job:
        assert await job.turn(lease)
        assert not await job.turn(lease), "the other one waits for a call of the budget"
        await harness.ask_again("pi_3")
        assert await job.turn(lease), "what the ledger knows needs none"
        assert not await job.turn(lease)
    found = {row["ref"]: row["status"] for row in await harness.rows("refetches")}
    assert found == {"pi_1": "done", "pi_2": "queued", "pi_3": "done"}


async def test_of_what_failed_the_newest_unknown_ids_are_kept_and_all_that_is_known(harness: Office):
    await harness.pool.execute(
        "insert into refetches (provider, account, ref, reason, status, known, updated_at)"
        " select 'stripe', '', name, 'hint', status, known, now() - make_interval(hours => hours)"
        " from (values ('oldest', 'failed', false, 9), ('older', 'failed', false, 8), ('newest', 'failed', false, 1),"
        " ('known', 'failed', true, 9), ('waits', 'queued', false, 9), ('done', 'done', false, 9))"
        " as n (name, status, known, hours)"
    )
    await harness.pool.execute(statement("consumer.dispatcher", "trim_refetches"), 1)
    assert {row["ref"] for row in await harness.rows("refetches")} == {"newest", "known", "waits", "done"}


async def test_a_lost_lease_writes_nothing(harness: Office):
    harness.world.objects["pi_1"] = paid("pi_1")
    await harness.ask_again("pi_1")
    lease, fault = await harness.lease(), harness.world.fail("/v1/", accepts=True, holds=asyncio.Event())
    async with harness.job("refetch") as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        successor = await harness.steal_lease()
        fault.holds.set()  # type: ignore[union-attr]
        with pytest.raises(LeaseLostError):
            await turn
        assert await harness.rows("spool") == []
        with pytest.raises(LeaseLostError):
            await job.turn(lease)
        [row] = await harness.rows("refetches")
        assert (row["status"], row["attempts"]) == ("queued", 1)
        await harness.make_due("refetches")
        assert await job.turn(successor)
    assert len(await harness.rows("spool")) == 1


async def test_a_claim_that_was_taken_over_finishes_nothing(harness: Office):
    """The same leader, but so slow that its claim expired: the second answer counts, the first one is dropped."""
    harness.world.objects["pi_1"] = intent("pi_1")
    await harness.ask_again("pi_1")
    lease, fault = await harness.lease(), harness.world.fail("/v1/", accepts=True, holds=asyncio.Event())
    async with harness.job("refetch") as job:
        slow = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        harness.world.objects["pi_1"] = paid("pi_1")
        await harness.make_due("refetches")
        assert await job.turn(lease)
        fault.holds.set()  # type: ignore[union-attr]
        await slow
    [spooled] = await harness.rows("spool")
    assert json.loads(spooled["value"])["status"] == "succeeded"


async def test_what_is_asked_for_while_the_answer_is_on_its_way_is_asked_once_more(harness: Office):
    harness.world.objects["pi_1"] = intent("pi_1")
    await harness.ask_again("pi_1")
    lease, fault = await harness.lease(), harness.world.fail("/v1/", accepts=True, holds=asyncio.Event())
    async with harness.job("refetch") as job:
        turn = asyncio.create_task(job.turn(lease))
        await fault.met.wait()
        harness.world.objects["pi_1"] = paid("pi_1")
        await harness.ask_again("pi_1")
        fault.holds.set()  # type: ignore[union-attr]
        await turn
        [row] = await harness.rows("refetches")
        assert (row["status"], row["attempts"]) == ("queued", 0)
        assert await job.turn(lease)
        assert not await job.turn(lease)
    assert [json.loads(row["value"])["status"] for row in await harness.rows("spool")] == [
        "requires_payment_method",
        "succeeded",
    ]
    await harness.ask_again("pi_1")
    assert [row["status"] for row in await harness.rows("refetches")] == ["queued"], "one row a payment"


async def test_refusals_fail_and_say_why(harness: Office):
    """An account is one whether it is written with capitals or without."""
    for ref, account in (("pi_gone", ""), ("pi_1", "Acme"), ("re_1", "")):
        await harness.ask_again(ref, account=account)
    lease = await harness.lease()
    async with harness.job("refetch") as job:
        while await job.turn(lease):
            pass
    reported = {
        row["ref"]: (row["status"], row["attempts"], row["last_error"]) for row in await harness.rows("refetches")
    }
    host = harness.world.url[7:]
    assert reported == {
        "pi_gone": ("failed", 1, f"{host} does not know this payment (404)"),
        "pi_1": ("failed", 1, f"{host} refuses the credentials (401); check the provider's api_ settings"),
        "re_1": ("failed", 1, "the API of stripe can't be asked about this reference"),
    }
    assert await harness.rows("spool") == []


async def test_outages_are_tried_again_up_to_a_bound(harness: Office):
    harness.world.objects |= {"pi_1": paid("pi_1"), "pi_2": paid("pi_2")}
    lease = await harness.lease()
    async with harness.job("refetch", refetch={"attempts_max": 3}) as job:
        await harness.ask_again("pi_1")
        harness.world.fail("/v1/", 500, 503)
        await until(lambda: turned(harness, job, lease, "done"))
        await harness.ask_again("pi_2")
        harness.world.fail("/v1/", 500, 502, 503)
        await until(lambda: turned(harness, job, lease, "failed"))
    first, second = await harness.rows("refetches")
    assert (first["attempts"], second["attempts"]) == (3, 3)
    assert second["last_error"].endswith("answered 503")


async def turned(of: Office, job: Any, lease: Any, status: str) -> bool:
    await job.turn(lease)
    return (await of.rows("refetches"))[-1]["status"] == status


async def test_retry_after_is_kept_by_the_row_and_by_the_api(harness: Office):
    for ref in ("pi_1", "pi_2"):
        harness.world.objects[ref] = paid(ref)
        await harness.ask_again(ref)
    lease = await harness.lease()
    harness.world.fail("/v1/", 429, headers={"Retry-After": "60"})
    async with harness.job("refetch") as job:
        assert await job.turn(lease)
        assert not await job.turn(lease), "nobody asks an API that wants to be left alone"
    first, second = await harness.rows("refetches")
    assert first["next_attempt_at"] > dt.datetime.now(dt.UTC) + dt.timedelta(seconds=50)
    assert (second["attempts"], harness.world.asked("/v1/")) == (0, 1)


async def test_a_hint_of_a_source_without_a_key_waits_for_one(harness: Office):
    await harness.pool.execute(
        "insert into refetches (provider, account, ref, reason) values ('mollie', '', 'tr_1', 'hint')"
    )
    async with harness.role() as probe:
        await until(lambda: reports(probe))
        assert probe.facts["waiting"] == {"refetches": 1, "sms": 0}
    [row] = await harness.rows("refetches")
    assert (row["status"], row["attempts"]) == ("queued", 0)


async def reports(probe: Any) -> bool:
    return "waiting" in probe.facts


async def test_two_dispatchers_ask_each_thing_once(harness: Office):
    refs = [f"pi_{number}" for number in range(60)]
    for ref in refs:
        harness.world.objects[ref] = paid(ref)
        await harness.ask_again(ref)
    async with harness.role() as first, harness.role() as second:
        await until(lambda: all_done(harness))
        assert [probe.stuck() or probe.unready() for probe in (first, second)] == [None, None]
    assert sorted(row["key"].decode() for row in await harness.rows("spool")) == sorted(refs)
    assert [harness.world.asked(f"/{ref}?") for ref in refs] == [1] * len(refs)
    assert await harness.pool.fetchval("select bool_and(expires_at <= clock_timestamp()) from leases"), "given back"


async def all_done(of: Office) -> bool:
    return {row["status"] for row in await of.rows("refetches")} == {"done"}


async def test_two_jobs_under_one_lease_claim_different_rows(harness: Office):
    refs = [f"pi_{number}" for number in range(30)]
    for ref in refs:
        harness.world.objects[ref] = paid(ref)
        await harness.ask_again(ref)
    lease = await harness.lease()

    async def drain(job: Any) -> None:
        while await job.turn(lease):
            pass

    async with harness.job("refetch") as one, harness.job("refetch") as other:
        while not await all_done(harness):
            await asyncio.gather(*(drain(job) for job in (one, other, one, other)))
    assert len(await harness.rows("spool")) == 30
    assert harness.world.asked("/v1/") == 30
