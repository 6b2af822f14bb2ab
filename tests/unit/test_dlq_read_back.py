"""How far the DLQ topic is read, from where, and what of it the table takes in: without a broker.

The consumer of these tests has positions of its own, at each poll gives what a test lays down, and yields.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
import uuid
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import ConsumerRecord
from typer.testing import CliRunner

from ops import dlq_options, dlq_rebuild, endpoints, redrive_commands, topic_reader
from ops.cli import app
from ops.dlq_rebuild import PUBLISHED_XID, YEAR_10000_MS, TakenIn, rebuild, take_in
from producers.relay.records import letter_of
from runtime import kafka_records
from runtime.kafka_topic_ids import NO_ID, TopicFound, _Answer
from runtime.settings import KafkaSettings, Settings
from runtime.sql import statement
from schemas.dead_letter import DIGEST_HEADER, TRUNCATED_HEADER
from schemas.errors import UnavailableError
from schemas.topics import DLQ

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

pytestmark = pytest.mark.unit

SETTINGS = Settings()
BOUNDS = SETTINGS.redrive
WHEN = 1_790_000_000_000
POLLS_MAX = 100
THIS, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
Headers = tuple[tuple[str, bytes | None], ...]


def record(partition: int, offset: int, headers: Headers = (), **other: Any) -> ConsumerRecord[Any, Any]:
    parts: dict[str, Any] = {"timestamp": WHEN, "key": b"k", "value": b"v"} | other
    return ConsumerRecord(
        topic=DLQ.name, partition=partition, offset=offset, timestamp_type=0, checksum=None, serialized_key_size=1,
        serialized_value_size=1, headers=headers, **parts,
    )  # fmt: skip


def foreign(offset: int, *, topic: bytes = b"payments.webhooks", count: bytes = b"5") -> Headers:
    named = {"topic": topic, "partition": b"3", "offset": str(offset).encode(), "delivery.count": count}
    return tuple((f"__dlq.errors.{name}", value) for name, value in named.items())


def ours(offset: int) -> Headers:
    """Return the headers of a letter that the relay published."""
    sent = letter_of({
        "topic": "payments.webhooks", "partition": 7, "offset": offset, "timestamp_ms": 9, "key": None, "value": b"",
        "header_names": [], "header_values": [], "message": "why", "reason": "conflict", "delivery_count": 2,
        "redrive_count": 0, "digest": b"d" * 32, "value_left_out": False,
    })  # fmt: skip
    return tuple(sent.headers)


class Topic:
    """A consumer at a topic: its partitions' records, where each begins and ends, and how many a poll brings."""

    def __init__(
        self, parts: dict[int, list[ConsumerRecord[Any, Any]]], polls: Sequence[int] = (), begins: int = 0
    ) -> None:
        self.parts, self.polls = parts, list(polls)
        self.begins = dict.fromkeys(parts, begins)
        self.ends = {number: found[-1].offset + 1 if found else begins for number, found in parts.items()}
        self.at: dict[int, int] = {}
        self.looks = 0
        self.topic_id: uuid.UUID | None = THIS
        self.before_poll: Callable[[], None] = lambda: None

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.at = {place.partition: -1 for place in places}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.at[place.partition] = offset

    async def position(self, place: TopicPartition) -> int:
        await asyncio.sleep(0)
        return self.at[place.partition]

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return {place: self.ends[place.partition] for place in places}

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return {place: self.begins[place.partition] for place in places}

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        assert timeout_ms > 0
        await asyncio.sleep(0)
        self.looks += 1
        assert self.looks < POLLS_MAX, "it reads without end"
        self.before_poll()
        most = min(self.polls.pop(0) if self.polls else max_records, max_records)
        for number, found in self.parts.items():
            new = [one for one in found if one.offset >= self.at[number]][:most]
            if new:
                self.at[number] = new[-1].offset + 1
                return {TopicPartition(DLQ.name, number): new}
        return {}


