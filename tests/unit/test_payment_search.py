"""Which payments a search means, where a page goes on, and what a download holds."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import json
from typing import Any
from uuid import UUID

import pytest

from ops.console.downloads import MORE, download
from ops.exports import PAYMENT_COLUMNS, csv_lines, json_items, shown
from ops.payment_search import (
    AMOUNT_MAX,
    DISPUTES,
    PaymentFilter,
    Place,
    list_payments,
    read_amount,
    read_filter,
    read_place,
)
from schemas.errors import SettingsError, UnavailableError

pytestmark = pytest.mark.unit

NOON = dt.datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=dt.UTC)
ID = UUID("0190abcd-0000-7000-8000-0000000000aa")
ROW = dict.fromkeys(PAYMENT_COLUMNS) | {
    "id": ID,
    "created_at": NOON,
    "reference": "=HYPERLINK(1)",
    "currency": "EUR",
    "amount": 1250,
    "captured": 0,
    "livemode": True,
    "flags": ["underpaid", "paid_again"],
    "provider_ref": "4111111111111111",
}


def test_a_choice_is_read() -> None:
    written = {
        "status": "failed",
        "provider": "adyen",
        "mode": "test",
        "since": "2026-11-23",
        "amount": "1,250.50 eur",
        "dispute": "any",
    }
    found = read_filter(written)
    assert (found.status, found.provider, found.livemode, found.currency, found.amount) == (
        "failed", "adyen", False, "EUR", 125050
    )  # fmt: skip
    assert found.disputes == DISPUTES
    assert found.since == dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    assert read_filter({}) == PaymentFilter()
    assert read_filter({"dispute": "lost"}).disputes == ("lost",)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("status", "faild", "is none of"),
        ("mode", "both", "is none of"),
        ("dispute", "none", "is none of"),
        ("since", "noon", "ISO 8601"),
        ("amount", "12.50", "names no currency"),
        ("amount", "12.505 EUR", "no amount of EUR"),
        ("amount", "x EUR", "no amount of EUR"),
        ("amount", "-1 EUR", "no amount of EUR"),
        ("amount", "NaN EUR", "no amount of EUR"),
        ("amount", "12,50 EUR", "no amount of EUR"),
        ("amount", "1,250,5 EUR", "no amount of EUR"),
        ("amount", "1e3 EUR", "no amount of EUR"),
        ("amount", "9" * 30 + " EUR", "no amount of EUR"),
        ("reference", "x" * 401, "too many"),
    ],
)
def test_what_cannot_be_meant_is_reported(name: str, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        read_filter({name: text})


@pytest.mark.parametrize(("mode", "livemode"), [("live", True), ("test", False), (None, None)])
def test_each_choice_stands_in_its_place(mode: str | None, livemode: bool | None) -> None:  # noqa: FBT001 - a case
    """In another's place it would find nothing, or the payments of somebody else."""
    written = {
        "status": "failed", "provider": "adyen", "account": "shop", "since": "2026-11-23", "until": "2026-11-24",
        "dispute": "lost", "amount": "12.50 EUR", "client": "web", "reference": "ORD-1",
    }  # fmt: skip
    found = read_filter(written | ({} if mode is None else {"mode": mode}))
    since = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    assert found.arguments() == (
        "failed", "adyen", "shop", livemode, since, since + dt.timedelta(days=1), ["lost"], "EUR", 1250, "web", "ORD-1",
    )  # fmt: skip


@pytest.mark.parametrize(("found", "more"), [(2, False), (3, True), (0, False)])
async def test_a_page_names_the_place_of_its_last_payment_where_there_are_older_ones(found: int, *, more: bool) -> None:
    asked = []

    class Payments:
        async def fetch(self, _sql: str, *arguments: Any) -> list[dict[str, Any]]:
            await asyncio.sleep(0)
            asked.append(arguments)
            return [{"id": UUID(int=number), "created_at": NOON} for number in range(found, 0, -1)]

    page = await list_payments(Payments(), PaymentFilter(), 2, Place(NOON, ID))  # type: ignore[arg-type]
    assert asked == [(*PaymentFilter().arguments(), NOON, ID, 3)]
    assert len(page.payments) == min(found, 2)
    assert read_place(page.after) == (Place(NOON, UUID(int=2)) if more else None)


