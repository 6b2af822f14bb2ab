"""Redrives on real brokers: what was foreseen is what happens, each letter once, at the pace that was asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import until, until_waiting, webhook
from redriving import RedriveHarness, redrive_harness
from relay_rows import add_letter as add_row
from relay_rows import reading, relaying

from consumer.planner import Planner
from ops import redrives
from ops.redrives import LetterFilter, RedriveRequest, RedriveStatus
from producers.relay import outbox_depth
from producers.relay.redrive import RedriveLane
from runtime.lease import PostgresLeases
from runtime.postgres import open_pool
from schemas.dead_letter import Reason
from schemas.errors import LeaseLostError, RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


@pytest.fixture
async def table(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[RedriveHarness]:
    async with redrive_harness(stack, database, tmp_path) as made:
        yield made


async def add_letter(connection: Any, **columns: Any) -> int:
    return await add_row(connection, **{"redrive_count": 0} | columns)


def mixture() -> list[Any]:
    """Return events that become dead letters of five reasons; `tripme` is what a deployed bug trips over."""
    junk = [webhook("payment.created", f"junk-{n}")._replace(value=b"no json") for n in range(3)]
    unknown = [webhook("payment.teleported", f"odd-{n}") for n in range(3)]
    orphans = [webhook("refund.succeeded", f"lost-{n}", child=f"r-{n}", amount=100) for n in range(4)]
    bug = [webhook("payment.captured", f"tripme-{n}", child=f"c-{n}", amount=500) for n in range(3)]
    behind = [webhook("refund.succeeded", f"tripme-{n}", child=f"r-{n}", amount=100) for n in range(3)]
    return [*behind, *orphans, *junk, *unknown, *bug]


async def test_what_is_foreseen_is_what_happens(table: RedriveHarness):
    """Also where one letter brings what another waits for, and where a later delivery processed one meanwhile.

    The orphans are as `dlq rebuild` takes them in, which don't wait: others would be applied by themselves.
    """
    child = table.consumers.spawn(trip="tripme-")
    first, other = webhook("payment.created", "pair", event_id="same"), webhook("payment.created", "pair", amount=7)
    await table.bury([first, other._replace(event_id="same", headers=first.headers)], 1)
    events = mixture()
    await table.bury(events, 17)
    assert {row["reason"] for row in await table.letters()} >= {"undecodable", "unknown_kind", "conflict", "unexpected"}
    await child.terminate()
    await table.connection.execute("delete from orphan_refs")
    table.consumers.spawn()
    arrived = [webhook("payment.captured", f"lost-{n}", child=f"c-{n}", amount=500) for n in (0, 1, 2)]
    again = events[5]  # lost-2: delivered once more, now that its payment is there
    await table.consumers.publish([*arrived, again])
    await until(lambda: _count(table, "payment_logs", 5), "the payments are there")

    before, known = await table.written(), await table.letters()
    seen = await table.preview()
    assert (seen.matched, len(seen.messages), seen.left_out) == (17, 17, ())
    assert await table.letters() == known, "a preview writes nothing"
    foreseen = {one.id: one.would.value for one in seen.messages}
    assert seen.counts() == {"apply": 8, "noop": 1, "illegal": 7, "orphan": 1}

    redrive_id = await table.order()
    async with relaying(table.settings):
        done = await table.ended(redrive_id)
        assert (done.status, done.published, done.skipped) == (RedriveStatus.DONE, 17, 0)

        async def happened() -> bool:
            return await table.fates(redrive_id, before) == foreseen

        await until(happened, "each letter ends as foreseen")
        await until(lambda: _at_rest(table), "the outbox is empty")
    assert (await redrives.progress(table.connection, redrive_id)).returned == 7
    messages = await redrives.read_messages(table.connection, redrive_id)
    assert {row["id"]: row["would"] for row in messages} == foreseen
    assert {row["status"] for row in messages} == {"published"}
    back = await table.letters()
    assert sorted(row["redrive_count"] for row in back) == [1] * 7
    assert len(await table.letters("redriven")) == 17

    seen = await table.preview()
    assert (seen.messages, len(seen.left_out)) == ((), 7), "run again it does nothing"
    assert (await redrives.start(table.connection, table.settings, RedriveRequest())).redrive_id is None


async def _count(table: RedriveHarness, name: str, count: int) -> bool:
    return await table.consumers.count(name) == count


async def _at_rest(table: RedriveHarness) -> bool:
    return not any((await outbox_depth(table.connection)).values())


async def test_record_is_the_original_and_its_count(stack: Endpoints, table: RedriveHarness):
    names, values = [b"ce_id", b"ratchet-redrive-count", b"x", b"x"], [b"e", b"1", None, b"2"]
    letter = {"key": b"k", "value": b"\x00\xff", "header_names": names, "header_values": values, "redrive_count": 1}
    await add_letter(table.connection, **letter)
    async with reading(stack, "payments.webhooks") as reader:
        done = await table.redrive(force=True)
        await reader.until(lambda records: any(record.key == b"k" for record in records))
    assert done.published == 1
    (record,) = [record for record in reader.records if record.key == b"k"]
    assert record.value == b"\x00\xff"
    assert record.headers == (("ce_id", b"e"), ("x", None), ("x", b"2"), ("ratchet-redrive-count", b"2"))
    assert record.timestamp > 1_767_323_045_678, "an old time might fall to the topic's retention"


async def test_pace_is_kept(table: RedriveHarness):
    for _ in range(150):
        await add_letter(table.connection)
    done = await table.redrive(rate_per_second=50.0)
    assert done.started_at is not None
    assert done.ended_at is not None
    moments = await table.connection.fetch("select published_at from redrive_messages order by published_at")
    seconds = (moments[-1][0] - done.started_at).total_seconds()
    assert 2.7 <= seconds < 6, (
        "never faster; how exact it is when the machine is idle, test_redrive_rate_limiter.py says"
    )


async def test_letter_that_is_not_open_is_never_redriven(table: RedriveHarness):
    ids = [await add_letter(table.connection) for _ in range(3)]
    redrive_id = await table.order()
    gone = await redrives.discard(table.connection, LetterFilter(ids=(ids[0],)), who="alice", because=" a leftover ")
    assert (gone.matched, gone.ids) == (1, (ids[0],))
    second_id = await table.order(filters=LetterFilter(ids=(ids[1],)))
    async with relaying(table.settings):
        first, second = await table.ended(redrive_id), await table.ended(second_id)
    assert (first.published, first.skipped, second.published, second.skipped) == (2, 1, 0, 1)
    reported = {row["id"]: row["detail"] for row in await redrives.read_messages(table.connection, redrive_id)}
    assert reported == {ids[0]: "it is discarded already", ids[1]: None, ids[2]: None}
    kept = await table.connection.fetchrow("select * from discards")
    assert (kept["dead_letter_id"], kept["discarded_by"], kept["because"]) == (ids[0], "alice", "a leftover")
    again = await redrives.discard(table.connection, LetterFilter(ids=tuple(ids)), who="bob", because="too")
    assert (again.matched, again.ids) == (0, ())


async def test_letter_that_is_discarded_while_it_is_taken_is_not_published(table: RedriveHarness):
    """Whoever holds the letter first wins: the relay waits for the other's end, and looks again."""
    letter = await add_letter(table.connection)
    redrive_id = await table.order()
    pool = await open_pool(table.settings.postgres, role="relay", connections=1)
    lease = await PostgresLeases(pool).acquire("relay", "reader", 30.0)
    assert lease is not None
    lane = RedriveLane(table.settings.relay, table.settings.redrive, lease, table.settings.kafka.topics)
    other = await asyncpg.connect(table.settings.postgres.dsn.get_secret_value())
    async with pool.acquire() as connection:
        assert await lane.read(connection) is None, "the bucket begins empty"
        async with other.transaction():
            await other.execute("update dead_letters set status = 'discarded' where id = $1", letter)
            reading_on = asyncio.create_task(lane.read(connection))
            await until_waiting(table.connection)
        assert await reading_on is None
    await other.close()
    await pool.close()
    (row,) = await redrives.read_messages(table.connection, redrive_id)
    assert (row["status"], row["detail"]) == ("skipped", "it is discarded already")


