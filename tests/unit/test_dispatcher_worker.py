from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from pydantic import SecretStr

from consumer.dispatcher.apis import Absent, Again, Answered, Awaited, Budget, Refused
from consumer.dispatcher.recall import RecallJob
from consumer.dispatcher.refetch import RefetchJob
from consumer.dispatcher.role import WorkersHealth, dispatch, serve, watch_health
from consumer.dispatcher.sender import Rejected, Taken
from consumer.dispatcher.sms import SmsJob, Unknown
from consumer.dispatcher.stale import WatchJob
from consumer.dispatcher.worker import Health, work
from providers.core.recall import Listing, Page, Recall
from providers.core.refetch import Fetched, Watch
from runtime.breaker import Breaker, BreakerState
from runtime.clock import SystemClock
from runtime.health import Probe
from runtime.http import HttpUnavailableError
from runtime.lease import Lease
from runtime.settings import DispatcherSettings, Settings
from schemas.errors import LeaseLostError
from schemas.facts import RefKind
from schemas.sms import SmsStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.unit

LEASE = Lease("dispatcher", "me", 1)
LIMITS = DispatcherSettings(backoff_initial_seconds=0.01, backoff_max_seconds=0.02, poll_interval_seconds=0.01)


class ScriptedJob:
    """Answers its turns as a test says; the end of the script ends the work."""

    name = "scripted"

    def __init__(self, ending: asyncio.Event, *script: object) -> None:
        self.ending, self.script, self.seen = ending, list(script), []
        self.health = Health("scripted-0")

    async def turn(self, lease: Lease) -> bool:
        self.seen.append(self.health.failure)
        if not self.script:
            self.ending.set()
            return False
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return bool(step)


async def test_failures_are_reported_waited_out_and_forgotten():
    ending = asyncio.Event()
    job = ScriptedJob(ending, True, OSError("away"), ValueError("bug"), False, True)
    async with asyncio.timeout(5):
        await work(job, LEASE, ending, LIMITS, job.health)
    assert job.seen == [None, None, "scripted-0: OSError", "scripted-0: ValueError", None, None]
    assert job.health.failures_in_row == 0


async def test_lost_lease_ends_all_workers():
    ending = asyncio.Event()
    jobs = {"a-0": ScriptedJob(ending, *[False] * 1000), "b-0": ScriptedJob(ending, True, LeaseLostError("gone"))}
    watch = WorkersHealth()
    settings = Settings(dispatcher=LIMITS)
    with pytest.raises(LeaseLostError):
        async with asyncio.timeout(5):
            await dispatch(jobs, settings, watch, LEASE, ending)
    assert watch.workers == {}
    assert not ending.is_set()


def test_probe_tells_failing_and_hanging_workers():
    probe, watch, settings = Probe("dispatcher"), WorkersHealth(), Settings()
    watch_health(probe, watch, settings)
    assert (probe.stuck(), probe.unready()) == (None, None)
    watch.waiting = "Postgres is away"
    watch.workers = {"sms-0": Health("sms-0"), "refetch-0": Health("refetch-0")}
    watch.workers["sms-0"].failed("sms-0: OSError")
    assert probe.unready() == "Postgres is away; sms-0: OSError"
    watch.workers["refetch-0"].ended_at = time.monotonic() - 27
    assert probe.stuck() == "no turn has ended: refetch-0 for 27 s"


async def test_role_waits_for_a_postgres_that_is_away(unused_tcp_port: int):
    dsn = SecretStr(f"postgresql://app@127.0.0.1:{unused_tcp_port}/x")
    stop, probe = asyncio.Event(), Probe("dispatcher")
    role = asyncio.create_task(serve(Settings(postgres={"dsn": dsn}, dispatcher=LIMITS), stop, probe))
    deadline = time.monotonic() + 10
    while not probe.unready():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)
    assert str(probe.unready()).startswith("Postgres can't be used: ")
    stop.set()
    await asyncio.wait_for(role, 10)


class Rows:
    """Gives one claimed row, and notes what is written."""

    def __init__(self, **row: object) -> None:
        self.row = {
            "id": 7,
            "attempts": 1,
            "provider": "stripe",
            "account": "",
            "ref": "pi_1",
            "about": None,
            "merchant_account": None,
            "known": True,
            "updated_at": 0,
        } | row
        self.written: list[tuple[object, ...]] = []

    async def fetch_one(self, lease: Lease, name: str, *arguments: object) -> Any:
        if name.startswith("claim"):
            self.claimed_with = arguments
            return self.row
        self.written.append((name, *arguments))
        return None

    async def finish_sent(self, lease: Lease, *arguments: object) -> None:
        self.written.append(("finish_sent", *arguments))


