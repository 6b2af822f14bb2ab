"""Downloads: everything that fits a search, page after page, as one file that is never whole in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from ops.exports import csv_lines, json_items, shown
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Rows = list[dict[str, Any]]
    NextPage = Callable[[Any], Awaitable[tuple[Rows, Any]]]
    """Return the page behind a place (None: the first), and the place of the next one (None: there is none)."""

PAGE_ROWS: Final = 1000
TYPES: Final = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
MORE: Final = "cut here: more fits than one download holds; choose a shorter time"
FAILED: Final = "cut here: the database went away; try again"


async def download(
    name: str, form: str, columns: tuple[str, ...], next_page: NextPage, rows_max: int
) -> StreamingResponse:
    """Return a file of all that fits, `rows_max` rows at most; its end says where it is cut.

    Raises what the first page raises: from then on the answer has begun.
    """
    first = await next_page(None)
    write = _csv if form == "csv" else _json
    return StreamingResponse(
        write(_pages(first, next_page, columns, rows_max), name, columns),
        media_type=TYPES[form],
        headers={"content-disposition": f'attachment; filename="{name}.{form}"'},
    )


async def _pages(
    page: tuple[Rows, Any], next_page: NextPage, columns: tuple[str, ...], rows_max: int
) -> AsyncIterator[tuple[Rows, str]]:
    """Go through all pages; with the last one goes why it is not the end, empty where it is."""
    count = 0
    while True:
        (rows, place), room = page, rows_max - count
        count += len(rows)
        ended = place is None or count >= rows_max
        more = count > rows_max or (ended and place is not None)
        yield [shown(row, columns) for row in rows[:room]], MORE if more else ""
        if ended:
            return
        try:
            page = await next_page(place)
        except RatchetError:
            yield [], FAILED
            return


async def _csv(pages: AsyncIterator[tuple[Rows, str]], name: str, columns: tuple[str, ...]) -> AsyncIterator[str]:  # noqa: ARG001 - as _json
    head = True
    async for rows, cut in pages:
        yield csv_lines(rows, columns, head=head) + (f"{cut}\r\n" if cut else "")
        head = False


async def _json(pages: AsyncIterator[tuple[Rows, str]], name: str, columns: tuple[str, ...]) -> AsyncIterator[str]:  # noqa: ARG001 - as _csv
    yield f'{{"{name.replace("-", "_")}": [\n'
    first, reason = True, ""
    async for rows, cut in pages:
        yield json_items(rows, first=first)
        first, reason = first and not rows, cut or reason
    yield '\n], "complete": ' + ("true}\n" if not reason else f'false, "why": "{reason}"}}\n')
