"""`ratchet recall` without a broker: which pages are asked for, what of them is spooled, and when it waits."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from consumer.dispatcher.apis import Again, Refused
from ops import recall_commands, recalls, redrive_follow, server
from ops.cli import app
from ops.operators import Operator
from providers.core.contract import Notification
from providers.core.recall import Listed, Listing, Page, PageAsked, Recall
from runtime.settings import Settings
from runtime.settings.outside import AccountSettings, ProviderSettings
from runtime.sql import statement
from schemas.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from consumer.dispatcher.recall_found import RecallFound

pytestmark = pytest.mark.unit

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
BEGAN = NOW - 10 * DAY
READ_AT = NOW - dt.timedelta(seconds=5)
"""The database's time: when it is asked for the cursor."""
SPAN = recalls.RecallRange(NOW - 20 * DAY, NOW - 2 * DAY)
EVENTS = Listing("events", None, None, 30 * 86_400.0, 60.0)  # type: ignore[arg-type]
OBJECTS = Listing("objects", None, None, 90 * 86_400.0, 60.0)  # type: ignore[arg-type]
LIMITS = Settings().recall
ASKED_MAX = 30
"""More often than any of these tests has to ask."""


class Database:
    """A connection that knows some events, and whose spool is as full as a test has it; notes what is done."""

    def __init__(self, known: Sequence[str] = (), spooled: Sequence[int] = ()) -> None:
        self.known, self.waiting = set(known), list(spooled)
        self.done: list[tuple[Any, ...]] = []
        self.rows: list[Any] = []
        self.history_before: set[dt.datetime] = set()
        self.within = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.within += 1
        yield
        self.within -= 1

    async def fetchrow(self, *_: object) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"now": READ_AT, "began_at": BEGAN, "spooled": self.waiting.pop(0) if self.waiting else 0}

    async def fetch(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        if sql == statement("ops", "note_action"):
            self.done.append(("noted", *arguments))
            return []
        if sql == statement("consumer.dispatcher", "find_known"):
            return [{"event_id": one} for one in arguments[1] if one in self.known]
        assert sql == statement("consumer.dispatcher", "note_seen")
        assert self.within, "it is noted and spooled in one transaction"
        self.history_before.add(arguments[-1])
        found = [one for one in arguments[1] if one not in self.known]
        self.known.update(found)
        return [{"event_id": one} for one in found]

    async def copy_records_to_table(self, _table: str, *, records: Sequence[Any], columns: Sequence[str]) -> None:
        assert self.within
        assert columns
        self.rows += records
        self.done.append(("spooled", len(records)))


class Api:
    """An account's lists: answers by what is asked for; `asked` is each question with its list's name."""

    def __init__(self, database: Database, answer: Callable[[Listing, PageAsked], Any], *listings: Listing) -> None:
        self.provider, self.account, self.source = "stripe", "shop", "stripe/shop"
        self.recall = Recall("", listings or (EVENTS,), 60.0)
        self.asked: list[tuple[str, PageAsked]] = []
        self._database, self._answer = database, answer

    async def ask(self, listing: Listing, asked: PageAsked) -> Any:
        await asyncio.sleep(0)
        assert not self._database.within, "no transaction waits for a provider"
        self.asked.append((listing.name, asked))
        self._database.done.append(("asked", listing.name))
        assert len(self.asked) < ASKED_MAX, "the same is asked for without end"
        return self._answer(listing, asked)


def listed(event_id: str, happened_at: dt.datetime = NOW - 3 * DAY) -> Listed:
    return Listed(Notification(event_id, "paid", "pi_1", b"{}"), happened_at.timestamp())


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Each pause that is made, none of which takes any time."""
    pauses: list[float] = []
    really = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await really(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return pauses


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    async def run(
        database: Database, api: Any, span: recalls.RecallRange = SPAN, settings: Settings | None = None, **how: Any
    ) -> RecallFound:
        @asynccontextmanager
        async def connected(_: Settings) -> AsyncIterator[Database]:
            yield database

        monkeypatch.setattr(recalls, "connected", connected)
        if not isinstance(api, str):
            monkeypatch.setattr(recalls, "_lists", lambda *_: api)
        asked: dict[str, Any] = {
            "dry_run": False,
            "operator": Operator("ada"),
            "because": "",
            "report": lambda _: None,
        } | how
        return await recalls.recall(settings or Settings(), "stripe", "shop", span, **asked)

    return run


PAGES: dict[tuple[str, str | None], Page] = {
    ("events", None): Page((listed("e1"), listed("e2")), "p2"),
    ("events", "p2"): Page((), "p3"),
    ("events", "p3"): Page((listed("e3", NOW - 15 * DAY),)),
    ("objects", None): Page((), "p2"),
    ("objects", "p2"): Page((listed("o1"),)),
}


async def test_every_list_is_read_to_its_end_within_the_span(run: Any) -> None:
    """A page without an event is no end: what names no page after it is."""
    database, reported = Database(known=["e2"]), []
    api = Api(database, lambda listing, asked: PAGES[listing.name, asked.page], EVENTS, OBJECTS)
    found = await run(database, api, report=lambda now: reported.append(now.pages))
    assert [(name, asked.page) for name, asked in api.asked] == list(PAGES)
    bounds = {(asked.since, asked.until, asked.items_max) for _, asked in api.asked}
    assert bounds == {(SPAN.since.timestamp(), SPAN.until.timestamp(), LIMITS.page_items_max)}
    assert (found.pages, found.known, sum(found.new.values()), reported) == (5, 1, 3, [1, 2, 3, 4, 5])
    assert [dict(zip(one[3], one[4], strict=True))[b"ce_id"] for one in database.rows] == [b"e1", b"e3", b"o1"]
    assert {one[0] for one in database.rows} == {Settings().kafka.topics.webhooks.name}


async def test_what_a_list_shows_is_dated_by_the_question_and_is_history_before_the_secret(run: Any) -> None:
    database = Database()
    found = await run(database, Api(database, lambda *_: Page((listed("new"), listed("old", BEGAN - DAY)))))
    times = {dict(zip(one[3], one[4], strict=True))[b"ce_time"].decode() for one in database.rows}
    assert {dt.datetime.fromisoformat(one) for one in times} == {READ_AT}
    assert (database.history_before, found.history, found.began_at) == ({BEGAN}, 1, BEGAN)


async def test_a_dry_run_counts_and_leaves_nothing(run: Any) -> None:
    database = Database(known=["e2"])
    api = Api(database, lambda _, asked: PAGES["events", asked.page])
    found = await run(database, api, dry_run=True)
    assert (found.known, dict(found.new)) == (1, {"paid": 2})
    assert {one for one, *_ in database.done} == {"asked"}
    assert database.known == {"e2"}


@pytest.mark.parametrize("because", ["", "ticket 7"])
async def test_it_is_written_down_before_the_first_question(because: str, run: Any) -> None:
    database = Database()
    await run(database, Api(database, lambda *_: Page(())), because=because)
    [(name, who, *_, action, target, why), *asked] = database.done
    assert (name, who, action, target, asked) == ("noted", "ada", "recall", "stripe/shop", [("asked", "events")])
    assert why.startswith(f"from {SPAN.since.isoformat()} until {SPAN.until.isoformat()}")
    assert why.endswith(because)


async def test_nothing_is_asked_for_from_before_the_longest_list_begins(run: Any) -> None:
    database = Database()
    api = Api(database, lambda *_: Page(()), EVENTS, OBJECTS)
    found = await run(database, api, recalls.RecallRange(NOW - 400 * DAY, NOW))
    since = {asked.since for _, asked in api.asked} | {found.reaches.timestamp()}
    assert len(since) == 1
    assert 0 <= since.pop() - (NOW - 90 * DAY).timestamp() < 600


async def test_a_refusal_ends_it_at_once(run: Any, slept: list[float]) -> None:
    database = Database()
    api = Api(database, lambda *_: Refused("refuses the credentials"))
    with pytest.raises(SettingsError, match="refuses the credentials"):
        await run(database, api)
    assert (len(api.asked), slept) == (1, [])


async def test_it_waits_for_as_long_as_the_api_asks_and_longer_each_time(run: Any, slept: list[float]) -> None:
    """None is an answer too: another call finds out whether the API is well again."""
    long = LIMITS.backoff_max_seconds + 60
    outcomes = [Again("busy"), None, Again("busy", long), Page(())]
    database = Database()
    await run(database, Api(database, lambda *_: outcomes.pop(0)))
    first, second, third = slept
    assert 0 < first <= 2 * LIMITS.backoff_initial_seconds
    assert 0 < second <= LIMITS.backoff_max_seconds
    assert third == long


@pytest.mark.parametrize(("last", "expected"), [(None, "busy"), (Again("gone"), "gone")])
async def test_an_api_that_stays_away_ends_it_with_why(last: Any, expected: str, run: Any, slept: list[float]) -> None:
    outcomes: list[Any] = [Again("busy")] * (LIMITS.order_tries_max - 1) + [last]
    database = Database()
    with pytest.raises(UnavailableError, match=f"^{expected}; .*ask again"):
        await run(database, Api(database, lambda *_: outcomes.pop(0)))
    assert (outcomes, len(slept)) == ([], LIMITS.order_tries_max)


async def test_nothing_is_asked_for_while_the_spool_is_full(run: Any, slept: list[float]) -> None:
    most = LIMITS.spool_rows_max
    database = Database(spooled=[most, most, most - 1])
    await run(database, Api(database, lambda *_: Page((listed("e1"),))))
    assert slept == [LIMITS.spool_wait_seconds] * 2
    assert ("spooled", 1) in database.done


async def test_names_have_no_case(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor of one account is one row, however its name is written."""
    account, asked = AccountSettings(), []
    settings = Settings(providers={"Stripe": ProviderSettings(accounts={"Shop": account})})

    def lists_of(_settings: Settings, _client: object, *which: Any) -> str:
        asked.append(which)
        return "has no list"

    monkeypatch.setattr(recalls, "lists_of", lists_of)
    for name in ("SHOP", "shop", "Shop"):
        with pytest.raises(SettingsError, match="has no list"):
            recalls._lists(settings, SimpleNamespace(), "stripe", name)  # type: ignore[arg-type]
    assert asked == [("stripe", "shop", account)] * 3
    with pytest.raises(SettingsError, match="stripe/other is not configured"):
        recalls._lists(settings, SimpleNamespace(), "stripe", "other")  # type: ignore[arg-type]


# --- through a console --------------------------------------------------------------------------------------------


READING: dict[str, Any] = {
    "id": 3, "source": "stripe/shop", "dry_run": True, "status": "running", "pages": 0, "known": 0, "new": 0,
    "history": 0, "kinds": {}, "secret_since": None, "asked_since": None, "since": SPAN.since.isoformat(),
    "first_at": None, "last_at": None, "ended_at": None, "error": None, "stopped_by": None,
}  # fmt: skip
OVER = {"ended_at": NOW.isoformat(), "status": "done"}
PATIENCE = Settings().redrive.follow_patience_seconds


class Console:
    """A console at which a dispatcher reads: each look at the reading finds the next of these."""

    url = "https://console.example"

    def __init__(self, *found: dict[str, Any] | Exception) -> None:
        self.found = [one if isinstance(one, Exception) else READING | one for one in found]
        self.ordered: list[dict[str, Any]] = []
        self.looks = 0

    def post(self, path: str, /, **body: Any) -> dict[str, Any]:
        assert path == "/recalls"
        self.ordered.append(body)
        return {"recall": 3}

    def get(self, path: str, /) -> dict[str, Any]:
        assert path == "/recalls/3"
        self.looks += 1
        assert self.looks < ASKED_MAX, "it looks without end"
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Run `ratchet recall` by a console; a pause takes as long as its test has it take, by a clock of its own."""

    def command(console: Console, *words: str, pause: float = 1.0) -> Any:
        now = [0.0]

        def sleep(_: float) -> None:
            now[0] += pause

        clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
        for module in (recall_commands, redrive_follow):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(server, "read", lambda *_: console)
        span = ("--since", SPAN.since.isoformat(), "--until", SPAN.until.isoformat())
        return CliRunner().invoke(app, ["recall", "--provider", "Stripe", *span, "--json", *words])

    yield command
    server.choose(None)


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_is_ordered_of_a_console_is_what_was_written(command: Any, *, dry_run: bool) -> None:
    console = Console(OVER)
    words = ("--account", "Shop", "--because", "ticket 7", *(("--dry-run",) if dry_run else ()))
    assert command(console, *words).exit_code == 0
    span = {"since": SPAN.since.isoformat(), "until": SPAN.until.isoformat()}
    asked = {"provider": "stripe", "account": "shop", "dry_run": dry_run, "because": "ticket 7"}
    assert console.ordered == [asked | span]


@pytest.mark.parametrize(
    ("ended", "status", "expected"),
    [
        ({"status": "done"}, 0, ""),
        ({"status": "failed", "error": "set API_KEY"}, 1, "not read to its end: set API_KEY"),
        ({"status": "stopped", "stopped_by": "bea"}, 1, "not read to its end: bea stopped it"),
    ],
)
def test_a_reading_that_did_not_come_to_its_end_is_a_problem(
    ended: dict[str, Any], status: int, expected: str, command: Any
) -> None:
    """What was found by then is printed all the same."""
    result = command(Console(OVER | ended | {"new": 2, "asked_since": BEGAN.isoformat()}))
    assert (result.exit_code, expected in result.stderr) == (status, True)
    document = json.loads(result.stdout)
    assert (document["new"], document["status"], document["recall"]) == (2, ended["status"], 3)
    assert document["asked_since"] == BEGAN.isoformat(), "a list that reaches back less far was asked for less"


def test_a_reading_is_followed_for_as_long_as_pages_come(command: Any) -> None:
    console = Console({"status": "queued"}, *({"pages": number} for number in range(5)), OVER)
    assert command(console, pause=PATIENCE - 1).exit_code == 0
    assert console.looks == 7


@pytest.mark.parametrize("error", [None, "stripe.com is busy"])
def test_a_reading_at_which_nobody_is_is_left_with_why(error: str | None, command: Any) -> None:
    console = Console({"status": "queued", "error": error})
    result = command(console, pause=PATIENCE / 2)
    assert (result.exit_code, console.looks) == (1, 4)
    assert f"is queued and read nothing for {PATIENCE:.0f} s{': ' + error if error else ''}; is a" in result.stderr


AWAY = UnavailableError("away")


def test_a_moment_without_an_answer_does_not_end_it(command: Any) -> None:
    """A reading takes hours, and a console is started anew in a second."""
    console = Console({"pages": 1}, AWAY, AWAY, {"pages": 1}, AWAY, OVER)
    assert command(console, pause=PATIENCE / 4).exit_code == 0
    assert console.looks == 6


def test_a_console_that_stays_away_is_not_waited_for_without_end(command: Any) -> None:
    console = Console({"pages": 1}, AWAY)
    result = command(console, pause=PATIENCE / 4)
    assert (result.exit_code, console.looks, result.stderr.splitlines()[-1]) == (1, 6, "ratchet: away")


@pytest.mark.parametrize("until", [SPAN.since, SPAN.since - DAY])
def test_a_span_that_holds_nothing_is_wrong_usage(until: dt.datetime, command: Any) -> None:
    console = Console(OVER)
    assert command(console, "--until", until.isoformat()).exit_code == 2
    assert console.ordered == []


def test_without_an_end_it_reads_until_now(command: Any) -> None:
    console = Console(OVER)
    before = dt.datetime.now(dt.UTC)
    assert command(console, "--until", "").exit_code == 2, "an end that is no time is none"
    CliRunner().invoke(app, ["recall", "--provider", "stripe", "--since", "2026-01-01"])
    until = dt.datetime.fromisoformat(console.ordered[0]["until"])
    assert before <= until <= dt.datetime.now(dt.UTC)
