"""Commands that ask a console (`--server`), without a database of their own: what they print, and what they leave."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import structlog.testing
from typer.testing import CliRunner

from ops import people, tokens
from ops.cli import app
from ops.operators import Operator
from ops.passwords import hashed
from ops.people import PersonRole
from tests.integration import console_harness
from tests.integration.console_harness import (
    CARD,
    PASSWORD,
    PAYMENT_ID,
    Console,
    add_applicable,
    add_letter,
    console_settings,
    serving,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

place, owner, letters = console_harness.place, console_harness.owner, console_harness.letters
"""The fixtures of the console's tests: under these names pytest finds them."""

BOSS = Operator("boss@host")


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
async def console(
    stack: Endpoints, place: Database, letters: list[int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    settings = console_settings(
        tmp_path_factory.mktemp("console"), stack.kafka, place.dsn, password=PASSWORD, rows_max=1
    )
    async with serving(settings) as found:
        yield found


class Laptop:
    """A machine that reaches the console and nothing else."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    async def run(self, *words: str, url: str | None = None, environment: dict[str, str] | None = None) -> Ran:
        """Run a command here, as a process of its own would: the console that it asks is a real one."""
        asked = ("--server", url or self.url, "--token-file", str(self.folder / "token")) if environment is None else ()
        result = await asyncio.to_thread(CliRunner().invoke, app, [*asked, *words], env=environment or {})
        return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
async def terminal(place: Database) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(place.dsn)
    yield connection
    await connection.execute("delete from operators")
    await connection.close()


async def laptop_of(terminal: Any, console: Console, folder: Path, role: PersonRole) -> Laptop:
    await people.add(terminal, BOSS, f"{role}-1", role, 1)
    await terminal.execute("update operators set one_time_until = null, password_hash = $1", hashed("x" * 16))
    issued = await tokens.issue(terminal, BOSS, f"{role}-1", role, 7)
    (folder / "token").write_text(f"{issued.token}\n")
    return Laptop(console.url, folder)


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Take away what the environment names, and the console's log, which would stand among what commands print."""
    for name in [one for one in os.environ if one.startswith("RATCHET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
async def laptop(terminal: Any, console: Console, tmp_path: Path) -> Laptop:
    return await laptop_of(terminal, console, tmp_path, PersonRole.ADMIN)


async def test_what_is_read(laptop: Laptop, owner: Any, letters: list[int]) -> None:
    status = await laptop.run("status", "--json")
    listed = await laptop.run("dlq", "list", "--json", "--limit", "2")
    one, gone = await laptop.run("dlq", "show", str(letters[0])), await laptop.run("dlq", "show", "999999")
    found = await laptop.run("payment", "list", "--provider", "stripe", "--json")
    payment, nobody = await laptop.run("payment", "show", "ORD-1", "--json"), await laptop.run("payment", "show", "a/b")
    assert set(status.document) >= {"roles", "lag", "counts", "unknown"}, status.err
    total = await owner.fetchval("select count(*) from dead_letters")
    assert listed.document["total"] == total
    newest = await owner.fetch("select id from dead_letters order by id desc limit 2")
    assert [row["id"] for row in listed.document["dead_letters"]] == [row["id"] for row in newest]
    assert "unknown_kind" in one.out
    assert CARD not in one.out
    assert (gone.status, gone.out) == (1, "")
    assert "no dead letter 999999" in gone.err
    assert [row["id"] for row in found.document["payments"]] == [str(PAYMENT_ID)]
    assert payment.document["payment"]["id"] == str(PAYMENT_ID)
    assert len(payment.document["timeline"]) == 4
    assert (nobody.status, nobody.err) == (1, "ratchet: no payment 'a/b'\n")
    shown = await laptop.run("payment", "show", "ch_1")
    assert "12.50 EUR" in shown.out
    assert "created -> captured" in shown.out


async def test_the_json_is_the_one_that_a_database_gives(
    laptop: Laptop, stack: Endpoints, place: Database, letters: list[int]
) -> None:
    own = {"RATCHET_KAFKA__BOOTSTRAP": stack.kafka, "RATCHET_POSTGRES__DSN": place.dsn}
    for words in (
        ("payment", "show", "ch_1", "--json"),
        ("payment", "list", "--json"),
        ("dlq", "show", str(letters[0]), "--json"),
        ("dlq", "redrives", "--json"),
        ("audit", "actions", "--json", "--limit", "3"),
        ("operator", "list", "--json"),
        ("operator", "tokens", "--json"),
    ):
        here = await laptop.run(*words, environment=own)
        asked = await laptop.run(*words)
        assert (asked.status, here.status) == (0, 0), (words, asked.err, here.err)
        assert asked.document == here.document, words


async def test_a_payload_in_clear_is_written_down(laptop: Laptop, owner: Any, letters: list[int]) -> None:
    path = ("dlq", "show", str(letters[1]), "--raw", "--json")
    assert (await laptop.run(*path)).status == 2
    raw = await laptop.run(*path, "--because", "ticket 9")
    assert raw.document["value_base64"] == "/wA="
    row = await owner.fetchrow("select * from operator_actions where action = 'dead_letter.show_raw'")
    assert (row["who"], row["origin"], row["because"]) == ("admin-1", "admin, 127.0.0.1", "ticket 9")


async def test_a_redrive_of_what_would_be_applied(laptop: Laptop, owner: Any) -> None:
    letter_id, other = await add_applicable(owner, "data_rejected"), await add_letter(owner, "data_rejected")
    choice = ("--id", str(letter_id), "--id", str(other))
    seen = await laptop.run("dlq", "redrive", *choice, "--dry-run", "--json")
    assert seen.document["would"]["apply"] == 1, seen.err
    assert {one["id"] for one in seen.document["messages"]} == {letter_id, other}
    going = asyncio.create_task(
        laptop.run("dlq", "redrive", *choice, "--yes", "--because", "mended", "--json")
    )  # a relay would carry it out
    while not (row := await owner.fetchrow("select id, selected from redrives where requested_by = 'admin-1'")):  # noqa: ASYNC110 - a row of another process
        await asyncio.sleep(0.05)
    assert row["selected"] == 1
    await owner.execute(
        "update redrives set status = 'done', published = 1, started_at = now(), ended_at = now() where id = $1",
        row["id"],
    )
    ended = await going
    assert (ended.status, ended.document["redrive_id"], ended.document["published"]) == (0, row["id"], 1), ended.err
    listed = await laptop.run("dlq", "redrives", "--json")
    assert listed.document["redrives"][0]["status"] == "done"


async def test_a_list_is_read_by_the_dispatcher_and_followed(laptop: Laptop, owner: Any) -> None:
    words = ("recall", "--provider", "stripe", "--since", "2026-11-01", "--because", "ticket 7")

    async def ends(change: str, *more: str) -> Ran:
        """Run the command; once its order is there, end it as a dispatcher would."""
        going = asyncio.create_task(laptop.run(*words, *more, "--json"))
        while await owner.execute(f"update recall_orders set {change} where status = 'queued'") == "UPDATE 0":  # noqa: ASYNC110 - a row of another process
            await asyncio.sleep(0.05)
        return await going

    over = "started_at = now(), ended_at = now(), pages = 2, known = 7"
    done = await ends(
        f"status = 'done', {over}, new = 1, kinds = '{{\"charge.succeeded\": 1}}', first_at = now(), last_at = now()",
        "--dry-run",
    )
    assert done.status == 0, done.err
    found = {name: done.document[name] for name in ("source", "dry_run", "pages", "known", "new", "kinds", "status")}
    assert found == {
        "source": "stripe", "dry_run": True, "pages": 2, "known": 7, "new": 1, "kinds": {"charge.succeeded": 1},
        "status": "done",
    }  # fmt: skip
    failed = await ends(f"status = 'failed', error = 'set API_KEY of RATCHET_PROVIDERS__STRIPE', {over}")
    assert (failed.status, failed.document["status"]) == (1, "failed")
    assert "set API_KEY of RATCHET_PROVIDERS__STRIPE" in failed.err
    rows = await owner.fetch("select who, because from operator_actions where action = 'recall.start' order by id")
    assert [tuple(row) for row in rows] == [("admin-1", "ticket 7")] * 2
    refused = await laptop.run("recall", "--provider", "adyen", "--since", "2026-11-01")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "adyen has no list that could be asked" in refused.err


async def test_letters_are_given_up_by_a_choice(laptop: Laptop, owner: Any) -> None:
    chosen = [await add_letter(owner, "conflict") for _ in range(3)]
    done = await laptop.run("dlq", "discard", "--reason", "conflict", "--because", "a test's", "--yes", "--json")
    assert done.document["discarded"] == 3, done.err
    assert {await status_of(owner, one) for one in chosen} == {"discarded"}
    assert (await laptop.run("dlq", "redact", str(chosen[0]), "--because", "erase", "--yes")).status == 0
    assert await owner.fetchval("select redacted_at is not null from dead_letters where id = $1", chosen[0])


async def test_people_and_tokens(laptop: Laptop, terminal: Any) -> None:
    await people.add(terminal, BOSS, "eve", PersonRole.VIEWER, 1)
    token = await tokens.issue(terminal, BOSS, "eve", PersonRole.VIEWER, 1)
    revoked = await laptop.run("operator", "revoke", str(token.id), "--json")
    assert revoked.document == {"revoked": token.id, "name": "eve"}
    assert (await laptop.run("operator", "remove", "eve", "--because", "left")).status == 0
    listed = await laptop.run("operator", "list", "--json")
    assert [one["name"] for one in listed.document["operators"]] == ["admin-1"]


async def test_a_viewer_is_refused_in_a_sentence(
    terminal: Any, console: Console, tmp_path: Path, owner: Any, letters: list[int]
) -> None:
    laptop = await laptop_of(terminal, console, tmp_path, PersonRole.VIEWER)
    refused = await laptop.run("dlq", "discard", "--id", str(letters[0]), "--because", "x", "--yes")
    assert (refused.status, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert "needs the role operator" in refused.err
    assert await status_of(owner, letters[0]) == "open"


async def test_who_has_no_token_or_no_console(laptop: Laptop, terminal: Any, console: Console) -> None:
    no_console = await laptop.run("dlq", "list", url="http://127.0.0.1:1")
    assert (no_console.status, no_console.err.count("\n")) == (1, 1)
    assert "can't be asked" in no_console.err
    by_another = await laptop.run("dlq", "stop", "1", "--who", "ada")
    assert (by_another.status, "the token says who asks" in by_another.err) == (2, True)
    await terminal.execute("delete from operators")
    refused = await laptop.run("dlq", "list")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "ratchet operator token" in refused.err
    assert tokens.PREFIX not in refused.err