class Table:
    """The database: what it knows of places, and what is written into it, in which order and in which transaction."""

    def __init__(self, positions: dict[int, int] | None = None, topic_id: uuid.UUID | None = None) -> None:
        self.positions = positions or {}
        self.ids: dict[int, uuid.UUID | None] = dict.fromkeys(self.positions, topic_id)
        self.noted: list[int] = []
        self.known: set[tuple[Any, ...]] = set()
        self.letters: list[tuple[Any, ...]] = []
        self.done: list[str] = []
        self.within = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.within += 1
        before = len(self.letters), dict(self.positions)
        yield
        self.within -= 1
        self.done.append(f"{len(self.letters) - before[0]} letters, positions {self.positions}")

    async def fetch(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        if sql == statement("ops", "read_positions"):
            return [
                {"partition": one, "next_offset": offset, "topic_id": self.ids[one]}
                for one, offset in self.positions.items()
            ]
        assert sql == statement("ops", "find_places")
        named = ("topic", "partition", "offset", "digest")
        return [dict(zip(named, one, strict=True)) for one in zip(*arguments, strict=True) if one in self.known]

    async def executemany(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        await asyncio.sleep(0)
        assert (sql, self.within) == (statement("ops", "take_in_letter"), 1)
        self.letters += rows
        self.known |= {row[:4] for row in rows}

    async def execute(self, sql: str, *arguments: Any) -> None:
        await asyncio.sleep(0)
        if sql == statement("ops", "note_positions"):
            partitions, offsets, topic_id = arguments
            new = dict(zip(partitions, offsets, strict=True))
            self.positions |= new
            self.ids |= {one: topic_id or self.ids.get(one) for one in new}
            self.noted.append(self.within)
            return
        names = ("note_returned_letters", "note_applied_letters")
        self.done += [name for name in names if sql == statement("ops", name)]

    @property
    def offsets(self) -> list[int]:
        return [row[2] for row in self.letters]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Topic], None]:
    """Have the topic read that is given."""

    def at(topic: Topic) -> None:
        @asynccontextmanager
        async def reading(*_: object) -> AsyncIterator[Topic]:
            yield topic

        async def found(_: object) -> TopicFound:
            await asyncio.sleep(0)
            return TopicFound(topic.topic_id, frozenset(topic.parts))

        monkeypatch.setattr(dlq_rebuild, "reading", reading)
        monkeypatch.setattr(dlq_rebuild, "_topic", found)

    return at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(dlq_rebuild, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    return now


def some(partition: int, *offsets: int) -> list[ConsumerRecord[Any, Any]]:
    return [record(partition, offset, foreign(100 * partition + offset)) for offset in offsets]


async def test_it_reads_past_empty_polls_and_to_the_end_of_each_partition(at: Any) -> None:
    topic, table = Topic({0: some(0, 0, 1, 2), 1: some(1, 0), 2: []}, polls=[0, 1, 0, 1, 0, 1, 1]), Table()
    at(topic)
    found = await rebuild(table, SETTINGS)  # type: ignore[arg-type]
    assert (found.read, found.added, found.complete) == (4, 4, True)
    assert (table.offsets, table.positions) == ([0, 1, 2, 100], {0: 3, 1: 1, 2: 0})
    assert table.done[-2:] == ["note_returned_letters", "note_applied_letters"], "what came back was not applied"
    assert table.noted == [0, *[1] * topic.looks], "positions go with the letters: a crash between would lose some"


async def test_a_position_is_where_reading_is_and_not_where_it_is_to_end(at: Any) -> None:
    topic, table = Topic({0: some(0, 0, 1), 1: some(1, 0)}, polls=[1, 0, 1, 1]), Table()
    at(topic)
    await rebuild(table, SETTINGS)  # type: ignore[arg-type]
    assert table.done[:4] == [
        "1 letters, positions {0: 1, 1: 0}", "0 letters, positions {0: 1, 1: 0}",
        "1 letters, positions {0: 2, 1: 0}", "1 letters, positions {0: 2, 1: 1}",
    ]  # fmt: skip


async def test_what_comes_meanwhile_is_left_for_the_next_look(at: Any) -> None:
    topic, table = Topic({0: some(0, 0)}), Table()
    topic.before_poll = lambda: topic.parts[0].extend(some(0, topic.parts[0][-1].offset + 1))
    at(topic)
    assert (await take_in(table, SETTINGS)).complete  # type: ignore[arg-type]
    assert topic.looks == 1


@pytest.mark.parametrize(
    ("positions", "begins", "taken"),
    [
        ({}, 0, [4, 5, 6]),
        ({0: 5}, 0, [5, 6]),
        ({0: 7}, 0, []),
        ({0: 900}, 0, [4, 5, 6]),
        ({0: 2}, 4, [4, 5, 6]),
        ({1: 5}, 4, [4, 5, 6]),
    ],
    ids=["never read", "read in part", "read whole", "made anew", "cut off since", "another partition's"],
)
async def test_a_look_goes_on_where_the_last_one_was(
    positions: dict[int, int], begins: int, taken: list[int], at: Any
) -> None:
    table, topic = Table(positions), Topic({0: some(0, 4, 5, 6)}, begins=begins)
    at(topic)
    found = await take_in(table, SETTINGS)  # type: ignore[arg-type]
    assert (table.offsets, found.read, found.complete) == (taken, len(taken), True)


@pytest.mark.parametrize(
    ("known", "found", "taken", "kept"),
    [
        (THIS, THIS, [6], THIS),
        (OTHER, THIS, [4, 5, 6], THIS),
        (None, THIS, [6], THIS),
        (OTHER, None, [6], OTHER),
        (None, None, [6], None),
    ],
    ids=["the same", "another", "not known yet", "of brokers without ids", "never known"],
)
async def test_a_topic_made_anew_is_read_from_its_beginning_however_long_it_is(
    known: uuid.UUID | None, found: uuid.UUID | None, taken: list[int], kept: uuid.UUID | None, at: Any
) -> None:
    """By its offsets it looks like the old one, read on."""
    table, topic = Table({0: 6, 9: 6}, known), Topic({0: some(0, 4, 5, 6)})
    topic.topic_id = found
    at(topic)
    done = await take_in(table, SETTINGS)  # type: ignore[arg-type]
    assert (table.offsets, done.made_anew) == (taken, len(taken) > 1)
    assert (table.ids, table.positions) == ({0: kept, 9: known}, {0: 7, 9: 6})
    assert not (await take_in(table, SETTINGS)).made_anew, "it is reported once"  # type: ignore[arg-type]
    assert table.offsets == taken


async def test_the_id_is_known_though_nothing_is_to_be_read(at: Any) -> None:
    """Else a topic that is made anew before the next letter comes would still count as the first one found."""
    table, topic = Table({0: 7}), Topic({0: some(0, 4, 5, 6)})
    at(topic)
    assert (await take_in(table, SETTINGS)).read == 0  # type: ignore[arg-type]
    assert table.ids == {0: THIS}
    topic.topic_id = OTHER
    assert (await take_in(table, SETTINGS)).read == 3  # type: ignore[arg-type]


async def test_of_a_rebuild_it_is_known_which_topic_it_read(at: Any) -> None:
    table = Table({0: 2}, OTHER)
    at(Topic({0: some(0, 4, 5)}))
    found = await rebuild(table, SETTINGS)  # type: ignore[arg-type]
    assert (table.ids, table.positions, found.made_anew) == ({0: THIS}, {0: 6}, False)


async def test_a_rebuild_begins_at_the_beginning_wherever_a_look_was(at: Any) -> None:
    table = Table({0: 6})
    at(Topic({0: some(0, 4, 5)}))
    await rebuild(table, SETTINGS)  # type: ignore[arg-type]
    assert table.offsets == [4, 5]


async def test_a_rebuild_takes_as_long_as_records_come(at: Any, clock: list[float]) -> None:
    topic, table = Topic({0: some(0, *range(6))}, polls=[1] * 6), Table()
    topic.before_poll = lambda: clock.__setitem__(0, clock[0] + BOUNDS.rebuild_wait_seconds - 1)
    at(topic)
    assert (await rebuild(table, SETTINGS)).read == 6  # type: ignore[arg-type]


async def test_a_rebuild_to_which_no_more_comes_says_so_and_keeps_what_it_read(at: Any, clock: list[float]) -> None:
    """Taken for whole, the letters behind would be missing for good: nobody would run it again."""
    topic, table = Topic({0: some(0, 0, 1)}, polls=[1, *[0] * POLLS_MAX]), Table()
    topic.before_poll = lambda: clock.__setitem__(0, clock[0] + 6.0)
    at(topic)
    with pytest.raises(UnavailableError, match="run it again, nothing is lost"):
        await rebuild(table, SETTINGS)  # type: ignore[arg-type]
    assert table.offsets == [0]
    assert table.done[-2:] == ["note_returned_letters", "note_applied_letters"]


async def test_a_look_ends_in_time_though_records_come(at: Any, clock: list[float]) -> None:
    """It stands before every redrive: people wait for it."""
    topic, table = Topic({0: some(0, *range(9))}, polls=[1] * 9), Table()
    topic.before_poll = lambda: clock.__setitem__(0, clock[0] + 1.0)
    at(topic)
    found = await take_in(table, SETTINGS)  # type: ignore[arg-type]
    assert (found.complete, found.read) == (False, BOUNDS.take_in_seconds + 1)
    await take_in(table, SETTINGS)  # type: ignore[arg-type]
    assert table.offsets == [*range(2 * found.read)], "the next one goes on there"


async def test_a_topic_that_is_not_there_is_read_whole(at: Any) -> None:
    topic = Topic({})
    at(topic)
    assert await take_in(Table(), SETTINGS) == TakenIn()  # type: ignore[arg-type]
    assert topic.looks == 0


@pytest.mark.parametrize(("ours_too", "taken"), [(False, [7]), (True, [1, 7, 2, 3])])
async def test_letters_of_ours_are_counted_by_a_look_and_taken_in_by_a_rebuild(
    taken: list[int], at: Any, *, ours_too: bool
) -> None:
    held = [record(0, 0, ours(1)), record(0, 1, foreign(7)), record(0, 2, ours(2)), record(0, 3, ours(3))]
    table = Table()
    at(Topic({0: held}, polls=[1, 1, 1, 1]))
    found = await (rebuild if ours_too else take_in)(table, SETTINGS)  # type: ignore[arg-type]
    assert table.offsets == taken
    assert (found.added, found.added_foreign, found.unknown_ours) == (len(taken), 1, 0 if ours_too else 3)


async def test_nothing_is_taken_in_twice(at: Any) -> None:
    held = [record(0, 0, foreign(7)), record(0, 1, foreign(7)), record(0, 2, foreign(8))]
    table = Table()
    at(Topic({0: held}))
    assert (await rebuild(table, SETTINGS)).added == 2  # type: ignore[arg-type]
    at(Topic({0: held}))
    again = await rebuild(table, SETTINGS)  # type: ignore[arg-type]
    assert (again.added, again.added_foreign, len(table.letters)) == (0, 0, 2)


async def test_a_letter_that_was_too_large_is_known_by_the_digest_of_the_whole(at: Any) -> None:
    """By that of what is left of it, it would be taken in beside the one that the table has."""
    whole = bytes(range(32))
    cut: Headers = ((TRUNCATED_HEADER, b"1"), (DIGEST_HEADER, whole.hex().encode()))
    table = Table()
    table.known = {("payments.webhooks", 7, 1, whole)}
    at(Topic({0: [record(0, 0, cut + ours(1), value=None)]}))
    found = await rebuild(table, SETTINGS)  # type: ignore[arg-type]
    assert (found.read, found.added) == (1, 0)


async def test_what_is_taken_in_is_published_already_and_keeps_its_time_and_deliveries(at: Any) -> None:
    """With a number of a transaction the relay would publish it to the topic once more."""
    table, now = Table(), dt.datetime.now(dt.UTC)
    held = [record(0, 0, foreign(7)), *(record(0, at_, foreign(at_), timestamp=when) for at_, when in ODD)]
    at(Topic({0: held}))
    await rebuild(table, SETTINGS)  # type: ignore[arg-type]
    assert [(row[16], row[18]) for row in table.letters] == [(PUBLISHED_XID, 5)] * 4
    first, *others = [row[17] for row in table.letters]
    assert first == dt.datetime.fromtimestamp(WHEN / 1000, dt.UTC)
    assert all(now <= when <= dt.datetime.now(dt.UTC) for when in others), "a time that nobody has is now"


ODD = ((8, 0), (9, -1), (10, YEAR_10000_MS))


# --- before a redrive ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "reported"),
    [
        (TakenIn(read=3), []),
        (TakenIn(added=2), ["took in 2 letters"]),
        (TakenIn(unknown_ours=4), ["holds 4 letters that the table lost"]),
        (TakenIn(complete=False), ["holds more than was looked through"]),
        (TakenIn(made_anew=True, added=1), ["was deleted and made anew since the last look", "took in 1 letters"]),
        (UnavailableError("Kafka: away"), ["was not looked through for letters of other tools: Kafka: away"]),
    ],
    ids=["nothing", "added", "lost", "more", "another topic", "away"],
)
async def test_what_a_look_found_is_reported_and_kafka_away_keeps_nobody_from_the_table(
    found: TakenIn | UnavailableError,
    reported: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def look(*_: object) -> TakenIn:
        await asyncio.sleep(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(dlq_rebuild, "take_in", look)
    await dlq_options.take_in_foreign(None, SETTINGS)  # type: ignore[arg-type]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(reported)
    assert all(text in line for text, line in zip(reported, lines, strict=True))


# --- the clients --------------------------------------------------------------------------------------------------


class Client:
    """A client of Kafka that starts, or does not, and may fail to stop."""

    made: Client

    def __init__(self, **arguments: Any) -> None:
        type(self).made, self.arguments, self.stopped = self, arguments, 0

    fails: Exception | None = None
    stop_fails = False

    async def start(self) -> None:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails

    async def stop(self) -> None:
        self.stopped += 1
        await asyncio.sleep(0)
        if self.stop_fails:
            raise KafkaConnectionError

    close = stop

    there = True

    async def _send_request(self, _: object) -> Any:
        await asyncio.sleep(0)
        part = (0, 3, 1, 0, [1], [1], [], {})
        rows = (
            [(0, DLQ.name, THIS.bytes, False, [part], 0, {})]
            if self.there
            else [(3, DLQ.name, NO_ID, False, [], 0, {})]
        )
        return _Answer(0, [], "c", 1, rows, {})


KAFKA = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    class Made(Client):
        pass

    async def as_it_is(_: object, message: str) -> UnavailableError:
        await asyncio.sleep(0)
        return UnavailableError(message)

    monkeypatch.setattr("aiokafka.AIOKafkaConsumer", Made)
    monkeypatch.setattr("aiokafka.admin.AIOKafkaAdminClient", Made)
    monkeypatch.setattr("runtime.kafka.away_or_refused", as_it_is)
    return Made


async def test_it_reads_in_no_group_and_only_what_is_committed(
    client: type[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    monkeypatch.setattr(kafka_records, "tolerate_odd_headers", lambda: done.append("headers"))
    monkeypatch.setattr(kafka_records, "bound_fetches", done.append)
    async with topic_reader.reading(KAFKA, "t"):
        assert client.made.stopped == 0
    asked = client.made.arguments
    assert {"group_id", "client_id"}.isdisjoint(asked)
    assert (asked["enable_auto_commit"], asked["isolation_level"]) == (False, "read_committed")
    assert (asked["auto_offset_reset"], asked["request_timeout_ms"]) == (
        "earliest", KAFKA.ops.lookup_timeout_seconds * 1000,
    )  # fmt: skip
    assert (done, client.made.stopped) == (["headers", KAFKA.consumer.partition_fetch_bytes_max], 1)


@pytest.mark.parametrize("stop_fails", [False, True])
@pytest.mark.parametrize("when", ["start", "reading", "cancelled"])
async def test_a_reader_is_stopped_however_it_ends_and_says_why(
    when: str, client: type[Client], *, stop_fails: bool
) -> None:
    client.fails, client.stop_fails = KafkaConnectionError() if when == "start" else None, stop_fails
    expected = asyncio.CancelledError if when == "cancelled" else UnavailableError
    with pytest.raises(expected):
        async with topic_reader.reading(KAFKA, "t"):
            raise asyncio.CancelledError if when == "cancelled" else KafkaConnectionError
    assert client.made.stopped == 1


@pytest.mark.parametrize("fails", [None, KafkaConnectionError()], ids=["answers", "away"])
async def test_who_asks_for_the_topic_closes_its_client(fails: Exception | None, client: type[Client]) -> None:
    client.fails, client.stop_fails = fails, True
    if fails is None:
        assert await dlq_rebuild._topic(KAFKA) == TopicFound(THIS, frozenset({3}))
    else:
        with pytest.raises(KafkaConnectionError):
            await dlq_rebuild._topic(KAFKA)
    assert client.made.stopped == 1


async def test_a_topic_that_is_not_there_has_no_partitions(client: type[Client]) -> None:
    client.there = False
    assert await dlq_rebuild._topic(KAFKA) == TopicFound(None, frozenset())


def test_what_a_rebuild_did_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def connected(_: Settings) -> AsyncIterator[None]:
        yield

    async def read_all(*_: object) -> TakenIn:
        await asyncio.sleep(0)
        return TakenIn(read=9, added=4, added_foreign=1)

    monkeypatch.setattr(endpoints, "load", Settings)
    monkeypatch.setattr(endpoints, "found", lambda settings: settings)
    monkeypatch.setattr(redrive_commands, "connected", connected)
    monkeypatch.setattr(dlq_rebuild, "rebuild", read_all)
    document = json.loads(CliRunner().invoke(app, ["dlq", "rebuild", "--json"]).stdout)
    assert document == {"read": 9, "added": 4, "added_foreign": 1}
