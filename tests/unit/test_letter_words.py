"""What the words of `ratchet dlq list`, `show`, `redact`, `retain` and the notes become, here and through a console."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from ops import dead_letter_commands, dlq_options, endpoints, erasure_commands, letter_notes, note_commands, server
from ops.cli import app
from ops.dlq_filters import LetterFilter
from ops.documents import letter_document, plain, raw_document
from ops.letter_erasure import REFUSALS, Redacted, redact
from ops.letter_notes import Note, Subject
from ops.operators import Operator
from ops.redrives import LetterPage
from runtime.settings import PostgresSettings, Settings
from runtime.sql import statement
from schemas.dead_letter import LetterStatus, Reason
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from typer.testing import Result

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
CARD = "4111111111111111"
LETTER: dict[str, Any] = {
    "id": 7, "key": b"k", "value": f'{{"number": "{CARD}"}}'.encode(), "header_names": [b"authorization"],
    "header_values": [b"Bearer hidden"], "reason": "conflict",
}  # fmt: skip
LISTED: dict[str, Any] = {
    "id": 7, "topic": "t", "partition": 1, "offset": 2, "reason": "conflict", "status": "open", "redrive_count": 0,
    "created_at": NOW, "source": None, "event_id": None, "event_type": None, "payment_ref": None, "message": "why",
    "delivery_count": 1,
}  # fmt: skip
NOTE: dict[str, Any] = {
    "id": 5, "reason": "conflict", "source": None, "event_type": None, "redrive_id": None, "note": "known",
    "author": "ada", "made_at": NOW, "silent_until": NOW, "letters": 3,
}  # fmt: skip
SETTINGS = Settings(postgres=PostgresSettings(dsn=SecretStr("app"), owner_dsn=SecretStr("owner")))


class Database:
    """A connection that gives each statement its rows; notes what was run, within a transaction or not, and as whom."""

    def __init__(self, **rows: Any) -> None:
        self.rows = {statement("ops", name): found for name, found in rows.items()}
        self.done: list[tuple[str, tuple[Any, ...], int]] = []
        self.within, self.connected_as = 0, ""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.within += 1
        yield
        self.within -= 1

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        await asyncio.sleep(0)
        self.done.append((sql, arguments, self.within))
        found = self.rows.get(sql, [])
        if isinstance(found, Exception):
            raise found
        return found

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for sql, arguments, _ in self.done if sql == statement("ops", name)]

    @property
    def names(self) -> list[str]:
        known = {
            statement("ops", name): name
            for name in (
                "note_action",
                "read_letter",
                "remove_letters",
                "forget_erased",
                "redact_letter",
                "find_copies",
            )
        }
        return [known.get(sql, "other") for sql, *_ in self.done]

    execute = fetch


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    database = Database(
        read_letter=[LETTER], redact_letter=[{"became": "redacted"}], find_copies=[{"id": 8}],
        add_letter_note=[{"id": 5}], end_letter_note=[{"id": 5, "note": "known"}], list_letter_notes=[NOTE],
        list_letters=[LISTED], count_letters=[{"total": 40}], forget_erased="DELETE 0",
    )  # fmt: skip

    @asynccontextmanager
    async def connected(settings: Settings) -> AsyncIterator[Database]:
        assert settings.postgres.dsn is not None
        database.connected_as = settings.postgres.dsn.get_secret_value()
        yield database

    monkeypatch.setattr(endpoints, "load", lambda: SETTINGS)
    monkeypatch.setattr(endpoints, "found", lambda settings: settings)
    monkeypatch.setattr(server, "read", lambda *_: None)
    for module in (dead_letter_commands, erasure_commands, note_commands):
        monkeypatch.setattr(module, "connected", connected)
    yield database
    server.choose(None)


class Console:
    """A console: notes each question, and answers as its test lays down."""

    url = "https://console.example"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}

    def get(self, path: str, /, **query: Any) -> Any:
        self.asked.append(("GET", path, query))
        return self.answers[path]

    def post(self, path: str, /, **body: Any) -> Any:
        self.asked.append(("POST", path, {name: one for name, one in body.items() if one is not None}))
        return self.answers.get(path, {})

    def find(self, path: str, /, **body: Any) -> Any:
        self.asked.append(("POST" if body else "GET", path, body))
        return self.answers.get(path)

    def pages(self, path: str, rows: str, more: str, limit: int, query: dict[str, Any]) -> Any:
        self.asked.append(("GET", path, query | {"limit": limit}))
        return {"total": 40, rows: [LISTED | {"created_at": NOW.isoformat()}], more: None}


@pytest.fixture
def console(database: Database, monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console()
    monkeypatch.setattr(server, "read", lambda *_: console)
    assert database.done == []
    return console


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["dlq", *words])


# --- list ---------------------------------------------------------------------------------------------------------

FILTERS = (
    "--reason", "conflict", "--provider", "stripe", "--payment", "pi_1", "--kind", "charge.updated", "--message",
    "no json", "--since", "2026-01-02", "--until", "2026-01-03", "--id", "4", "--id", "5", "--status", "redriven",
)  # fmt: skip
MEANT = LetterFilter(
    Reason.CONFLICT, "stripe", "pi_1", NOW, NOW + dt.timedelta(days=1), (4, 5), LetterStatus.REDRIVEN,
    message="no json", kind="charge.updated",
)  # fmt: skip


def test_each_filter_of_a_list_stands_in_its_place(database: Database) -> None:
    assert run("list", *FILTERS, "--limit", "9").exit_code == 0
    assert database.of("list_letters") == [(*MEANT.arguments(), 10, None)]
    database.done.clear()
    run("list")
    assert database.of("list_letters") == [(*LetterFilter().arguments(), 101, None)], "without a filter of any status"


def test_a_console_gets_each_filter(console: Console) -> None:
    document = json.loads(run("list", *FILTERS, "--limit", "9", "--json").stdout)
    assert console.asked == [("GET", "/dead-letters", MEANT.document() | {"ids": "4,5", "limit": 9})]
    assert (document["total"], [one["id"] for one in document["dead_letters"]]) == (40, [7])


def test_a_list_says_how_many_fit_beside_those_that_it_shows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: object) -> LetterPage:
        await asyncio.sleep(0)
        return LetterPage(40, (LISTED,), 7)

    assert database.done == []
    monkeypatch.setattr(dead_letter_commands, "read_list", read)
    assert json.loads(run("list", "--limit", "1", "--json").stdout)["total"] == 40
    assert "1 of 40" in run("list", "--limit", "1").stdout


# --- show ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--because", "ticket 7")])
def test_a_letter_is_shown_masked_whatever_reason_is_given(words: tuple[str, ...], database: Database) -> None:
    """The bytes as they came are what --raw asks for, and nothing else does."""
    for as_json in ((), ("--json",)):
        shown = run("show", "7", *words, *as_json)
        assert shown.exit_code == 0
        assert CARD not in shown.stdout
        assert "hidden" not in shown.stdout
    assert database.of("note_action") == []


def test_its_bytes_are_shown_after_it_is_written_down_who_looks(database: Database) -> None:
    assert run("show", "7", "--raw").exit_code == 2
    assert database.done == []
    shown = run("show", "7", "--raw", "--because", " ticket  7 ", "--who", "ada")
    assert CARD in shown.stdout
    assert database.of("note_action") == [("ada", "terminal", "dead_letter.show_raw", "dead letter 7", "ticket 7")]


def test_what_can_not_be_written_down_is_not_shown(database: Database) -> None:
    database.rows[statement("ops", "note_action")] = RatchetError("the role may not write this")
    shown = run("show", "7", "--raw", "--because", "ticket 7", "--who", "ada")
    assert (shown.exit_code, CARD in shown.output) == (1, False)


@pytest.mark.parametrize("words", [(), ("--raw", "--because", "ticket 7")])
def test_a_letter_that_is_not_there_is_a_problem_and_nobody_looked(words: tuple[str, ...], database: Database) -> None:
    database.rows[statement("ops", "read_letter")] = []
    shown = run("show", "7", *words)
    assert (shown.exit_code, "no dead letter 7" in shown.stderr, shown.stdout) == (1, True, "")
    assert database.of("note_action") == []


def test_a_console_is_asked_for_the_bytes_only_with_a_reason(console: Console) -> None:
    assert run("show", "7", "--because", "ticket 7").exit_code == 1, "there is none"
    run("show", "7", "--raw", "--because", "ticket 7")
    assert console.asked == [
        ("GET", "/dead-letters/7", {}),
        ("POST", "/dead-letters/7/unmask", {"because": "ticket 7"}),
    ]


@pytest.mark.parametrize(("key", "encoded"), [(None, None), (b"", ""), (b"\xff\x00", "/wA=")])
def test_the_bytes_of_a_letter_come_whole(key: bytes | None, encoded: str | None) -> None:
    """An empty key is no missing one: the record would go to another partition."""
    odd = LETTER | {"key": key, "header_names": [b"\xfe"], "header_values": [b"\xff\x00"]}
    found = raw_document(odd)
    assert found["key_base64"] == encoded
    assert [[text.encode("latin-1") for text in pair] for pair in found["headers"]] == [[b"\xfe", b"\xff\x00"]]


def test_beside_what_is_masked_nothing_of_a_letter_is_left_in_clear() -> None:
    assert set(letter_document(LETTER)) == {"id", "reason", "key", "payload", "headers"}
    assert set(raw_document(LETTER)) == {"id", "reason", "key_base64", "value_base64", "headers"}


def test_what_the_database_has_as_json_is_json_in_an_answer() -> None:
    row = {"facts": '[{"a": 1}]', "metadata": '{"b": 2}', "flags": ["x"], "note": "[1]", "hash": b"\xff"}
    assert plain(row) == {"facts": [{"a": 1}], "metadata": {"b": 2}, "flags": ["x"], "note": "[1]", "hash": "ff"}


# --- redact, retain -----------------------------------------------------------------------------------------------


def test_a_payload_is_erased_by_whom_from_where_and_why(database: Database) -> None:
    done = run("redact", "7", "--because", " erase  it ", "--yes", "--who", "ada", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"redacted": 7, "copies": [8]})
    assert database.of("redact_letter") == [(7, "ada", "terminal", "erase it")]
    assert "the same bytes are in 8" in run("redact", "7", "--because", "x", "--yes").stdout


@pytest.mark.parametrize("became", REFUSALS)
async def test_what_was_not_erased_is_an_error(became: str) -> None:
    database = Database(redact_letter=[{"became": became}])
    with pytest.raises(RatchetError, match="dead letter 7"):
        await redact(database, 7, Operator("ada"), "why")  # type: ignore[arg-type]
    assert database.names == ["redact_letter"]


async def test_copies_are_named_with_what_was_erased() -> None:
    database = Database(redact_letter=[{"became": "redacted"}], find_copies=[{"id": 8}, {"id": 9}])
    assert await redact(database, 7, Operator("ada"), "why") == Redacted(7, (8, 9))  # type: ignore[arg-type]


def test_nothing_is_erased_without_consent(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("redact", "7", "--because", "x").exit_code == 2
    assert run("redact", "7", "--because", " ", "--yes").exit_code == 2
    monkeypatch.setattr(erasure_commands, "need_consent", lambda **_: None)
    monkeypatch.setattr(erasure_commands, "agreed", lambda *_: False)
    assert run("redact", "7", "--because", "x").exit_code == 1
    assert run("retain", "--days", "30").exit_code == 1
    assert database.done == []


def test_a_console_erases_with_the_reason(console: Console) -> None:
    console.answers["/dead-letters/7/redact"] = {"id": 7, "copies": [8]}
    done = run("redact", "7", "--because", " erase  it ", "--yes", "--json")
    assert json.loads(done.stdout) == {"redacted": 7, "copies": [8]}
    assert console.asked == [("POST", "/dead-letters/7/redact", {"because": "erase it"})]


def test_old_letters_go_as_the_owner_and_it_is_written_down_first(database: Database) -> None:
    """No transaction takes the removal back: who ordered it is there although it ends halfway."""
    removed = statement("ops", "remove_letters")
    database.rows[removed] = RatchetError("Postgres went away")
    assert run("retain", "--days", "30", "--yes", "--who", "ada").exit_code == 1
    assert (database.connected_as, database.names) == ("owner", ["note_action", "remove_letters"])
    [(who, _, action, target, _)] = database.of("note_action")
    assert (who, action, target) == ("ada", "dead_letter.retain", "closed ones older than 30 days")


def test_notes_of_what_was_erased_stay_for_as_long_as_the_topic_may_hold_it(database: Database) -> None:
    before = dt.datetime.now(dt.UTC)
    assert run("retain", "--days", "30", "--yes").exit_code == 0
    [(letters, _)], [(notes, _)] = database.of("remove_letters"), database.of("forget_erased")
    days = SETTINGS.redrive.erased_letters_days
    assert dt.timedelta() <= letters - (before - dt.timedelta(days=30)) < dt.timedelta(minutes=1)
    assert dt.timedelta() <= notes - (before - dt.timedelta(days=days)) < dt.timedelta(minutes=1)


@pytest.mark.parametrize(("days", "status"), [("0", 2), ("6", 2), ("7", 0)])
def test_letters_that_closed_just_now_stay(days: str, status: int, database: Database) -> None:
    assert run("retain", "--days", days, "--yes").exit_code == status
    assert bool(database.done) is (status == 0)


# --- notes --------------------------------------------------------------------------------------------------------

UNTIL = (dt.datetime.now(dt.UTC) + dt.timedelta(days=3)).replace(microsecond=0)
GROUP = ("--reason", "conflict", "--source", "stripe/shop", "--kind", "charge.updated")


def test_each_word_of_a_note_stands_in_its_place(database: Database) -> None:
    ended = ("--until", UNTIL.isoformat(), "--who", "ada")
    assert run("note", "ticket 7", *GROUP, *ended).exit_code == 0
    assert run("note", "ticket 8", "--redrive", "9", *ended).exit_code == 0
    assert database.of("add_letter_note") == [
        ("conflict", "stripe/shop", "charge.updated", None, "ticket 7", "ada", UNTIL),
        (None, None, None, 9, "ticket 8", "ada", UNTIL),
    ]
    assert {within for _, _, within in database.done} == {1}, "it is written down with it"
    assert [target for _, _, _, target, _ in database.of("note_action")] == [
        f"dead letters conflict stripe/shop charge.updated, until {UNTIL.isoformat()}",
        f"redrive 9, until {UNTIL.isoformat()}",
    ]


def test_a_console_gets_each_word_of_a_note(console: Console) -> None:
    console.answers["/notes"] = {"note": 5}
    assert run("note", "ticket 7", *GROUP, "--until", UNTIL.isoformat()).exit_code == 0
    run("note", "ticket 8", "--redrive", "9", "--until", UNTIL.isoformat())
    group = {"reason": "conflict", "source": "stripe/shop", "kind": "charge.updated"}
    assert console.asked == [
        ("POST", "/notes", {"note": "ticket 7", "until": UNTIL.isoformat()} | group),
        ("POST", "/notes", {"note": "ticket 8", "until": UNTIL.isoformat(), "redrive": 9}),
    ]


@pytest.mark.parametrize(("found", "status"), [([{"id": 5, "note": "known"}], 0), ([], 1)])
def test_a_note_that_does_not_stand_is_not_ended(found: list[Any], status: int, database: Database) -> None:
    """Who believes that it has ended waits for an alert that stays silent."""
    database.rows[statement("ops", "end_letter_note")] = found
    ended = run("end-note", "5", "--who", "ada")
    assert (ended.exit_code, "no note 5 stands" in ended.stderr) == (status, bool(status))
    assert database.of("end_letter_note") == [(5, "ada")]
    noted = [("ada", "terminal", "dead_letter.end_note", "note 5", "known")]
    assert database.of("note_action") == ([] if status else noted)


def test_notes_that_stand_are_listed_here_and_by_a_console(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = {name: NOTE[name].isoformat() for name in ("made_at", "silent_until")}
    console.answers["/notes"] = {"notes": [NOTE | moments]}
    asked = json.loads(run("notes", "--json").stdout)
    monkeypatch.setattr(server, "read", lambda *_: None)
    assert asked == json.loads(run("notes", "--json").stdout)
    assert run("end-note", "5").exit_code == 0
    monkeypatch.setattr(server, "read", lambda *_: console)
    assert run("end-note", "5").exit_code == 0
    assert [one[:2] for one in console.asked] == [("GET", "/notes"), ("POST", "/notes/5/end")]


@pytest.mark.parametrize("other", ["reason", "source", "event_type"])
def test_a_note_speaks_of_one_group_alone(other: str) -> None:
    """Another group that looks as if somebody knew of it is looked at by nobody."""
    group = {"reason": "conflict", "source": "stripe", "event_type": "charge.updated"}
    note = Note(**NOTE | group)
    assert note.is_of(**group)
    assert not note.is_of(**group | {other: "another"})


@pytest.mark.parametrize(
    ("subject", "until"),
    [
        (Subject("conflict"), -1),
        (Subject("conflict"), 0),
        (Subject("conflict"), letter_notes.DAYS_MAX * 86_400 + 1),
        (Subject("conflict", redrive_id=9), 60),
        (Subject(), 60),
        (Subject(source="stripe", redrive_id=9), 60),
        (Subject(event_type="charge.updated", redrive_id=9), 60),
    ],
    ids=["over", "now", "too long", "both", "neither", "a source", "a kind"],
)
def test_a_note_that_can_not_be_meant_is_refused(subject: Subject, until: int) -> None:
    with pytest.raises(SettingsError):
        letter_notes.check(subject, NOW + dt.timedelta(seconds=until), NOW)
    longest = NOW + dt.timedelta(days=letter_notes.DAYS_MAX)
    assert letter_notes.check(Subject("conflict"), longest, NOW) == longest


# --- who asks -----------------------------------------------------------------------------------------------------


def test_who_is_named_goes_before_who_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_OPERATOR", "the-bot")
    assert (dlq_options.asker("ada"), dlq_options.asker(None)) == ("ada", "the-bot")


def test_a_console_takes_nobody_s_word_for_who_asks(console: Console) -> None:
    """Its token says it: another name would stand in no audit, and who gave it would believe that it does."""
    for words in (("redact", "7", "--because", "x", "--yes"), ("end-note", "5"), ("show", "7")):
        named = run(*words, "--who", "ada")
        assert (named.exit_code, "the token says who asks" in named.stderr) == (2, True)
    assert console.asked == []


@pytest.mark.parametrize("here", ["stdin", "stdout"])
def test_nobody_is_asked_where_one_end_is_no_terminal(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question into a file would be answered by whatever a script has on its standard input."""
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda found=stream == here: found, raising=False)
    with pytest.raises(SettingsError, match="--yes"):
        dlq_options.need_consent(yes=False, as_json=False)