class ScriptedApi:
    """An API that does as a test says."""

    def __init__(self, ask: Callable[[], Any], *, ready: bool = True) -> None:
        self._ask, self._ready = ask, ready
        self.guesses = Budget(60)

    def ready(self, now: float) -> bool:
        return self._ready

    async def ask(self, ref: str, unix_seconds: float, about: str | None = None) -> Any:
        return await self._ask()


def refetch_job(rows: Rows, api: ScriptedApi, claim_seconds: float = 40) -> RefetchJob:
    settings = Settings(dispatcher={"claim_seconds": claim_seconds})
    return RefetchJob(rows, {("stripe", ""): api}, settings, SystemClock())  # type: ignore[arg-type, dict-item]


async def test_refetch_that_was_not_tried_is_put_back_uncounted():
    async def refuse() -> None:
        return None

    rows = Rows()
    assert await refetch_job(rows, ScriptedApi(refuse)).turn(LEASE)
    assert rows.written == [("retry_refetch", 7, 1, 10.0, None, 1)]
    assert not await refetch_job(Rows(), ScriptedApi(refuse, ready=False)).turn(LEASE)


async def test_an_answer_is_as_old_as_its_question():
    """What happened while the answer was on its way may be missing in it."""

    class Moving:
        seconds = 1_790_000_000.0

        def now(self) -> float:
            return self.seconds

    clock, rows = Moving(), Rows()

    async def ask() -> Answered:
        clock.seconds += 30
        return Answered(Fetched("intent", "pi_1"), b"{}")

    job = RefetchJob(rows, {("stripe", ""): ScriptedApi(ask)}, Settings(), clock)  # type: ignore[arg-type, dict-item]
    assert await job.turn(LEASE)
    [(name, _, _, _, _, key, body, names, values, _, further)] = rows.written
    assert (name, key, body, further) == ("finish_refetch", b"pi_1", b"{}", [])
    headers = dict(zip(names, values, strict=True))
    assert dt.datetime.fromisoformat(headers[b"ce_time"].decode()).timestamp() == 1_790_000_000.0


async def test_refetch_that_hangs_is_given_up_in_half_of_its_claim():
    rows = Rows()
    await refetch_job(rows, ScriptedApi(asyncio.Event().wait), claim_seconds=0.1).turn(LEASE)
    [(name, *_, error, uncounted)] = rows.written
    assert (name, error, uncounted) == ("retry_refetch", "no answer in 0.05 s", 0)


async def test_longer_wish_of_the_api_beats_the_backoff():
    async def ask() -> Again:
        return Again("busy", 900.0)

    rows = Rows()
    await refetch_job(rows, ScriptedApi(ask)).turn(LEASE)
    assert rows.written == [("retry_refetch", 7, 1, 900.0, "busy", 0)]


async def test_calls_about_what_nobody_knows_have_a_budget():
    """The call that is granted is taken before the claim, so that no second worker claims on it; unused it is free."""

    async def ask() -> Refused:
        return Refused("gone")

    unknown, known, api = Rows(known=False), Rows(), ScriptedApi(ask)
    for rows, may_guess in ((known, True), (known, True), (unknown, True), (unknown, False), (known, False)):
        await refetch_job(rows, api).turn(LEASE)
        assert rows.claimed_with[3] == [may_guess]
    assert [name for name, *_ in unknown.written[:2]] == ["fail_refetch", "trim_refetches"]
    assert {name for name, *_ in known.written} == {"fail_refetch"}


async def test_a_guess_of_an_account_with_a_capital_letter_is_spent_too():
    """APIs are kept by names in small letters; else strangers would have calls without a bound."""

    async def ask() -> Refused:
        return Refused("gone")

    rows, api = Rows(account="Acme", known=False), ScriptedApi(ask)
    job = RefetchJob(rows, {("stripe", "acme"): api}, Settings(), SystemClock())  # type: ignore[arg-type, dict-item]
    assert await job.turn(LEASE)
    assert [name for name, *_ in rows.written] == ["fail_refetch", "trim_refetches"]
    assert not api.guesses.take(time.monotonic())


