"""What each output of the relay asks Postgres for, what it makes of the rows, and where that goes."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from structlog.testing import capture_logs

from producers.relay import destination as destinations
from producers.relay.lanes import Batch, CursorLane, CursorMove, SpoolLane, open_lanes
from producers.relay.loop import LaneHealth, LaneLoop
from producers.relay.records import FRAME_BYTES, RelayedRecord, letter_of
from producers.relay.redrive import RedriveLane
from runtime.lease import Lease
from runtime.settings import KafkaSettings, RedriveSettings, RelaySettings, Settings
from runtime.sql import statement
from schemas.errors import LeaseLostError, RatchetError
from schemas.topics import DEAD_LETTER_BYTES_MAX, topics_of

pytestmark = pytest.mark.unit

LEASE = Lease("relay", "me", 7)
OURS = topics_of("acme.", "acme-consumer")
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
SETTINGS = RelaySettings(batch_records_max=30, batch_bytes_max=5_000_000)
READS = {statement("producers", f"read_{name}"): name for name in ("changes", "states", "commands", "letters", "spool")}
NAMES = ("changes", "state", "commands", "dead_letters", "spool")


class Columns(dict[str, Any]):
    """A row that has every column, most of them null."""

    def __missing__(self, _name: str) -> None:
        return None


def row(own: int = 1) -> Columns:
    return Columns(
        relay_xid=5, id=own, payment_id=uuid.UUID(int=3), version=1, recorded_at=NOW, asked_at=NOW, expires_at=NOW,
        status="captured", provider="adyen", livemode=True, command_id="c1", command="refund", due=True,
        topic="acme.webhooks", key=b"k", value=b"v", header_names=[], header_values=[], partition=2, offset=9,
        timestamp_ms=0, reason="invalid", message="", delivery_count=1, redrive_count=0, digest=b"",
        value_left_out=False,
    )  # fmt: skip


class Asked:
    """A database with these rows for each read; it notes what it is asked with."""

    def __init__(self, *rows: Columns, cursor: dict[str, int] | None = None) -> None:
        self.rows, self.cursor = list(rows), cursor
        self.reads: list[tuple[str, tuple[Any, ...]]] = []

    async def fetchrow(self, sql: str, *_: Any) -> dict[str, int] | None:
        await asyncio.sleep(0)
        assert sql == statement("producers", "read_cursor")
        return self.cursor

    async def fetch(self, sql: str, *arguments: Any) -> list[Columns]:
        await asyncio.sleep(0)
        self.reads.append((READS[sql], arguments))
        return self.rows

    async def fetchval(self, *_: Any) -> bool | None:
        await asyncio.sleep(0)
        return None


async def test_each_output_goes_to_its_own_topic_of_the_prefix_that_is_set() -> None:
    """Under the default names changes of one company would be read by those who run another."""
    went = {}
    for lane in open_lanes(SETTINGS, OURS):
        batch = await lane.read(Asked(row(), cursor={"relay_xid": 4, "id": 9}))  # type: ignore[arg-type]
        assert batch is not None
        went[lane.name] = [record.topic for record in batch.records]
        if lane.name == "dead_letters":
            assert dict(batch.records[0].headers)["__dlq.errors.group"] == b"acme-consumer"
    assert went == {
        "changes": ["acme.changes"], "state": ["acme.state"], "commands": ["acme.commands"],
        "dead_letters": ["acme.dlq"], "spool": ["acme.webhooks"],
    }  # fmt: skip


async def test_each_output_reads_on_from_its_cursor_within_the_bounds_that_are_set() -> None:
    database = Asked(row(), cursor={"relay_xid": 4, "id": 9})
    for lane in open_lanes(SETTINGS, OURS):
        await lane.read(database)  # type: ignore[arg-type]
    rows, size = SETTINGS.batch_records_max, SETTINGS.batch_bytes_max
    assert database.reads == [
        ("changes", (4, 9, rows, size)),
        ("states", (4, 9, rows, size)),
        ("commands", (4, 9, rows, size)),
        ("letters", (4, 9, rows, size, DEAD_LETTER_BYTES_MAX)),
        ("spool", (rows, size, [])),
    ]


@pytest.mark.parametrize(("rows", "more"), [(1, {"commands", "dead_letters", "spool"}), (30, set(NAMES))])
async def test_where_a_bound_may_have_cut_a_read_the_next_one_follows_at_once(rows: int, more: set[str]) -> None:
    """Bytes may have cut those of commands, letters and the spool. Else a backlog goes a batch a pause."""
    found = set()
    for lane in open_lanes(SETTINGS, OURS):
        batch = await lane.read(Asked(*map(row, range(rows)), cursor={"relay_xid": 4, "id": 9}))  # type: ignore[arg-type]
        assert batch is not None
        assert batch.divisible == (lane.name == "spool")
        if batch.more:
            found.add(lane.name)
    assert found == more


@pytest.mark.parametrize("name", NAMES[:4])
async def test_a_cursor_that_is_gone_is_no_cursor_at_the_beginning(name: str) -> None:
    """All that was ever published would go out again."""
    lane = next(lane for lane in open_lanes(SETTINGS, OURS) if lane.name == name)
    database = Asked(row())
    with pytest.raises(RatchetError, match=f"relay_cursors has no row '{name}'"):
        await lane.read(database)  # type: ignore[arg-type]
    assert database.reads == []


def batch(*headers: tuple[str, bytes | None], mark: Any = None) -> Batch:
    record = RelayedRecord("t", b"k", b"4111111111111111", headers, None, 0)
    return Batch(1, [record], mark or CursorMove((1, 0), (1, 1)), more=False)


@pytest.mark.parametrize("name", NAMES)
async def test_what_another_relay_has_marked_ends_the_term(name: str) -> None:
    """Taken for an outage, two relays would publish beside each other for good."""
    lane = next(lane for lane in open_lanes(SETTINGS, OURS) if lane.name == name)
    with pytest.raises(LeaseLostError):
        await lane.finish(Asked(), batch(mark=[1] if name == "spool" else None), LEASE, {})  # type: ignore[arg-type]


async def test_each_spooled_record_that_is_refused_becomes_a_letter_that_says_why_and_what_it_is() -> None:
    given: list[tuple[Any, ...]] = []

    class Taking:
        async def fetchval(self, sql: str, *arguments: Any) -> bool:
            await asyncio.sleep(0)
            assert sql == statement("producers", "delete_spool")
            given.append(arguments)
            return True

    records = [
        RelayedRecord("t", key, b"v" * size, (("ce_id", key), ("ce_source", b"adyen"), ("x", None)), None, 0)
        for size, key in ((1, b"k1"), (2, b"k2"), (3, b"k3"))
    ]
    lane = SpoolLane(SETTINGS)
    whole = Batch(3, records, [11, 12, 13], more=True, divisible=True)
    await lane.finish(Taking(), whole, LEASE, {2: ValueError(), 1: MessageSizeTooLargeError()})  # type: ignore[arg-type]
    await lane.finish(Taking(), whole, LEASE, {})  # type: ignore[arg-type]
    (ids, *rest), nothing = given
    assert (ids, tuple(rest[:3])) == ([11, 12, 13], LEASE.fence)
    buried, why, _, events, _, payments = rest[3:]
    assert (buried, events, payments) == ([13, 12], ["k3", "k2"], ["k3", "k2"])
    assert ["ValueError" in why[0], "TooLarge" in why[1], "bytes" in why[1]] == [True] * 3
    assert nothing == ([11, 12, 13], *LEASE.fence, *[[]] * 6)


async def test_a_refusal_names_the_record_and_shows_nothing_of_what_it_says() -> None:
    async def fetch(*_: Any) -> list[Any]:
        return []

    lane = CursorLane("changes", SETTINGS, fetch, lambda _row: None, 1)
    headers = ("ce_id", b"e1"), ("authorization", b"Bearer x"), ("__dlq.errors.topic", b"acme.webhooks")
    with capture_logs() as logs, pytest.raises(LeaseLostError):
        await lane.finish(Asked(), batch(*headers), LEASE, {0: MessageSizeTooLargeError()})  # type: ignore[arg-type]
    (line,) = logs
    assert (line["ce_id"], line["__dlq.errors.topic"], line["lane"]) == ("e1", "acme.webhooks", "changes")
    assert set(line) == {"ce_id", "__dlq.errors.topic", "lane", "error", "event", "log_level"}
    assert "4111" not in str(line)


@pytest.mark.parametrize("room", [FRAME_BYTES, FRAME_BYTES - 1, 0])
def test_a_letter_leaves_room_for_kafka_s_own_framing(room: int) -> None:
    """One that is as large as the topic takes is refused with it, and goes without its value a round later."""
    around = letter_of(row() | {"value": b""}, OURS).size()
    value = b"v" * (DEAD_LETTER_BYTES_MAX - around - room)
    assert (letter_of(row() | {"value": value}, OURS).value is not None) == (room == FRAME_BYTES)


def test_letters_alone_can_do_with_less() -> None:
    """A change without a part of it would be another change."""
    given = RelayedRecord("t", b"k", b"v", [(str(number), b"") for number in range(12)], 0, 0, b"digest")
    redrives = RedriveLane(SETTINGS, RedriveSettings(), LEASE, OURS)
    smaller = {
        lane.name: lane.reduced(given, MessageSizeTooLargeError()) for lane in (*open_lanes(SETTINGS, OURS), redrives)
    }
    letter = smaller.pop("dead_letters")
    assert letter is not None
    assert (letter.value, letter.key) == (None, b"k")
    assert smaller == dict.fromkeys(("changes", "state", "commands", "spool", "redrives"))


class Opened:
    """Notes how producers are opened; they refuse everything."""

    def __init__(self) -> None:
        self.how: list[tuple[int, bool, str | None]] = []
        self.closed = 0

    async def open(
        self, _settings: KafkaSettings, size: int, *, idempotent: bool = True, compression: str | None = None
    ) -> Opened:
        await asyncio.sleep(0)
        self.how.append((size, idempotent, compression))
        return self

    async def partitions_for(self, _topic: str) -> set[int]:
        await asyncio.sleep(0)
        return {0}

    def create_batch(self) -> Any:
        return Paper()

    async def send_batch(self, *_: Any, **__: Any) -> Any:
        answer = asyncio.get_running_loop().create_future()
        answer.get_loop().call_soon(answer.set_exception, MessageSizeTooLargeError())
        return answer

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


class Paper:
    """A batch that has room for all."""

    def append(self, **_: Any) -> object:
        return self

    def close(self) -> None:
        pass


@pytest.mark.parametrize("name", NAMES)
async def test_each_output_s_producer_takes_the_largest_letter_and_letters_are_made_small(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A letter that fitted by its codec on the way in has to fit on its way out, by either producer."""
    opened = Opened()
    monkeypatch.setattr(destinations, "open_producer", opened.open)
    lane = next(lane for lane in open_lanes(SETTINGS, OURS) if lane.name == name)
    loop = LaneLoop(lane, None, Settings(), LaneHealth())  # type: ignore[arg-type]
    refused = await loop._destination.publish(batch().records)
    codec = "gzip" if name == "dead_letters" else None
    assert opened.how == [(DEAD_LETTER_BYTES_MAX, True, codec), (DEAD_LETTER_BYTES_MAX, False, codec)]
    assert ([one.place for one in refused], opened.closed) == ([0], 2)