async def test_letter_that_came_back_too_often_needs_force(table: RedriveHarness):
    often, once, fresh = [await add_letter(table.connection, redrive_count=count) for count in (3, 1, 0)]
    seen = await table.preview()
    assert [one.id for one in seen.messages] == [fresh]
    assert {one.id: one.guarded for one in seen.left_out} == {often: True, once: True}
    seen = await table.preview(force=True)
    assert [one.id for one in seen.messages] == [often, once, fresh]
    assert (await table.preview(messages_max=2, force=True)).messages == seen.messages[:2]
    assert (await table.preview(filters=LetterFilter(limit=1))).matched == 3


async def test_letter_without_a_topic_of_ours_needs_one(table: RedriveHarness):
    letter = await add_letter(table.connection, topic="elsewhere")
    seen = await table.preview()
    assert [(one.id, one.guarded) for one in seen.left_out] == [(letter, False)]
    assert "elsewhere" in seen.left_out[0].why
    with pytest.raises(SettingsError, match="elsewhere"):
        await table.preview(target_topic="elsewhere")
    assert (await table.redrive(target_topic="payments.webhooks")).published == 1


async def test_stop_and_resume(table: RedriveHarness):
    for _ in range(40):
        await add_letter(table.connection)
    redrive_id = await table.order(rate_per_second=20.0)

    async def begun() -> bool:
        return (await redrives.progress(table.connection, redrive_id)).published > 2

    async with relaying(table.settings):
        await until(begun, "the redrive has begun")
        assert (await redrives.stop(table.connection, redrive_id, "alice")).stopping
        stopped = await table.ended(redrive_id)
        assert (stopped.status, stopped.stop_reason) == (RedriveStatus.STOPPED, "stopped by alice")
        assert len(await table.letters()) == 40 - stopped.published
        resumed = await redrives.resume(table.connection, redrive_id, "bob")
        assert not resumed.ended
        done = await table.ended(redrive_id)
    assert (done.status, done.published) == (RedriveStatus.DONE, 40)
    assert [one.id for one in await redrives.list_redrives(table.connection, 10)] == [redrive_id]
    with pytest.raises(RatchetError, match="no redrive"):
        await redrives.progress(table.connection, redrive_id + 1)


