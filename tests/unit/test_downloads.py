"""A file of all that fits is whole, or says in its last line why it is not."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from ops.console import downloads
from ops.console.downloads import FAILED, MORE, download
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from starlette.responses import StreamingResponse

pytestmark = pytest.mark.unit

COLUMNS = ("id", "because")


class Rows:
    """So many rows, in pages of some; `fails_at` is the page at which the database goes away."""

    def __init__(self, there: int, page: int = 3, fails_at: int | None = None, empty_at: int | None = None) -> None:
        self.there, self.page, self.fails_at, self.empty_at = there, page, fails_at, empty_at
        self.asked: list[int | None] = []

    async def __call__(self, place: int | None) -> tuple[list[dict[str, Any]], int | None]:
        if self.fails_at == len(self.asked):
            raise UnavailableError("away")
        if self.empty_at == len(self.asked):
            self.asked.append(place)
            return [], place or 0
        self.asked.append(place)
        begin = place or 0
        end = min(self.there, begin + self.page)
        rows = [{"id": number, "because": 'ü, "x"'} for number in range(begin, end)]
        return rows, end if end < self.there else None


async def text_of(response: StreamingResponse) -> str:
    pieces = [piece if isinstance(piece, str) else bytes(piece).decode() async for piece in response.body_iterator]
    return "".join(pieces)


async def as_csv(rows: Rows, rows_max: int = 100) -> tuple[list[int], str]:
    """Return the ids of a file, and what stands below them."""
    text = await text_of(await download("dead-letters", "csv", COLUMNS, rows, rows_max))
    head, *lines = csv.reader(io.StringIO(text))
    assert head == list(COLUMNS)
    ids = [int(line[0]) for line in lines if len(line) == len(COLUMNS)]
    return ids, "".join(line[0] for line in lines if len(line) != len(COLUMNS))


async def as_json(rows: Rows, rows_max: int = 100) -> tuple[list[int], str]:
    document = json.loads(await text_of(await download("dead-letters", "json", COLUMNS, rows, rows_max)))
    assert document["complete"] is ("why" not in document)
    return [row["id"] for row in document["dead_letters"]], document.get("why", "")


@pytest.mark.parametrize("form", [as_csv, as_json])
class TestAFile:
    @pytest.mark.parametrize("there", [0, 1, 3, 4, 9])
    async def test_it_is_whole(self, form: Any, there: int) -> None:
        assert await form(Rows(there)) == (list(range(there)), "")

    async def test_a_page_without_rows_is_not_its_end(self, form: Any) -> None:
        assert await form(Rows(7, empty_at=1)) == (list(range(7)), "")
        assert await form(Rows(7, empty_at=0)) == (list(range(7)), "")

    @pytest.mark.parametrize("rows_max", [3, 4, 6, 8])
    async def test_it_ends_at_its_bound_and_says_so(self, form: Any, rows_max: int) -> None:
        rows = Rows(9)
        assert await form(rows, rows_max) == (list(range(rows_max)), MORE)
        assert len(rows.asked) == -(-rows_max // 3), "what is not shown is not asked for"

    async def test_as_many_as_the_bound_are_whole(self, form: Any) -> None:
        assert await form(Rows(9), 9) == (list(range(9)), "")

    async def test_where_the_database_went_away_it_says_so(self, form: Any) -> None:
        assert await form(Rows(9, fails_at=2)) == (list(range(6)), FAILED)

    async def test_at_the_first_page_nothing_has_begun(self, form: Any) -> None:
        with pytest.raises(UnavailableError):
            await form(Rows(9, fails_at=0))


async def test_its_name_and_its_type() -> None:
    for form, kind in downloads.TYPES.items():
        response = await download("payments", form, COLUMNS, Rows(1), 9)
        assert response.headers["content-disposition"] == f'attachment; filename="payments.{form}"'
        assert response.headers["content-type"] == kind
