"""What the words of `ratchet dlq redrive`, `stop` and `discard` become, here and through a console; who agreed."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ops import dlq_options, endpoints, redrive_commands, redrives, server
from ops.cli import app
from ops.redrive_asking import follow as follow_console
from ops.redrive_follow import follow
from ops.redrive_preview import LeftOut, Prediction, Preview, PreviewAnswer
from ops.redrives import Discarded, LetterFilter, Policy, RedriveProgress, RedriveRequest, RedriveStatus, Started
from runtime.settings import Settings
from schemas.dead_letter import Reason
from schemas.errors import RatchetError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from typer.testing import Result

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
DONE = RedriveProgress(
    id=9, status=RedriveStatus.DONE, requested_by="ada", filter={}, rate_per_second=5.0, policy=Policy.STOP_ON_FAILURES,
    forced=False, matched=3, selected=2, published=2, skipped=0, failed=0, returned=0, stopping=False, stop_reason=None,
    created_at=NOW, started_at=NOW, updated_at=NOW, ended_at=NOW,
)  # fmt: skip
SEEN = Preview(
    3,
    (Prediction(1, PreviewAnswer.APPLY, "applied"), Prediction(2, PreviewAnswer.ILLEGAL, "conflict")),
    (LeftOut(3, "it was discarded", guarded=False),),
)
CHOICE = (
    "--reason", "orphan", "--provider", "stripe", "--payment", "pi_1", "--since", "2026-01-02",
    "--until", "2026-01-03T00:00+01:00", "--id", "4", "--id", "5", "--limit", "6",
)  # fmt: skip
CHOSEN = LetterFilter(Reason.ORPHAN, "stripe", "pi_1", NOW, NOW + dt.timedelta(hours=23), (4, 5), limit=6)
FIELDS = CHOSEN.document() | {"ids": "4,5"}
ORDER = (
    "--rate", "7.5", "--max", "8", "--force", "--keep-going", "--to", "payments.webhooks", "--because", " ticket  7 ",
)  # fmt: skip


class Work:
    """Does what the commands order: notes each call, and gives what its test lays down."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []
        self.found: dict[str, Any] = {
            "preview": SEEN, "start": Started(9, SEEN), "discard": Discarded(3, (4,), SEEN.left_out),
            "choose": [{}, {}, {}], "read_messages": (), "follow": DONE, "list_redrives": (DONE,),
        }  # fmt: skip

    def __getitem__(self, name: str) -> list[Any]:
        """Return what each call of this name was given."""
        return [given for called, given in self.done if called == name]

    def call(self, name: str) -> Callable[..., Any]:
        async def call(*given: Any, **named: Any) -> Any:
            await asyncio.sleep(0)
            self.done.append((name, (*(one for one in given if not isinstance(one, Settings)), *named.values())))
            return self.found.get(name)

        return call


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    work = Work()

    @asynccontextmanager
    async def connected(_: Settings) -> AsyncIterator[str]:
        yield "connection"

    monkeypatch.setattr(endpoints, "load", Settings)
    monkeypatch.setattr(endpoints, "found", lambda settings: settings)
    monkeypatch.setattr(server, "read", lambda *_: None)
    monkeypatch.setattr(redrive_commands, "connected", connected)
    for name in ("preview", "start", "stop", "resume", "discard", "choose", "read_messages", "list_redrives"):
        monkeypatch.setattr(redrives, name, work.call(name))
    for name in ("take_in_foreign", "follow"):
        monkeypatch.setattr(redrive_commands, name, work.call(name))
    yield work
    server.choose(None)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["dlq", *words])


# --- as they are meant --------------------------------------------------------------------------------------------


def test_each_word_of_an_order_stands_in_its_place(work: Work) -> None:
    assert run("redrive", *CHOICE, *ORDER, "--who", "ada", "--yes").exit_code == 0
    [(_, wanted)], [(_, started, seen)] = work["preview"], work["start"]
    assert wanted == started == RedriveRequest(
        CHOSEN, "ada", 7.5, 8, force=True, policy=Policy.KEEP_GOING, target_topic="payments.webhooks",
        because="ticket 7",
    )  # fmt: skip
    assert seen is SEEN, "what is ordered is what was looked at"
    assert work["follow"] == [(9,)]


@pytest.mark.parametrize("words", [(), ("--force",)])
def test_it_stops_on_failures_unless_it_is_to_keep_going(words: tuple[str, ...], work: Work) -> None:
    run("redrive", "--who", "ada", "--yes", *words)
    [(_, wanted)] = work["preview"]
    assert wanted == RedriveRequest(requested_by="ada", force=bool(words))


