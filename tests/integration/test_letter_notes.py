"""Notes on dead letters: what one silences and until when, who wrote it, and where it shows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from pydantic import SecretStr
from relay_rows import add_letter

from ops import letter_notes
from ops.database import fetch
from ops.letter_notes import Subject
from ops.operators import Operator
from producers.relay.sampling import sample
from runtime import metrics
from runtime.postgres import open_pool
from runtime.settings import PostgresSettings
from schemas.errors import RatchetError
from tests.integration.console_harness import Browser, console_settings, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from runtime.postgres import Pool
    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = pytest.mark.integration

ADA = Operator("ada", "console, 10.0.0.1")
ADYEN = Subject("undecodable", "adyen/acme", "CAPTURE")
REDRIVEN = """
insert into redrives (requested_by, filter, rate_per_second, policy, failure_ratio_max, failures_min, forced, matched,
    selected)
values ('ada', '{}', 50, 'keep_going', 0.5, 10, false, 1, 1) returning id
"""


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    opened = await open_pool(PostgresSettings(dsn=SecretStr(database.dsn)), role="relay", connections=1)
    yield opened
    await opened.close()


def tomorrow() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


async def figures(pool: Pool, reason: str = "undecodable") -> tuple[float | None, float | None]:
    """Return what the alert sees of a reason, and what notes speak of."""
    await sample(pool, 1000)
    values = (
        metrics.REGISTRY.get_sample_value(f"ratchet_dead_letters_{name}", {"reason": reason})
        for name in ("open", "noted")
    )
    return next(values), next(values)


async def make_group(connection: Any, count: int = 3, source: str | None = "adyen/acme") -> None:
    for _ in range(count):
        await add_letter(connection, source=source, event_type="CAPTURE")


class TestWhatItSilences:
    async def test_its_group_alone_until_it_ends(self, pool: Pool) -> None:
        async with pool.acquire() as connection:
            await make_group(connection)
            await make_group(connection, 2, "adyen/other")
            assert await figures_of(pool, connection) == (5, 0)
            number = await letter_notes.add(connection, ADA, ADYEN, "known, ticket 123", tomorrow())
            assert await figures_of(pool, connection) == (2, 3)
            counts = (await fetch(connection, "read_counts"))[0]
            assert (counts["dead_letters_open"], counts["dead_letters_noted"]) == (5, 3)
            await make_group(connection, 1)
            assert await figures_of(pool, connection) == (2, 4), "what comes after it is of the group too"
            await letter_notes.end(connection, ADA, number)
            assert await figures_of(pool, connection) == (6, 0)
            with pytest.raises(RatchetError, match="no note"):
                await letter_notes.end(connection, ADA, number)

    async def test_its_time_ends_by_itself(self, pool: Pool, database: Database) -> None:
        async with pool.acquire() as connection:
            await make_group(connection)
            await letter_notes.add(connection, ADA, ADYEN, "known", tomorrow())
            owner = await asyncpg.connect(database.owner_dsn)
            await owner.execute(
                "update dead_letter_notes set made_at = now() - interval '2 d', silent_until = now() - interval '1 s'"
            )
            await owner.close()
            assert await figures_of(pool, connection) == (3, 0)
            assert await letter_notes.list_notes(connection, 10) == ()

    async def test_letters_without_source_and_kind_are_a_group_too(self, pool: Pool) -> None:
        async with pool.acquire() as connection:
            await add_letter(connection)
            await make_group(connection)
            await letter_notes.add(connection, ADA, Subject("undecodable"), "known", tomorrow())
            assert await figures_of(pool, connection) == (3, 1)

    async def test_two_notes_on_one_group_count_it_once(self, pool: Pool) -> None:
        async with pool.acquire() as connection:
            await make_group(connection)
            for text in ("known", "still known"):
                await letter_notes.add(connection, ADA, ADYEN, text, tomorrow())
            assert await figures_of(pool, connection) == (0, 3)

    async def test_what_came_back_from_a_redrive(self, pool: Pool) -> None:
        async with pool.acquire() as connection:
            redrive_id = await connection.fetchval(REDRIVEN)
            digest = b"d" * 32
            old = await add_letter(connection, digest=digest, status="redriven", redrive_count=0)
            await connection.execute(
                "insert into redrive_messages (redrive_id, dead_letter_id, would, status, claimed_at, published_at)"
                " values ($1, $2, 'apply', 'published', now(), now())",
                redrive_id,
                old,
            )
            await add_letter(connection, digest=digest, redrive_count=1)
            await add_letter(connection)
            await letter_notes.add(connection, ADA, Subject(redrive_id=redrive_id), "known", tomorrow())
            assert await figures_of(pool, connection) == (1, 1)
            (note,) = await letter_notes.list_notes(connection, 10, redrive_id)
            assert (note.letters, note.redrive_id, note.author) == (1, redrive_id, "ada")


async def figures_of(pool: Pool, connection: Any) -> tuple[float | None, float | None]:
    """Sample on the one connection that the pool has: it is lent to the sampler meanwhile."""

    class Lent:
        def acquire(self) -> Any:
            return self

        async def __aenter__(self) -> Any:
            return connection

        async def __aexit__(self, *_: object) -> None:
            return None

    assert pool.get_size() == 1
    return await figures(Lent())  # type: ignore[arg-type] # what `sample` needs of a pool


async def test_it_stands_in_the_audit_with_its_author(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await make_group(connection, 1)
        end = tomorrow()
        number = await letter_notes.add(connection, ADA, ADYEN, "  known,  ticket 123 ", end)
        await letter_notes.end(connection, Operator("bob"), number)
        rows = await connection.fetch("select who, action, target, because, origin from operator_actions order by id")
    until = end.isoformat(timespec="seconds")
    assert [tuple(row) for row in rows] == [
        ("ada", "dead_letter.note", f"dead letters undecodable adyen/acme CAPTURE, until {until}",
         "known, ticket 123", "console, 10.0.0.1"),
        ("bob", "dead_letter.end_note", f"note {number}", "known, ticket 123", "terminal"),
    ]  # fmt: skip


async def test_there_has_to_be_something_to_note(pool: Pool) -> None:
    async with pool.acquire() as connection:
        for subject in (ADYEN, Subject(redrive_id=999)):
            with pytest.raises(RatchetError, match="nothing to note"):
                await letter_notes.add(connection, ADA, subject, "known", tomorrow())
        assert await connection.fetchval("select count(*) from operator_actions") == 0


async def test_the_console_takes_and_shows_one(stack: Endpoints, database: Database, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database.dsn)
    await make_group(connection, 2)
    async with (
        serving(console_settings(tmp_path, stack.kafka, database.dsn)) as console,
        Browser(console) as browser,
    ):
        query = "reason=undecodable&source=adyen%2Facme&kind=CAPTURE"
        _, page = await browser.get("/dead-letters")
        assert query.replace("&", "&amp;") in page
        about = {"reason": "undecodable", "source": "adyen/acme", "kind": "CAPTURE"}
        csrf = await browser.token(f"/notes?{query}")
        status, _ = await browser.post("/notes", csrf=csrf, note="<b>ticket</b>", until="yesterday", **about)
        assert status == 422
        status, _ = await browser.post("/notes", csrf=csrf, note="<b>ticket</b>", until=tomorrow().isoformat(), **about)
        assert (status, browser.headers["location"]) == (303, "/notes")
        for path in ("/notes", "/dead-letters"):
            _, page = await browser.get(path)
            assert "&lt;b&gt;ticket&lt;/b&gt;" in page, path
        number = await connection.fetchval("select id from dead_letter_notes")
        assert (await browser.post(f"/notes/{number}/end", csrf=csrf))[0] == 303
        assert "No note stands" in (await browser.get("/notes"))[1]
    await connection.close()