async def test_what_the_api_does_not_know_is_no_error_and_is_asked_about_seldom():
    """The clock would write an error line at each question."""

    async def ask() -> Absent:
        return Absent("api does not know this payment (404)")

    known, made_up = Rows(), Rows(known=False)
    with structlog.testing.capture_logs() as lines:
        for rows in (known, made_up):
            await refetch_job(rows, ScriptedApi(ask)).turn(LEASE)
    for line in lines:
        assert (line["event"], line["log_level"], line["outcome"]) == ("refetch", "info", "absent")
        assert line["error"] == "api does not know this payment (404)"
    assert len(lines) == 2
    limits = Settings().refetch
    [(name, _, _, _, error, again, by_clock)] = known.written
    assert (name, error) == ("fail_refetch", "api does not know this payment (404)")
    assert (again, by_clock) == (limits.same_payment_seconds, limits.absent_seconds)
    assert by_clock > 24 * 3600
    assert [name for name, *_ in made_up.written] == ["fail_refetch", "trim_refetches"]


async def test_a_refusal_is_an_error_and_is_asked_about_as_ever():
    async def ask() -> Refused:
        return Refused("api refuses the credentials (401)")

    rows = Rows()
    with structlog.testing.capture_logs() as lines:
        await refetch_job(rows, ScriptedApi(ask)).turn(LEASE)
    assert [(line["event"], line["log_level"], line["outcome"]) for line in lines] == [
        ("refetch_failed", "error", "refused")
    ]
    [(*_, again, by_clock)] = rows.written
    assert again == by_clock == Settings().refetch.same_payment_seconds


async def test_a_claim_that_fails_gives_its_call_back():
    async def ask() -> Refused:
        return Refused("gone")

    async def broken(*_: object) -> None:
        raise OSError("Postgres is away")

    rows, api = Rows(), ScriptedApi(ask)
    rows.fetch_one = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(OSError, match="away"):
        await refetch_job(rows, api).turn(LEASE)
    assert api.guesses.take(time.monotonic())


@pytest.mark.parametrize("following", ["second", None])
async def test_a_page_of_which_nothing_is_kept_is_not_the_end_of_its_list(following: str | None):
    """A page may hold nothing but kinds that say nothing; the cursor moves to the next one all the same."""

    class Pages(Rows):
        @asynccontextmanager
        async def guarded(self, _: Lease) -> AsyncIterator[Any]:
            yield self

        async def fetchrow(self, *_: object) -> dict[str, Any]:
            """Give the list's cursor."""
            now = dt.datetime.now(dt.UTC)
            long_ago = now - dt.timedelta(days=1)
            return {"now": now, "read_until": long_ago, "began_at": long_ago, "since": None, "spooled": 0, "turns": 4}

        async def fetch_all(self, *_: object) -> list[Any]:
            return []

        async def spool_page(self, _lease: Lease, _cursor: object, _span: object, *arguments: object) -> int:
            self.written.append(("spool_page", *arguments[:2]))
            return 0

    async def ask(*_: object) -> Page:
        return Page((), following)

    recall = Recall("", (Listing("events", None, None, 86_400.0, 60.0),), 60.0)  # type: ignore[arg-type]
    lists = SimpleNamespace(provider="p", account="", source="p", recall=recall, ready=lambda _now: True, ask=ask)
    rows = Pages()
    job = RecallJob(rows, {("p", ""): lists}, Settings(), SystemClock())  # type: ignore[arg-type, dict-item]
    assert await job.turn(LEASE) is (following is not None), "the next page is read at once"
    assert rows.written[-1] == ("spool_page", following, [])


class ScriptedSender:
    """A sender that does as a test says."""

    def __init__(self, send: Callable[[], Any]) -> None:
        self._send = send

    async def send(self, message: object) -> Any:
        return await self._send()

    async def find(self, message: object) -> None:
        return None


def sms_job(rows: Rows, send: Callable[[], Any], breaker: Breaker, claim_seconds: float = 40) -> SmsJob:
    settings = Settings(dispatcher={"claim_seconds": claim_seconds})
    return SmsJob(rows, ScriptedSender(send), breaker, settings)  # type: ignore[arg-type]