async def test_letters_that_come_back_unforeseen_stop_it(stack: Endpoints, database: Database, tmp_path: Path):
    async with redrive_harness(stack, database, tmp_path, failures_min=5) as table:
        child = table.consumers.spawn(trip="tripme-")
        await table.bury([webhook("payment.created", f"tripme-{n}") for n in range(40)], 40)
        seen = await table.preview()
        assert seen.counts()["apply"] == 40, "here nothing trips; the consumer's bug is still deployed"
        done = await table.redrive(rate_per_second=20.0)
        assert (done.status, child.running) == (RedriveStatus.FAILED, True)
        assert 5 <= done.failed <= done.published < 40
        assert "came back" in str(done.stop_reason)
        goes_on = await redrives.resume(table.connection, done.id, "alice")
        assert goes_on.status is RedriveStatus.QUEUED


async def test_what_a_killed_relay_left_is_published_and_counted_once(stack: Endpoints, table: RedriveHarness):
    """The relay dies between the mark and the publishing, then between the publishing and the note of it."""
    letters = [await add_letter(table.connection, key=b"killed-%d" % n) for n in range(20)]
    redrive_id = await table.order()
    pool = await open_pool(table.settings.postgres, role="relay", connections=2)
    leases = PostgresLeases(pool)
    lease = await leases.acquire("relay", "dead", 0.5)
    assert lease is not None
    lane = RedriveLane(table.settings.relay, table.settings.redrive, lease, table.settings.kafka.topics)
    async with pool.acquire() as connection:
        await until(lambda: lane.read(connection), "letters are marked")
        marked = await table.letters("redriven")
        assert 0 < len(marked) <= 20
        async with reading(stack, "payments.webhooks") as reader, relaying(table.settings):
            done = await table.ended(redrive_id)
            assert (done.status, done.published) == (RedriveStatus.DONE, 20)
            with pytest.raises(LeaseLostError):
                await lane.read(connection) or await lane.finish(connection, _batch_of(redrive_id, letters), lease, {})
            keys = {b"killed-%d" % n for n in range(20)}
            await reader.until(lambda records: keys <= {record.key for record in records})
    await pool.close()
    rows = await table.connection.fetch("select status, count(*) from redrive_messages group by status")
    assert [tuple(row) for row in rows] == [("published", 20)]
    assert len(await table.letters("redriven")) == 20


def _batch_of(redrive_id: int, letters: list[int]) -> Any:
    from producers.relay.lanes import Batch
    from producers.relay.redrive import RedriveMark

    return Batch(len(letters), [], RedriveMark(redrive_id, letters), more=False)


async def test_large_letters_come_in_parts(stack: Endpoints, table: RedriveHarness):
    for n in range(12):
        await add_letter(table.connection, key=b"large-%d" % n, value=bytes(2_000_000))
    too_large = await add_letter(table.connection, value=bytes(3_000_000))
    done = await table.redrive()
    assert (done.published, done.skipped) == (12, 1)
    (skipped,) = [row for row in await redrives.read_messages(table.connection, done.id) if row["status"] == "skipped"]
    assert skipped["id"] == too_large
    assert "bytes" in skipped["detail"]