def test_each_word_of_a_discard_stands_in_its_place(work: Work) -> None:
    result = run("discard", *CHOICE, "--because", "why", "--who", "ada", "--yes", "--json")
    assert work["choose"] == [("connection", CHOSEN)]
    assert work["discard"] == [("connection", CHOSEN, "ada", "why")]
    document = json.loads(result.stdout)
    assert (document["matched"], document["discarded"], document["messages"]) == (3, 1, [{"id": 4}])
    assert document["left_out"] == [asdict(one) for one in SEEN.left_out]


@pytest.mark.parametrize(("words", "ids", "status"), [((), (), 0), (("--id", "4"), (4,), 0), (("--id", "4"), (), 1)])
def test_a_discard_of_named_letters_of_which_none_is_open_ends_as_a_problem(
    words: tuple[str, ...], ids: tuple[int, ...], status: int, work: Work
) -> None:
    work.found["discard"] = Discarded(len(ids), ids)
    assert run("discard", "--because", "why", "--yes", *words).exit_code == status


def test_who_stops_and_who_resumes_is_passed_on(work: Work) -> None:
    assert run("stop", "9", "--who", "ada").exit_code == 0
    assert run("redrive", "--resume", "9", "--who", "bea", "--because", "mended").exit_code == 0
    assert work["stop"] == [("connection", 9, "ada")]
    assert work["resume"] == [("connection", 9, "bea")]


@pytest.mark.parametrize(
    "words",
    [
        *[("--limit", "1"), ("--id", "1"), ("--rate", "7"), ("--max", "1"), ("--force",), ("--keep-going",)],
        *[("--to", "payments.webhooks"), ("--until", "2026-01-02")],
    ],
    ids=" ".join,
)
def test_a_redrive_goes_on_as_it_was_ordered_or_not_at_all(words: tuple[str, ...], work: Work) -> None:
    """Somebody who thinks that it goes slower now, or of fewer letters, learns that it does not."""
    assert run("redrive", "--resume", "9", *words).exit_code == 2
    assert work.done == []


def test_as_many_redrives_are_listed_as_are_asked_for(work: Work) -> None:
    [one] = json.loads(run("redrives", "--limit", "300", "--json").stdout)["redrives"]
    assert work["list_redrives"] == [("connection", 300)]
    assert (one["redrive_id"], one["matched"], one["published"], one["status"]) == (9, 3, 2, "done")


# --- who agrees ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("redrive",), ("discard", "--because", "why")])
def test_without_consent_nothing_is_looked_at_or_done(words: tuple[str, ...], work: Work) -> None:
    for as_json in ((), ("--json",)):
        assert run(*words, *as_json).exit_code == 2
    assert work.done == []


@pytest.mark.parametrize("answer", [False, True])
@pytest.mark.parametrize("words", [("redrive",), ("discard", "--because", "why")])
def test_people_who_are_asked_decide(
    words: tuple[str, ...], work: Work, monkeypatch: pytest.MonkeyPatch, *, answer: bool
) -> None:
    asked = []

    def agreed(_: object, question: str) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr(redrive_commands, "need_consent", lambda **_: None)
    monkeypatch.setattr(redrive_commands, "agreed", agreed)
    result = run(*words)
    done = work["start"] + work["discard"]
    assert (result.exit_code, len(done), "nothing was done" in result.stderr) == (1 - answer, answer, not answer)
    assert asked == [{"redrive": "Redrive 2 letters?", "discard": "Discard 3 letters?"}[words[0]]]


@pytest.mark.parametrize(("typed", "expected"), [("\n", False), ("n\n", False), ("y\n", True)])
@pytest.mark.usefixtures("work")
def test_who_presses_return_has_not_agreed(typed: str, monkeypatch: pytest.MonkeyPatch, *, expected: bool) -> None:
    answered = []
    monkeypatch.setattr(redrive_commands, "need_consent", lambda **_: None)
    really = dlq_options.agreed
    monkeypatch.setattr(redrive_commands, "agreed", lambda *asked: answered.append(really(*asked)))
    CliRunner().invoke(app, ["dlq", "discard", "--because", "why"], input=typed)
    assert answered == [expected]


def test_a_look_orders_nothing_and_takes_nothing_in(work: Work) -> None:
    result = run("redrive", "--dry-run", "--yes", "--json")
    assert (result.exit_code, json.loads(result.stdout)["redrive_id"]) == (0, None)
    assert [name for name, _ in work.done] == ["preview"]
    work.done.clear()
    run("redrive", "--yes")
    assert [name for name, _ in work.done] == ["take_in_foreign", "preview", "start", "follow"]