def sms_row(**more: object) -> Rows:
    import uuid

    return Rows(
        payment_id=uuid.uuid4(),
        to_number="+4915112345678",
        template="captured",
        child="",
        own_amount=None,
        survivor_status="captured",
        currency="EUR",
        amount=1,
        captured=1,
        created_at=dt.datetime.now(dt.UTC),
        **more,
    )


async def test_provider_of_messages_that_fails_is_left_alone():
    async def busy() -> Taken:
        raise HttpUnavailableError("busy", retry_after_seconds=60.0)

    rows, breaker = sms_row(), Breaker(10, 5)
    job = sms_job(rows, busy, breaker)
    assert await job.turn(LEASE)
    assert rows.written == [("retry_sms", 7, 1, 60.0)]
    assert not breaker.would_allow(time.monotonic() + 59)
    assert not await job.turn(LEASE)


async def test_message_that_hangs_is_unknown_in_half_of_its_claim():
    rows, breaker = sms_row(), Breaker(10, 1)
    await sms_job(rows, asyncio.Event().wait, breaker, claim_seconds=0.1).turn(LEASE)
    assert rows.written[0][0] == "retry_sms"
    assert not breaker.would_allow(time.monotonic())
    assert Unknown("x").after_seconds is None


async def test_a_message_of_which_there_is_no_template_frees_the_probe():
    """A release that is newer queued it; nobody was asked, and another message may find out whether all is well."""

    async def nobody() -> Taken:
        raise AssertionError("it is not sent")

    rows, breaker = sms_row(), Breaker(0.0, 1)
    rows.row["template"] = "of tomorrow"
    breaker.failed(time.monotonic())
    assert await sms_job(rows, nobody, breaker).turn(LEASE)
    assert rows.written == [("finish_sms", 7, 1, "failed", None)]
    assert breaker.would_allow(time.monotonic())


SENT = Taken("SM1", SmsStatus.SENT)
FOUND, FAILED, TOOK = ("finish_sent", "SM1"), ("finish_sms", "failed"), Settings().sms.sends_max


@pytest.mark.parametrize(
    ("attempts", "status", "found", "asked", "written"),
    [
        (1, "captured", None, ["send"], FOUND),
        (2, "captured", None, ["find", "send"], FOUND),
        (2, "captured", SENT, ["find"], FOUND),
        (1, "failed", None, [], FAILED),
        (2, "failed", None, ["find"], FAILED),
        (2, "failed", SENT, ["find"], FOUND),
        (TOOK, "captured", None, ["find", "send"], FOUND),
        (TOOK + 1, "captured", None, ["find"], FAILED),
        (TOOK + 1, "captured", SENT, ["find"], FOUND),
        (TOOK + 1, "failed", SENT, ["find"], FOUND),
    ],
)
async def test_a_message_that_was_tried_is_looked_up_before_it_is_given_up(
    attempts: int, status: str, found: Taken | None, asked: list[str], written: tuple[str, str]
):
    """What the provider has is sent, also where it has become untrue since, or was tried too often to be sent again."""

    class Sender:
        def __init__(self) -> None:
            self.asked: list[str] = []

        async def send(self, _message: object) -> Taken:
            self.asked.append("send")
            return SENT

        async def find(self, _message: object) -> Taken | None:
            self.asked.append("find")
            return found

    rows, sender = sms_row(attempts=attempts), Sender()
    rows.row["survivor_status"] = status
    assert await SmsJob(rows, sender, Breaker(10, 1), Settings()).turn(LEASE)  # type: ignore[arg-type]
    (name, *arguments), *further = rows.written
    assert (sender.asked, name, written[1] in arguments, further) == (asked, written[0], True, [])


async def test_a_message_of_which_nothing_is_known_is_tried_as_often_as_is_set():
    async def silent() -> Taken:
        await asyncio.sleep(0)
        raise HttpUnavailableError("reset")

    limits = Settings(sms={"attempts_max": 3, "sends_max": 9}).sms
    for attempts, written, level in ((2, "retry_sms", "info"), (3, "finish_sms", "error")):
        rows = sms_row(attempts=attempts)
        job = sms_job(rows, silent, Breaker(10, 5))
        job._limits = limits
        with structlog.testing.capture_logs() as lines:
            assert await job.turn(LEASE)
        assert [name for name, *_ in rows.written] == [written]
        assert [line["log_level"] for line in lines] == [level]


