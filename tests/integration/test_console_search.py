"""Searching payments and dead letters in the console: every page to the end, in the order of time, and as a file."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import console_harness
from tests.integration.console_harness import CARD, Browser, Console, add_letter, console_settings, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

place, owner, letters = console_harness.place, console_harness.owner, console_harness.letters
"""The fixtures of the console's tests: under these names pytest finds them."""

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
MANY = """
insert into payments (id, provider, account, provider_ref, client, reference, status, refund_status, dispute_status,
    currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid, created_at,
    updated_at)
select
    case number when 1 then 'ffffffff-ffff-4fff-bfff-ffffffffffff'::uuid else gen_random_uuid() end,
    case number % 2 when 0 then 'adyen' else 'stripe' end, '', 'p_' || number, 'shop', 'ORD-' || number,
    case number % 5 when 0 then 'failed' else 'captured' end, 'none', case number when 7 then 'open' else 'none' end,
    'EUR', 1000 + number, 1, 1, 0, 0, 1, '{}', '', 0, $1::timestamptz + (number / 3) * interval '1 minute', now()
from generate_series(1, 90) as number
"""
ROW = re.compile(r'<td data-name="payment"><a href="/payments/([0-9a-f-]{36})">')
LETTER = re.compile(r'<td data-name="letter"><a href="/dead-letters/(\d+)">')
OLDER = re.compile(r'class="button" href="([^"]+)">older<')


@pytest.fixture(scope="module")
async def console(
    stack: Any, place: Database, letters: list[int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    import asyncpg

    connection = await asyncpg.connect(place.dsn)
    await connection.execute(MANY, NOON)
    for _ in range(25):
        await add_letter(connection, "conflict")
    await connection.close()
    home = tmp_path_factory.mktemp("console")
    async with serving(console_settings(home, stack.kafka, place.dsn, rows_max=20)) as found:
        yield found


@pytest.fixture
async def browser(console: Console) -> AsyncIterator[Browser]:
    async with Browser(console) as found:
        yield found


async def walk(browser: Browser, path: str, row: re.Pattern[str]) -> list[str]:
    """Follow `older` to the end; return what stands on all pages."""
    found: list[str] = []
    while True:
        status, text = await browser.get(path)
        assert status == 200
        found += row.findall(text)
        older = OLDER.search(text)
        if older is None:
            return found
        path = older[1].replace("&amp;", "&")


class TestPayments:
    async def test_every_one_stands_on_one_page_the_newest_first(self, browser: Browser, owner: Any) -> None:
        rows = await owner.fetch("select id from payments where client = 'shop' order by created_at desc, id desc")
        found = await walk(browser, "/payments?client=shop", ROW)
        assert found == [str(row["id"]) for row in rows]
        assert len(found) == 91

    async def test_an_id_that_an_upstream_chose_stands_where_its_time_is(self, browser: Browser) -> None:
        assert "ffffffff-ffff-4fff-bfff-ffffffffffff" not in ROW.findall((await browser.get("/payments"))[1])

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("status=failed&provider=adyen&since=2026-11-23T12:00", 9),
            ("status=failed&until=2026-11-23T12:10", 5),
            ("dispute=any", 1),
            ("dispute=lost", 0),
            ("amount=10.07%20EUR", 1),
            ("reference=ORD-33", 1),
            ("mode=test", 0),
            ("account=elsewhere", 0),
        ],
    )
    async def test_filters(self, browser: Browser, query: str, count: int) -> None:
        assert len(await walk(browser, f"/payments?{query}", ROW)) == count

    @pytest.mark.parametrize("query", ["status=faild", "amount=12", "after=x", "since=noon"])
    async def test_what_cannot_be_meant_is_reported(self, browser: Browser, query: str) -> None:
        status, text = await browser.get(f"/payments?{query}")
        assert status == 422
        assert query.partition("=")[0] in text

    async def test_all_that_failed_as_a_file(self, browser: Browser) -> None:
        query = "status=failed&provider=adyen&since=2026-11-23T12:00"
        _, text = await browser.get(f"/payments.csv?{query}")
        assert browser.headers["content-disposition"] == 'attachment; filename="payments.csv"'
        rows = list(csv.DictReader(io.StringIO(text)))
        assert {(row["status"], row["provider"]) for row in rows} == {("failed", "adyen")}
        assert (len(rows), rows[0]["amount"]) == (9, "10.90")
        document = json.loads((await browser.get(f"/payments.json?{query}"))[1])
        assert (len(document["payments"]), document["complete"]) == (9, True)
        assert (await browser.get("/payments.csv?status=faild"))[0] == 422


class TestDeadLetters:
    async def test_every_one_stands_on_one_page(self, browser: Browser, owner: Any) -> None:
        rows = await owner.fetch("select id from dead_letters order by id desc")
        found = await walk(browser, "/dead-letters", LETTER)
        assert found == [str(row["id"]) for row in rows]
        _, text = await browser.get("/dead-letters")
        assert f"20 of {len(rows)} dead letters" in text

    @pytest.mark.parametrize(
        ("query", "count"),
        [("message=NO+json", 1), ("message=100%25", 0), ("kind=charge.succeeded", 25), ("kind=x", 0)],
    )
    async def test_filters(self, browser: Browser, query: str, count: int) -> None:
        assert len(await walk(browser, f"/dead-letters?{query}", LETTER)) == count

    async def test_as_a_file_without_what_they_hold(self, browser: Browser) -> None:
        _, text = await browser.get("/dead-letters.csv?reason=unknown_kind")
        assert len(list(csv.reader(io.StringIO(text)))) == 2
        assert CARD not in text
        document = json.loads((await browser.get("/dead-letters.json?reason=conflict"))[1])
        assert (len(document["dead_letters"]), document["complete"]) == (25, True)
        assert (await browser.get("/dead-letters.json?reason=x"))[0] == 422


class TestActions:
    async def test_they_are_downloaded_as_they_were_filtered(self, browser: Browser, owner: Any) -> None:
        await owner.execute(
            "insert into operator_actions (who, origin, action, target, because)"
            " select who, 'terminal', 'redrive.start', 'redrive 7', '=1+1' from unnest(array['ada', 'eve']) as who"
        )
        _, text = await browser.get("/actions.csv?who=ada")
        assert browser.headers["content-disposition"] == 'attachment; filename="actions.csv"'
        head, *rows = text.splitlines()
        assert head == "id,acted_at,who,origin,action,target,because,db_role"
        assert ["ada,terminal,redrive.start,redrive 7,'=1+1," in row for row in rows] == [True]
        found = json.loads((await browser.get("/actions.json?action=redrive"))[1])
        assert {row["who"] for row in found["actions"]} >= {"ada", "eve"}
        assert (await browser.get("/actions.csv?since=yesterday"))[0] == 422
