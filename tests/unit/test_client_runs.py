"""The client's loops without brokers: what is open at once, committed and left, and what nobody overtakes."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from email.message import Message
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import client_changes
import pytest

from ratchet_client import execute, publish, react
from ratchet_client.__main__ import post
from ratchet_client.execute import Carrying, Executor, Refused, decoded
from ratchet_client.join import consumer_of
from ratchet_client.ordered import Ordered, Retry
from ratchet_client.publish import Publisher, Record
from ratchet_client.react import Reactor
from ratchet_client.read import Reader
from ratchet_client.running import Run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ratchet_client.running import Payment

pytestmark = pytest.mark.unit

PLACE, OTHER = "payments.changes-0", "payments.changes-1"


class Topic:
    """A consumer that gives out what it was given, a fetch at a time, and notes what is done with it, in order."""

    def __init__(self, *fetches: dict[str, list[Any]]) -> None:
        self.fetches = list(fetches)
        self.asked = 0
        self.stopped = False
        self.committed: list[dict[str, int]] = []
        self.happened: list[Any] = []

    def subscribe(self, *_: Any, **__: Any) -> None:
        """Nobody is asked for partitions."""

    async def start(self) -> None:
        await asyncio.sleep(0)

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.stopped = True

    async def getmany(self, **_: Any) -> dict[str, list[Any]]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.fetches:
            return self.fetches.pop(0)
        await asyncio.sleep(0.002)
        return {}

    async def commit(self, offsets: dict[str, int]) -> None:
        await asyncio.sleep(0)
        self.committed.append(offsets)
        self.happened.append(offsets)


def record(offset: int, key: str, **value: Any) -> Any:
    return SimpleNamespace(
        topic="payments.changes",
        partition=0,
        offset=offset,
        key=key.encode(),
        value=json.dumps(value).encode(),
        headers=[("ce_id", b"e-1")],
    )


class Held(Ordered):
    """Deals with a record once it is let go, and breaks on those that the test names."""

    def __init__(self, topic: Topic, in_flight_max: int = 10) -> None:
        super().__init__("b:9092", "g", "payments.changes", in_flight_max, {})
        self._consumer = topic
        self.begun: list[int] = []
        self.let_go: dict[int, asyncio.Event] = {}
        self.broken: set[int] = set()

    def event(self, offset: int) -> asyncio.Event:
        return self.let_go.setdefault(offset, asyncio.Event())

    async def deal(self, record: Any) -> None:
        self.begun.append(record.offset)
        await self.event(record.offset).wait()
        if record.offset in self.broken:
            raise ConnectionError


@pytest.fixture(autouse=True)
def no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet_client.join.AIOKafkaConsumer", lambda *_, **__: Topic())


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def begun(run: Held, count: int) -> None:
    async with asyncio.timeout(10.0):
        while len(run.begun) < count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


async def test_no_more_is_fetched_while_as_much_is_open_as_may_be() -> None:
    topic = Topic({PLACE: [record(0, "a"), record(1, "b")]}, {PLACE: [record(2, "c")]})
    run = Held(topic, in_flight_max=2)
    reading = asyncio.create_task(run.read())
    await begun(run, 2)
    await turns()
    assert (topic.asked, run.begun) == (1, [0, 1])
    run.event(1).set()
    await begun(run, 3)
    assert {PLACE: 0} in topic.committed, "not past the first that is open"
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert topic.stopped
    assert run._tasks([PLACE])[0].cancelled(), "what is open is left to whoever gets the partition"


async def test_a_third_of_one_key_waits_for_the_second_though_the_first_has_ended() -> None:
    run = Held(Topic())
    for offset in (0, 1):
        run._begin(PLACE, record(offset, "a"))
    await begun(run, 1)
    run.event(0).set()
    await begun(run, 2)
    run._begin(PLACE, record(2, "a"))
    await turns()
    assert run.begun == [0, 1]
    run.event(1).set()
    await begun(run, 3)
    run.event(2).set()
    await asyncio.gather(*run._tasks([PLACE]))
    await turns()
    assert run._last == {}, "a key is forgotten with its last record"


async def test_a_run_leaves_its_group_once_what_was_begun_has_ended() -> None:
    """Else another member begins the same record while this one is still at it."""
    topic = Topic({PLACE: [record(0, "a")]})
    at_the_end: list[bool] = []

    class Lasting(Held):
        async def deal(self, record: Any) -> None:
            try:
                await super().deal(record)
            finally:
                await turns()
                at_the_end.append(topic.stopped)

    run = Lasting(topic)
    reading = asyncio.create_task(run.read())
    await begun(run, 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (at_the_end, topic.stopped) == ([False], True)


async def test_what_comes_after_one_that_failed_is_left_for_when_that_one_comes_again() -> None:
    """Handled before it, it would have the earlier one taken for old when that comes again, and dropped."""
    topic = Topic({PLACE: [record(4, "a"), record(5, "b"), record(6, "a"), record(7, "a")]})
    run = Held(topic)
    run.broken = {4}
    for offset in (5, 6, 7):
        run.event(offset).set()
    reading = asyncio.create_task(run.read())
    await begun(run, 2)
    async with asyncio.timeout(10.0):
        while {PLACE: 4} not in topic.committed:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    run.event(4).set()
    with pytest.raises(ConnectionError):
        await reading
    assert run.begun == [4, 5]
    assert all(offsets[PLACE] == 4 for offsets in topic.committed)


async def test_a_key_of_another_partition_is_waited_for_by_nobody() -> None:
    run = Held(Topic())
    run._begin(PLACE, record(0, "a"))
    run._begin(OTHER, record(1, "a"))
    await begun(run, 2)
    for offset in (0, 1):
        run.event(offset).set()
    await asyncio.gather(*run._tasks([PLACE, OTHER]))


async def test_a_partition_is_given_up_once_what_is_open_has_ended_and_then_forgotten() -> None:
    topic = Topic()
    run = Held(topic)
    run._begin(PLACE, record(7, "a"))
    run._begin(OTHER, record(3, "b"))
    await begun(run, 2)
    giving_up = asyncio.create_task(run.on_partitions_revoked([PLACE]))
    await turns()
    assert not giving_up.done(), "a handler that was begun ends before another one may begin it"
    run.event(7).set()
    await giving_up
    assert topic.committed == [{PLACE: 8}]
    await run.on_partitions_revoked([PLACE])
    assert topic.committed == [{PLACE: 8}], "where another one read on since is not for us to say"
    assert len(run._tasks([OTHER])) == 1
    run.event(3).set()
    await run.on_partitions_revoked([OTHER])
    assert topic.committed[1:] == [{OTHER: 4}]


COMMAND = {
    "id": "c-1", "payment_id": "p1", "attempt_id": "p1-a", "client": "shop", "command": "refund", "provider": "stripe",
    "account": "", "merchant_account": "", "livemode": True, "provider_ref": "pi_1", "reference": None,
    "currency": "EUR", "amount": 5, "reason": None, "metadata": None, "asked_at": "2026-01-01T00:00:00+00:00",
    "expires_at": "2999-01-01T00:00:00+00:00",
}  # fmt: skip


class Answers:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def send(self, sent: Record) -> None:
        await asyncio.sleep(0)
        self.kinds.append(sent.headers["ce_type"])


@pytest.mark.parametrize(("livemode", "wanted"), [(None, {True, False}), (True, {True}), (False, {False})])
def test_an_executor_takes_commands_of_its_mode(livemode: bool | None, wanted: set[bool]) -> None:  # noqa: FBT001
    executor = Executor("b:9092", "g", "gateway", ["stripe"], carry_out=lambda _: asyncio.sleep(0), livemode=livemode)
    taken = {mode for mode in (True, False) if executor.wants(decoded(record(0, "p", **COMMAND | {"livemode": mode})))}
    assert taken == wanted


async def test_an_executor_calls_nobody_again_once_the_command_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    over = iter([False, False, True])
    monkeypatch.setattr(execute, "expired", lambda _: next(over))
    calls: list[str] = []

    async def carry_out(command: Any) -> None:
        calls.append(command.id)
        raise TimeoutError

    executor = Executor("b:9092", "g", "gateway", ["stripe"], carry_out, retry=Retry(pause_seconds=0.0))
    answers = Answers()
    await Carrying(executor, answers).deal(record(0, "p1", **COMMAND))
    assert (len(calls), answers.kinds) == (2, ["command.accepted"])


CHANGE = client_changes.CHANGE | {"payment_id": "a"}


class Table:
    """A connection and its pool: what is executed in which transaction, and what it answers."""

    def __init__(self, topic: Topic, *answers: str) -> None:
        self.happened = topic.happened
        self.answers = list(answers)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.happened.append("begin")
        try:
            yield
        except BaseException:
            self.happened.append("rollback")
            raise
        self.happened.append("commit")

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Table]:
        await asyncio.sleep(0)
        yield self

    async def execute(self, _statement: str, *values: Any) -> str:
        await asyncio.sleep(0)
        self.happened.append(values)
        return self.answers.pop(0)


def reader_of(topic: Topic, effect: Any = None) -> Reader:
    reader = Reader("b:9092", group="g", dsn="postgresql://nowhere", effect=effect)
    reader._consumer = topic
    return reader


def state(offset: int, payment: str, version: int) -> Any:
    return record(offset, payment, payment_id=payment, epoch=1, version=version)


async def test_a_reader_commits_offsets_after_its_rows_and_past_the_last_record() -> None:
    topic = Topic({PLACE: [state(4, "b", 1), state(5, "a", 1), state(6, "a", 2)], OTHER: [state(9, "c", 1)]})
    effects: list[tuple[str, int]] = []

    async def effect(_connection: Any, value: dict[str, Any]) -> None:
        effects.append((value["payment_id"], value["version"]))

    table = Table(topic, "INSERT 0 1", "INSERT 0 0", "INSERT 0 1", "INSERT 0 1")
    reader = reader_of(topic, effect)
    await reader._step(table)  # type: ignore[arg-type]
    (opened, *written, closed, offsets) = topic.happened
    assert (opened, closed, offsets) == ("begin", "commit", {PLACE: 7, OTHER: 10})
    assert [row[:3] for row in written] == [("a", 1, 1), ("a", 1, 2), ("b", 1, 1), ("c", 1, 1)], "locked in one order"
    assert effects == [("a", 1), ("b", 1), ("c", 1)], "none of what the table holds already"
    await reader._step(table)  # type: ignore[arg-type]
    assert topic.committed == [{PLACE: 7, OTHER: 10}]


async def test_a_reader_whose_effect_fails_commits_nothing() -> None:
    topic = Topic({PLACE: [state(4, "a", 1)]})

    async def effect(_connection: Any, _value: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await reader_of(topic, effect)._step(Table(topic, "INSERT 0 1"))  # type: ignore[arg-type]
    assert (topic.happened[-1], topic.committed) == ("rollback", [])


class Sent:
    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    async def send_and_wait(self, topic: str, value: bytes, *, key: bytes, headers: Any) -> None:
        await asyncio.sleep(0)
        self.sent.append((topic, value, key, headers[0]))


def run_of(pool: Any, retry: Retry | None = None) -> Run:
    app = Reactor("b:9092", "shop", "shop.dead", retry=retry or Retry(tries_max=2, pause_seconds=0.0))
    return Run(app, Sent(), pool)


async def test_with_a_table_a_change_is_noted_for_the_group_and_handled_in_its_transaction() -> None:
    topic = Topic()
    table = Table(topic, "INSERT 0 1", "INSERT 0 0")
    run = run_of(table)

    @run._app.on("captured")
    async def on_captured(payment: Payment, connection: Any) -> None:
        assert connection is table
        topic.happened.append(payment.effect_id)

    for _ in range(2):
        await run.deal(record(0, "a", **CHANGE))
    noted = ("shop", "a", 1, 3)
    assert topic.happened == ["begin", noted, "a/1/3", "commit", "begin", noted, "commit"], "and no second time"


async def test_a_handler_that_fails_leaves_no_note_and_its_change_goes_whole_to_the_dead_letters() -> None:
    topic = Topic()
    run = run_of(Table(topic, "INSERT 0 1", "INSERT 0 1"))

    @run._app.on("captured")
    async def on_captured(_payment: Payment) -> None:
        await asyncio.sleep(0)
        raise ConnectionError

    change = record(0, "a", **CHANGE)
    await run.deal(change)
    assert [one for one in topic.happened if isinstance(one, str)] == ["begin", "rollback"] * 2
    assert run._producer.sent == [("shop.dead", change.value, change.key, change.headers[0])]


async def test_a_change_that_can_not_be_buried_ends_the_run() -> None:
    run = run_of(None, Retry(tries_max=1))

    @run._app.on("change")
    async def on_change(_payment: Payment) -> None:
        raise KeyError

    async def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError

    run._producer.send_and_wait = refuse
    with pytest.raises(ConnectionError):
        await run.deal(record(0, "a", **CHANGE))


def kept(found: dict[str, Any]) -> Any:
    """Return what stands in for a client of Kafka and keeps how it was made."""

    def make(*topics: str, **options: Any) -> Any:
        found.update(options, topics=topics)
        return SimpleNamespace(start=lambda: asyncio.sleep(0), stop=lambda: asyncio.sleep(0))

    return make


def test_a_member_of_a_group_begins_at_the_first_record_and_commits_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}
    monkeypatch.setattr("ratchet_client.join.AIOKafkaConsumer", kept(found))
    consumer_of("b:9092", "g", "payments.state", security_protocol="SSL")
    assert (found["topics"], found["group_id"], found["security_protocol"]) == (("payments.state",), "g", "SSL")
    assert (found["enable_auto_commit"], found["auto_offset_reset"]) == (False, "earliest")


async def test_every_producer_waits_for_all_replicas_and_sends_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (publish, react):
        found: dict[str, Any] = {}
        monkeypatch.setattr(module, "AIOKafkaProducer", kept(found))
        if module is publish:
            Publisher("b:9092", ssl_context="tls")
        else:
            monkeypatch.setattr(Run, "read", lambda _: asyncio.sleep(0))
            await Reactor("b:9092", "g", "dead", security={"ssl_context": "tls"}).run()
        assert (found["acks"], found["enable_idempotence"], found["ssl_context"]) == ("all", True, "tls")


@pytest.mark.parametrize(
    ("status", "refused"),
    [(402, True), (422, True), (400, False), (401, False), (409, False), (429, False), (503, False)],
)
def test_only_a_no_for_good_refuses_a_command_that_is_posted(
    status: int,
    refused: bool,  # noqa: FBT001 - a case
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[urllib.request.Request] = []

    def answer(request: urllib.request.Request, timeout: float) -> Any:
        assert timeout
        asked.append(request)
        raise urllib.error.HTTPError(request.full_url, status, "", Message(), io.BytesIO(b"too late"))

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    with pytest.raises(Refused if refused else urllib.error.HTTPError, match="too late" if refused else None):
        post("http://127.0.0.1:1/", decoded(record(0, "p1", **COMMAND)))
    assert asked[0].get_header("Idempotency-key") == "c-1"