@pytest.mark.parametrize("waits", ["none", "untrue"])
async def test_a_turn_that_asks_nobody_frees_the_probe(waits: str):
    """Where no message is due after an outage, or the only one is true no more, the next one must still be tried."""

    async def nobody() -> Taken:
        raise AssertionError("it is not sent")

    rows, breaker = sms_row(), Breaker(0.0, 1)
    rows.row = None if waits == "none" else rows.row | {"survivor_status": "failed"}  # type: ignore[assignment]
    breaker.failed(time.monotonic())
    assert await sms_job(rows, nobody, breaker).turn(LEASE) is (waits == "untrue")
    assert breaker.would_allow(time.monotonic())


@pytest.mark.parametrize("probing", [False, True])
@pytest.mark.parametrize(
    ("ends", "state"),
    [
        (Taken("SM1", SmsStatus.SENT), BreakerState.CLOSED),
        (Rejected("no such number"), BreakerState.CLOSED),
        (HttpUnavailableError("reset"), BreakerState.OPEN),
        (HttpUnavailableError("no connection", sent=False), BreakerState.OPEN),
    ],
)
async def test_each_end_of_a_try_tells_the_breaker_how_the_provider_is(ends: Any, state: BreakerState, probing: bool):  # noqa: FBT001
    """A provider that answers is well, also where it refuses the one message; else all others would wait for it."""

    async def send() -> Any:
        await asyncio.sleep(0)
        if isinstance(ends, Exception):
            raise ends
        return ends

    breaker = Breaker(60.0, 2)
    breaker.failed(time.monotonic())
    if probing:
        breaker.failed(time.monotonic() - 60.0)
    rows = sms_row()
    with structlog.testing.capture_logs() as lines:
        assert await sms_job(rows, send, breaker).turn(LEASE)
    assert breaker.state is state
    shown = str(lines)
    assert lines
    assert rows.row["to_number"] not in shown
    assert "EUR" not in shown, "nor the text"
    assert breaker.failures_in_row == (0 if state is BreakerState.CLOSED else 2 + probing)


async def test_failure_before_the_call_frees_the_probe():
    rows, breaker = sms_row(), Breaker(0.0, 1)
    breaker.failed(time.monotonic())

    async def broken(*_: object) -> None:
        raise OSError("Postgres is away")

    rows.fetch_one = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(OSError, match="away"):
        await sms_job(rows, broken, breaker).turn(LEASE)
    assert breaker.would_allow(time.monotonic())


async def test_an_answer_that_never_comes_by_a_webhook_is_not_waited_for_without_end():
    """The API takes each query; the last try of them fails the refetch, as any other would."""

    async def ask() -> Awaited:
        await asyncio.sleep(0)
        return Awaited("q1")

    limits = Settings().refetch
    for attempts, written in ((limits.attempts_max - 1, "await_refetch"), (limits.attempts_max, "fail_refetch")):
        rows = Rows(attempts=attempts)
        await refetch_job(rows, ScriptedApi(ask)).turn(LEASE)
        assert [name for name, *_ in rows.written] == [written]
        if written == "await_refetch":
            assert rows.written == [(written, 7, limits.attempts_max - 1, 0, "q1", limits.query_seconds)]
    assert "no answer came by a webhook" in rows.written[0]


async def test_a_payment_that_has_no_answer_is_asked_about_as_often_as_is_set_and_no_sooner_than_the_backoff():
    async def ask() -> Again:
        await asyncio.sleep(0)
        return Again("x" * 2000, 0.5)

    limits = Settings().refetch
    for attempts, written in ((limits.attempts_max - 1, "retry_refetch"), (limits.attempts_max, "fail_refetch")):
        rows = Rows(attempts=attempts)
        await refetch_job(rows, ScriptedApi(ask)).turn(LEASE)
        [(name, *arguments)] = rows.written
        assert (name, "x" * 500 in arguments) == (written, True)
        if written == "retry_refetch":
            assert arguments[2] >= limits.backoff_max_seconds / 10, (
                "half a second is what the API asks for at the least"
            )


async def test_a_claim_is_for_what_could_be_asked_now_and_for_the_time_that_is_set():
    async def ask() -> Absent:
        return Absent("nothing")

    rows, settings = Rows(), Settings()
    apis = {("stripe", ""): ScriptedApi(ask), ("mollie", "acme"): ScriptedApi(ask, ready=False)}
    assert await RefetchJob(rows, apis, settings, SystemClock()).turn(LEASE)  # type: ignore[arg-type]
    related = settings.refetch.related_seconds
    assert rows.claimed_with == (["stripe"], [""], settings.dispatcher.claim_seconds, [True], related)