async def test_groups_and_pages(table: RedriveHarness):
    for n in range(3):
        await add_letter(table.connection, source="stripe", event_type="a", reason="orphan", event_id=str(n))
    other = await add_letter(table.connection, source="adyen/acme", event_type="b", reason="conflict")
    groups = await redrives.group_letters(table.connection, LetterFilter())
    assert [(one.reason, one.source, one.letters) for one in groups] == [
        ("orphan", "stripe", 3),
        ("conflict", "adyen/acme", 1),
    ]
    page = await redrives.list_letters(table.connection, LetterFilter(provider="adyen"), 10)
    assert (page.total, [row["id"] for row in page.letters]) == (1, [other])
    page = await redrives.list_letters(table.connection, LetterFilter(reason=Reason.ORPHAN), 2)
    assert (page.total, len(page.letters)) == (3, 2)


@pytest.mark.parametrize(
    ("order", "expected"),
    [({"rate_per_second": 0.0}, "rate"), ({"messages_max": 0}, "most"), ({"requested_by": " "}, "who")],
)
async def test_order_that_can_not_be_meant(table: RedriveHarness, order: dict[str, Any], expected: str):
    with pytest.raises(SettingsError, match=expected):
        await table.preview(**order)
    with pytest.raises(SettingsError, match="why"):
        await redrives.discard(table.connection, LetterFilter(), who="alice", because=" ")


async def keep(table: RedriveHarness, event: Any, **columns: Any) -> int:
    """Keep an event as a dead letter."""
    names, values = [name.encode() for name, _ in event.headers], [value for _, value in event.headers]
    reported = {"key": event.key, "value": event.value, "header_names": names, "header_values": values}
    return await add_letter(
        table.connection, **reported | {"source": "standard_webhooks", "event_id": event.event_id} | columns
    )


async def test_preview_reads_in_parts_what_letters_do_to_each_other(
    stack: Endpoints, database: Database, tmp_path: Path
):
    """A refund that waits for a capture of a later part; one that ended a process; one that says it again."""
    async with redrive_harness(stack, database, tmp_path, preview_records_max=1) as table:
        capture = webhook("payment.captured", "p", child="c", amount=500)
        refund = await keep(table, webhook("refund.succeeded", "p", child="r", amount=100))
        fatal = await keep(table, webhook("payment.created", "q"), reason="fatal")
        first = await keep(table, capture)
        again = await keep(table, capture, value=capture.value + b" ")
        alone = await keep(table, webhook("refund.succeeded", "nobody", child="r", amount=100))
        seen = await table.preview()
    found = {one.id: one.would.value for one in seen.messages}
    assert found == {refund: "apply", fatal: "illegal", first: "apply", again: "noop", alone: "orphan"}
    assert {one.id: one.outcome for one in seen.messages if one.id in (again, alone)} == {
        again: "duplicate",
        alone: "parked",
    }


async def test_preview_wakes_what_is_parked_and_changes_nothing(table: RedriveHarness):
    table.consumers.spawn()
    await table.consumers.publish([webhook("refund.succeeded", "p", child="r", amount=100)])
    await until(lambda: _count(table, "parked_events", 1), "the refund waits")
    letter = await keep(table, webhook("payment.captured", "p", child="c", amount=500))
    (one,) = (await table.preview()).messages
    assert (one.id, one.would) == (letter, redrives.PreviewAnswer.APPLY)
    assert await table.consumers.count("parked_events") == 1


async def test_letter_that_trips_the_fold_is_kept_apart_from_its_neighbours(
    table: RedriveHarness, monkeypatch: pytest.MonkeyPatch
):
    class Tripping(Planner):
        def plan(self, items: Any) -> Any:
            if any(getattr(item, "event_id", "") == "bad" for _, item in items):
                raise ZeroDivisionError
            return super().plan(items)

    monkeypatch.setattr("ops.dry_run.Planner", Tripping)
    good = await keep(table, webhook("payment.created", "good"))
    bad = await keep(table, webhook("payment.created", "bad", event_id="bad"))
    seen = await table.preview()
    assert {one.id: (one.would.value, one.outcome) for one in seen.messages} == {
        good: ("apply", "applied"),
        bad: ("illegal", "unexpected"),
    }