def test_an_order_that_came_to_nothing_is_no_success(work: Work) -> None:
    work.found["start"] = Started(None, SEEN)
    result = run("redrive", "--yes")
    assert (result.exit_code, "nothing was ordered" in result.stderr, work["follow"]) == (1, True, [])


# --- through a console --------------------------------------------------------------------------------------------


class Console:
    """A console that is asked; notes each question, and answers those of a path one after the other, the last again."""

    url = "https://console.example"

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = {"/" + path.replace("_", "-"): list(found) for path, found in answers.items()}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def get(self, path: str, /, **query: Any) -> Any:
        return self._answer("GET", path, query)

    def post(self, path: str, /, **body: Any) -> Any:
        return self._answer("POST", path, {name: one for name, one in body.items() if one is not None})

    def _answer(self, method: str, path: str, given: dict[str, Any]) -> Any:
        self.asked.append((method, path, given))
        found = self.answers.get(path, [{}])
        answer = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def given(self, method: str, path: str) -> list[dict[str, Any]]:
        return [given for how, asked, given in self.asked if (how, asked) == (method, path)]


def document_of(now: RedriveProgress) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, dt.datetime) else one for name, one in asdict(now).items()}


@pytest.fixture
def console(work: Work, monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(redrives=[{"redrive": 9}], dead_letters=[{"total": 40}])
    console.answers |= {
        "/redrives/preview": [asdict(SEEN)],
        "/redrives/9": [document_of(DONE)],
        "/dead-letters/discard": [{"matched": 3, "discarded": [4], "left_out": []}],
    }
    monkeypatch.setattr(server, "read", lambda *_: console)
    assert work.done == []
    return console


def test_a_console_gets_each_word_and_what_people_agreed_to(console: Console) -> None:
    """It applies nothing but what would be applied: so many and no more is agreed to."""
    assert run("redrive", *CHOICE, *ORDER, "--yes").exit_code == 0
    wanted = FIELDS | {
        "rate": 7.5, "max": 8, "force": True, "keep_going": True, "to": "payments.webhooks", "because": "ticket 7",
    }  # fmt: skip
    assert console.given("POST", "/redrives/preview") == [wanted]
    assert console.given("POST", "/redrives") == [wanted | {"typed": "1"}]


def test_a_console_that_would_apply_nothing_is_not_ordered_to(console: Console) -> None:
    none = Preview(3, SEEN.messages[1:])
    console.answers["/redrives/preview"] = [asdict(none)]
    assert run("redrive", "--yes").exit_code == 0
    assert console.given("POST", "/redrives") == []


def test_a_console_keeps_to_what_is_safe_unless_more_is_asked_for(console: Console) -> None:
    run("redrive", "--yes")
    assert console.given("POST", "/redrives") == [{"force": False, "keep_going": False, "typed": "1"}]


@pytest.mark.parametrize(("words", "typed"), [((), "40"), (("--limit", "6"), "6"), (("--limit", "60"), "40")])
def test_a_console_gives_up_as_many_as_were_counted(words: tuple[str, ...], typed: str, console: Console) -> None:
    """Counted are open ones: others are not given up, and a number that is too large is refused."""
    assert run("discard", "--reason", "orphan", *words, "--because", "why", "--yes").exit_code == 0
    [counted], [given] = console.given("GET", "/dead-letters"), console.given("POST", "/dead-letters/discard")
    assert (counted["status"], counted["reason"], counted["limit"]) == ("open", "orphan", 1)
    assert (given["typed"], given["reason"], given["because"]) == (typed, "orphan", "why")
    assert "status" not in given


def test_a_console_is_asked_to_stop_and_to_resume(console: Console) -> None:
    assert (run("stop", "9").exit_code, run("redrive", "--resume", "9").exit_code) == (0, 0)
    assert len(console.given("POST", "/redrives/9/stop")) == len(console.given("POST", "/redrives/9/resume")) == 1
    console.answers["/redrives"] = [{"redrives": []}]
    run("redrives", "--limit", "300")
    assert console.given("GET", "/redrives") == [{"limit": 300}]


# --- following ----------------------------------------------------------------------------------------------------


class Clock:
    """A clock that pauses move: a second each, whatever they ask for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
        self.now, self.pauses = 0.0, 0
        really = asyncio.sleep

        async def sleep(seconds: float) -> None:
            if seconds:
                self.now, self.pauses = self.now + step, self.pauses + 1
            assert self.pauses < 100, "it looks without end"
            await really(0)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        monkeypatch.setattr("ops.redrive_follow.time.monotonic", lambda: self.now)


BOUNDS = Settings().redrive
AWAY = UnavailableError("away")


def at(published: int = 0, **changed: Any) -> RedriveProgress:
    return RedriveProgress(
        **asdict(DONE) | {"status": RedriveStatus.RUNNING, "published": published, "ended_at": None} | changed
    )


def seen(found: list[Any], how: str, monkeypatch: pytest.MonkeyPatch) -> RedriveProgress:
    """Follow a redrive that stands so at each look, by a database or by a console."""
    if how == "console":
        answers = [one if isinstance(one, Exception) else document_of(one) for one in found]
        console = Console()
        console.answers["/redrives/9"] = answers
        return follow_console(console, 9, BOUNDS)  # type: ignore[arg-type]

    @asynccontextmanager
    async def connected(_: Settings) -> AsyncIterator[None]:
        if isinstance(found[0], Exception):
            raise found.pop(0) if len(found) > 1 else found[0]
        yield

    async def progress(*_: object) -> RedriveProgress:
        await asyncio.sleep(0)
        answer: Any = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, RedriveProgress)
        return answer

    monkeypatch.setattr("ops.redrive_follow.connected", connected)
    monkeypatch.setattr("ops.redrive_follow.progress", progress)
    return asyncio.run(follow(Settings(), 9))


BY = pytest.mark.parametrize("how", ["database", "console"])


@BY
@pytest.mark.parametrize("field", ["published", "skipped"])
def test_a_redrive_that_moves_is_followed_however_long_it_takes(
    field: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, BOUNDS.follow_patience_seconds - 1)
    looks: list[Any] = [at(**{"published": 0, field: number}) for number in range(5)]
    assert seen([*looks, DONE], how, monkeypatch) == DONE
    assert clock.pauses == 5


@BY
def test_one_that_begins_has_moved(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, BOUNDS.follow_patience_seconds - 1)
    queued = at(0, status=RedriveStatus.QUEUED, started_at=None)
    assert seen([queued, queued, at(0), at(0), DONE], how, monkeypatch) == DONE


@BY
def test_one_at_which_no_relay_is_is_left_with_why(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 1.0)
    with pytest.raises(UnavailableError, match=r"redrive 9 is queued and nothing moved .*--resume 9"):
        seen([at(0, status=RedriveStatus.QUEUED)], how, monkeypatch)
    assert BOUNDS.follow_patience_seconds < clock.now < BOUNDS.follow_patience_seconds + 3


@BY
def test_a_moment_without_an_answer_ends_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that fails over, or a console that is started anew, is no reason to leave a redrive."""
    clock = Clock(monkeypatch, 1.0)
    assert seen([at(1), AWAY, AWAY, at(2), AWAY, DONE], how, monkeypatch) == DONE
    assert clock.pauses == 5


@BY
def test_a_moment_without_an_answer_ends_no_slow_redrive(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two letters of it nothing moves for longer than an answer may stay away."""
    clock = Clock(monkeypatch, BOUNDS.follow_patience_seconds - 1)
    slow = at(1, rate_per_second=1 / BOUNDS.follow_patience_seconds)
    assert seen([slow, slow, AWAY, slow, DONE], how, monkeypatch) == DONE
    assert clock.pauses == 4


@BY
def test_what_stays_away_is_not_waited_for_without_end(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 1.0)
    with pytest.raises(UnavailableError, match=r"^away$"):
        seen([at(1), AWAY], how, monkeypatch)
    assert BOUNDS.follow_patience_seconds < clock.now < BOUNDS.follow_patience_seconds + 3


@BY
def test_one_that_stands_still_is_left_though_looks_at_it_fail_now_and_then(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look is on a new connection by then: that is no movement."""
    Clock(monkeypatch, 1.0)
    with pytest.raises(UnavailableError):
        seen([AWAY, at(1)] * 50, how, monkeypatch)


@BY
def test_one_that_ended_while_nobody_looked_has_ended(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, BOUNDS.follow_patience_seconds + 1)
    ended = at(1, status=RedriveStatus.STOPPED, ended_at=NOW)
    assert seen([at(1), ended], how, monkeypatch) == ended
    assert clock.pauses == 1


@BY
def test_a_redrive_that_is_not_there_is_reported(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, 1.0)
    with pytest.raises(RatchetError, match="no redrive"):
        seen([RatchetError("there is no redrive 9")], how, monkeypatch)