async def test_each_look_queues_what_every_schedule_of_every_api_says_and_comes_in_its_time():
    class Queue(Rows):
        fails = True

        async def fetch_one(self, _lease: Lease, name: str, *arguments: object) -> Any:
            await asyncio.sleep(0)
            self.written.append((name, *arguments))
            if self.fails:
                raise OSError("Postgres is away")
            return {"queued": 0}

    states = {"statuses": ("pending",), "refunds": ("waiting",), "disputes": ("open",)}
    pending = Watch(after=1.0, every=2.0, until=3.0, child=RefKind.REFUND, **states)
    schedules = {("stripe", ""): (pending, replace(pending, debits=True)), ("mollie", "acme"): (pending, pending)}
    rows, asked = Queue(), (["pending"], ["waiting"], ["open"], 1.0, 2.0, 3.0)
    apis = {source: SimpleNamespace(watches=watches) for source, watches in schedules.items()}
    job, most = WatchJob(rows, apis, Settings()), Settings().refetch.watch_payments_max  # type: ignore[arg-type]
    with pytest.raises(OSError, match="away"):
        await job.turn(LEASE)
    rows.fails = False
    rows.written.clear()
    assert [await job.turn(LEASE), await job.turn(LEASE)] == [False, False]
    assert rows.written == [
        ("queue_debits", "stripe", "", 1.0, 2.0, most),
        ("queue_stale", "mollie", "acme", *asked, most, RefKind.REFUND),
        ("queue_stale", "mollie", "acme", *asked, most, RefKind.REFUND),
        ("queue_stale", "stripe", "", *asked, most, RefKind.REFUND),
    ], "a look that failed is made again at once, after the others"
    job._due_at = 0.0
    await job.turn(LEASE)
    assert len(rows.written) == 8


async def test_a_schedule_that_cannot_be_looked_at_keeps_no_other_from_its_look():
    class Queue(Rows):
        async def fetch_one(self, _lease: Lease, name: str, *arguments: object) -> Any:
            await asyncio.sleep(0)
            self.written.append((name, *arguments[:2]))
            if arguments[0] == "stripe":
                raise TimeoutError
            return {"queued": 0}

    pending, rows = Watch(after=1.0, every=2.0, until=3.0, statuses=("pending",)), Queue()
    apis = {place: SimpleNamespace(watches=(pending,)) for place in (("stripe", ""), ("mollie", "acme"))}
    job = WatchJob(rows, apis, Settings())  # type: ignore[arg-type]
    for looks in (1, 2):
        job._due_at = 0.0
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await job.turn(LEASE)
        assert rows.written.count(("queue_stale", "mollie", "acme")) == looks


async def test_a_message_that_is_cut_off_by_the_end_of_the_term_frees_the_probe():
    """The breaker outlives the lease: in the next term messages must go out again."""
    rows, breaker, sending = sms_row(), Breaker(0.0, 1), asyncio.Event()
    breaker.failed(time.monotonic())

    async def hanging() -> Taken:
        sending.set()
        return await asyncio.get_running_loop().create_future()

    turn = asyncio.create_task(sms_job(rows, hanging, breaker).turn(LEASE))
    await asyncio.wait_for(sending.wait(), 5)
    assert not breaker.would_allow(time.monotonic())
    turn.cancel()
    await asyncio.wait([turn])
    assert turn.cancelled()
    assert breaker.would_allow(time.monotonic())


@pytest.mark.parametrize("kind", ["refetch", "sms"])
async def test_all_calls_of_a_try_are_over_in_half_of_its_claim(kind: str, monkeypatch: pytest.MonkeyPatch):
    """Past its claim another worker has the row, and asks, or sends, beside this one."""
    bounds, timeout = [], asyncio.timeout

    def noting(seconds: float) -> asyncio.Timeout:
        bounds.append(seconds)
        return timeout(seconds)

    async def answer() -> Any:
        await asyncio.sleep(0)
        return Absent("nothing") if kind == "refetch" else SENT

    monkeypatch.setattr(asyncio, "timeout", noting)
    job = refetch_job(Rows(), ScriptedApi(answer)) if kind == "refetch" else sms_job(sms_row(), answer, Breaker(10, 1))
    assert await job.turn(LEASE)
    assert bounds == [20.0]