def test_an_amount_has_its_currencys_decimals() -> None:
    assert read_amount("12 JPY") == (12, "JPY")
    assert read_amount("1,234,567 JPY") == (1_234_567, "JPY")
    assert read_amount("92233720368547758.07 EUR") == (AMOUNT_MAX, "EUR")
    assert read_amount("1.234 KWD") == (1234, "KWD")


def test_a_place_is_read_as_it_was_written() -> None:
    assert read_place(Place(NOON, ID).text()) == Place(NOON, ID)
    assert read_place("") is None
    for text in ("x", "ä", "AAAA", "_" * 32):
        with pytest.raises(SettingsError, match="no place"):
            read_place(text)


def test_a_cell_is_masked_and_is_no_formula() -> None:
    row = shown(ROW, PAYMENT_COLUMNS)
    assert (row["amount"], row["captured"], row["refunded"]) == ("12.50", "0.00", None)
    assert row["flags"] == ["underpaid", "paid_again"]
    assert "4111111111111111" not in json.dumps(row)
    (names, cells) = csv.reader(io.StringIO(csv_lines([row], PAYMENT_COLUMNS, head=True)))
    read = dict(zip(names, cells, strict=True))
    assert read["reference"] == "'=HYPERLINK(1)"
    assert read["amount"] == "12.50"
    assert read["flags"] == "underpaid paid_again"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
@pytest.mark.parametrize("column", ["reference", "flags"])
def test_no_text_is_a_formula_and_each_amount_is_a_number(begin: str, column: str) -> None:
    text = f"{begin}1"
    row = ROW | {column: [text, "b"] if column == "flags" else text, "amount": -1250}
    (_, cells) = csv.reader(io.StringIO(csv_lines([row | {"amount": "-12.50"}], PAYMENT_COLUMNS, head=True)))
    read = dict(zip(PAYMENT_COLUMNS, cells, strict=True))
    assert read[column].startswith("'")
    assert (read["amount"], shown(row, PAYMENT_COLUMNS)["amount"]) == ("-12.50", "-12.50")


def test_a_list_in_a_cell_is_masked() -> None:
    assert "4111111111111111" not in str(shown(ROW | {"flags": ["4111111111111111"]}, PAYMENT_COLUMNS))


def test_items_of_a_file_stand_between_commas() -> None:
    parts = [([{"a": 1}, {"a": 2}], True), ([], False), ([{"a": 3}], False)]
    assert json.loads("[" + "".join(json_items(rows, first=first) for rows, first in parts) + "]") == [
        {"a": 1}, {"a": 2}, {"a": 3},
    ]  # fmt: skip


class TestDownloads:
    async def read(self, form: str, pages: list[Any], rows_max: int = 100) -> str:
        async def next_page(place: int | None) -> Any:
            found = pages[place or 0]
            if isinstance(found, Exception):
                raise found
            return found

        answer = await download("payments", form, ("id", "amount", "currency"), next_page, rows_max)
        return "".join([part async for part in answer.body_iterator])  # type: ignore[misc]

    async def test_all_pages_follow_one_another(self) -> None:
        pages = [([ROW, ROW], 1), ([ROW], None)]
        assert len((await self.read("csv", pages)).splitlines()) == 4
        document = json.loads(await self.read("json", pages))
        assert (len(document["payments"]), document["complete"]) == (3, True)
        assert json.loads(await self.read("json", [([], None)])) == {"payments": [], "complete": True}

    async def test_a_cut_is_reported(self) -> None:
        pages = [([ROW, ROW], 1), ([ROW], None)]
        assert (await self.read("csv", pages, 2)).splitlines()[-1] == MORE
        assert json.loads(await self.read("json", pages, 2))["complete"] is False
        away: list[Any] = [([ROW], 1), UnavailableError("away")]
        assert "went away" in (await self.read("csv", away)).splitlines()[-1]
        assert json.loads(await self.read("json", away))["complete"] is False
        with pytest.raises(UnavailableError):
            await self.read("csv", away[1:])
