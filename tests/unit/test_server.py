"""`--server` without a console: which addresses and tokens are taken, and which commands can't be asked there."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from contextvars import copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from aiohttp import web
from local_http import served
from typer.testing import CliRunner

from ops import server
from ops.cli import app
from ops.console.choosing import choose
from ops.dlq_filters import LetterFilter
from schemas.dead_letter import Reason
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

TOKEN = "ratchet_abc"
BY_SERVER = {
    "version", "status", "payment show", "payment list", "dlq list", "dlq show", "dlq redrive", "dlq stop",
    "dlq redrives", "dlq discard", "dlq redact", "audit actions", "operator list", "operator tokens",
    "operator revoke", "operator remove", "dlq note", "dlq notes", "dlq end-note", "recall",
}  # fmt: skip


@pytest.fixture
def token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("RATCHET_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.mark.parametrize("url", ["https://ratchet.example", "https://ratchet.example:8443/", "http://127.0.0.1:8081"])
def test_an_address_is_taken(token_file: Path, url: str) -> None:
    found = server.read(url, token_file)
    assert found == server.RemoteConsole(url.rstrip("/"), TOKEN)
    assert TOKEN not in repr(found)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://ratchet.example", "in clear"),
        ("ratchet.example", "address alone"),
        ("https://ratchet.example/admin/v1", "address alone"),
        ("https://ada:secret@ratchet.example", "address alone"),
        ("https://ratchet.example:port", "address alone"),
        ("ftp://ratchet.example", "address alone"),
    ],
)
def test_an_address_that_cannot_be_meant(token_file: Path, url: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        server.read(url, token_file)


@pytest.mark.parametrize(
    "text", ["", "secret", "ratchet_" + "x" * 200, "ratchet_a b", "ratchet_\N{LATIN SMALL LETTER E WITH ACUTE}"]
)
def test_a_file_without_a_token(token_file: Path, text: str) -> None:
    token_file.write_text(text)
    with pytest.raises(SettingsError, match="--token-file") as caught:
        server.read("https://ratchet.example", token_file)
    assert "secret" not in str(caught.value).replace(str(token_file), "")


def test_an_address_that_cannot_be_meant_ends_the_command_before_it_begins(token_file: Path) -> None:
    """Else it would do in the database that is configured here what was meant for another one."""
    result = CliRunner().invoke(app, ["--server", "http://ratchet.example", "--token-file", str(token_file), "version"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "in clear" in result.stderr


def test_both_or_neither(token_file: Path) -> None:
    assert server.read(None, None) is None
    for url, path in (("https://a.example", None), (None, token_file)):
        with pytest.raises(SettingsError, match="belong together"):
            server.read(url, path)
    with pytest.raises(SettingsError, match="can't be read"):
        server.read("https://a.example", token_file.parent / "nothing")


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    context = typer.Context(group)
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        if hasattr(one, "commands"):
            yield from commands(one, f"{path}{name} ")
        else:
            yield f"{path}{name}", one


def test_every_command_is_asked_there_or_says_that_it_can_not_be(token_file: Path) -> None:
    """The commands by name: a new one is either marked, or refuses by itself."""
    asked = set()
    for name, one in commands(typer.main.get_command(app)):
        function = one.callback
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if getattr(function, server.MARK, False):
            asked.add(name)
    assert asked == BY_SERVER


@pytest.mark.parametrize(
    "words",
    [("doctor",), ("up",), ("migrate", "up"), ("audit", "verify"), ("dlq", "rebuild"), ("dlq", "retain", "--days", "9"),
     ("operator", "add", "ada", "--role", "viewer"), ("operator", "token", "ada", "--role", "viewer"),
     ("ingress",), ("schema", "export", "x")],
)  # fmt: skip
def test_a_command_that_can_not_be_asked_there_says_so(token_file: Path, words: tuple[str, ...]) -> None:
    asked = "--server", "http://127.0.0.1:1", "--token-file", str(token_file)
    result = copy_context().run(CliRunner().invoke, app, [*asked, *words])  # the choice of a console ends with it
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert "without --server" in result.stderr


@pytest.mark.parametrize(
    ("status", "document", "error", "expected"),
    [
        (422, {"error": "unprocessable", "message": "since: x is no time"}, SettingsError, "since: x is no time"),
        (409, {"title": "Conflict", "detail": "it is not open"}, RatchetError, "it is not open"),
        (503, {"error": "unavailable", "message": "Postgres is away"}, UnavailableError, "Postgres is away"),
        (200, None, RatchetError, "no console"),
        (302, None, RatchetError, "no console"),
        (502, {"message": 7}, RatchetError, "no console"),
    ],
)
def test_what_a_refusal_becomes(
    monkeypatch: pytest.MonkeyPatch, status: int, document: Any, error: type[RatchetError], expected: str
) -> None:
    async def answered(*_: object) -> Any:
        return HTTPStatus(status), document

    monkeypatch.setattr(server, "_ask", answered)
    with pytest.raises(error, match=expected) as caught:
        server.RemoteConsole("https://a.example", TOKEN).get("/status")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "filters",
    [
        LetterFilter(ids=(7, 8)),
        LetterFilter(reason=Reason.ORPHAN, provider="stripe", payment="pi_1", message="x", kind="charge.x", limit=5),
        LetterFilter(since=dt.datetime(2026, 11, 1, tzinfo=dt.UTC), until=dt.datetime(2026, 11, 2, tzinfo=dt.UTC)),
    ],
)
def test_a_choice_means_the_same_there(filters: LetterFilter) -> None:
    sent = {name: str(value) for name, value in server.filter_fields(filters).items()}
    assert choose(sent).filters == filters


def test_a_choice_of_no_letter_is_none_there_either() -> None:
    """An empty text would be no filter, and mean all of them."""
    sent = server.filter_fields(LetterFilter(ids=()))
    assert choose(sent).filters.ids == (0,), "no letter has this number"


class Pages:
    """A console that has `there` rows, and gives at most 3 at once."""

    def __init__(self, there: int) -> None:
        self.there = there
        self.asked: list[dict[str, Any]] = []

    async def answer(self, _server: Any, _method: str, _path: str, query: dict[str, Any], _body: Any) -> Any:
        self.asked.append(query)
        begin = query["before"] or 0
        rows = list(range(begin, min(self.there, begin + min(3, query["limit"]))))
        end = rows[-1] + 1 if rows and rows[-1] + 1 < self.there else None
        return HTTPStatus.OK, {"total": self.there, "rows": rows, "before": end}


@pytest.mark.parametrize(
    ("there", "limit", "found", "before", "asked"),
    [
        (8, 5, 5, 5, [5, 2]),
        (8, 100, 8, None, [100, 97, 94]),
        (3, 3, 3, None, [3]),
        (0, 5, 0, None, [5]),
        (8, 2, 2, 2, [2]),
    ],
)
def test_a_listing_goes_on_to_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, *, there: int, limit: int, found: int, before: int | None, asked: list[int]
) -> None:
    pages = Pages(there)
    monkeypatch.setattr(server, "_ask", pages.answer)
    whole = server.RemoteConsole("https://a.example", TOKEN).pages(
        "/x", "rows", "before", limit, {"provider": "stripe"}
    )
    assert (whole["rows"], whole["before"], whole["total"]) == (list(range(found)), before, there)
    assert [query["limit"] for query in pages.asked] == asked
    assert {query["provider"] for query in pages.asked} == {"stripe"}


async def ask(url: str, method: str = "GET", **body: Any) -> Any:
    return await server._ask(server.RemoteConsole(url, TOKEN), method, "/status", {}, body or None)


async def test_what_a_console_answers_is_bounded(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_OPS__SERVER_ANSWER_BYTES_MAX", "1000")
    monkeypatch.setenv("RATCHET_OPS__SERVER_TIMEOUT_SECONDS", "0.1")
    reached: list[str] = []
    begun, application = asyncio.Event(), web.Application()

    async def answer(request: web.Request) -> web.StreamResponse:
        reached.append(request.headers.get("authorization", ""))
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"a": "')
        if request.method == "POST":
            begun.set()
            await asyncio.sleep(60)
        await response.write(b"x" * 2000)
        return response

    application.router.add_route("*", "/admin/v1/status", answer)
    async with served(application, shutdown_timeout=0.01) as url:
        with pytest.raises(RatchetError, match="SERVER_ANSWER_BYTES_MAX"):
            await ask(url)
        with pytest.raises(UnavailableError, match=r"within 0\.1 s"):
            await ask(url, "POST", because="x")
        assert begun.is_set()
    assert reached == [f"Bearer {TOKEN}"] * 2


async def test_a_token_goes_to_no_other_console(token_file: Path) -> None:
    reached: list[str] = []
    application = web.Application()

    async def answer(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(status=307, headers={"location": "/elsewhere"})

    application.router.add_route("*", "/{path:.*}", answer)
    async with served(application) as url:
        for method in ("GET", "POST"):
            assert (await ask(url, method, because="x"))[0] == 307
    assert reached == ["/admin/v1/status"] * 2


def test_another_good_answer_than_the_console_s_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(*_: object) -> Any:
        return HTTPStatus.ACCEPTED, {"given_up": 3}

    monkeypatch.setattr(server, "_ask", answered)
    with pytest.raises(RatchetError, match="no console"):
        server.RemoteConsole("https://a.example", TOKEN).post("/dead-letters/discard", because="x")
