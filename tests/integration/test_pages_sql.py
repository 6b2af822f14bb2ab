"""Every question that a page puts to the database is one that today's schema answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import markdown_pages as markdown
import pytest

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.integration

_SQL = re.compile(r"(?ms)^```sql\n(.*?)^```")
_DOES = re.compile(r"\bpg_(?:terminate|cancel|drop|reload)\w*\(")
"""What a page tells its reader to do is not done here."""


def statements() -> list[str]:
    """Return each `select` of the pages, in a line or in a block, on one line."""
    found: set[str] = set()
    for page in markdown.pages():
        for code in markdown.code_in(markdown.read(page).replace("\n", " ")):
            found.add(" ".join(code.split()))
        for block in _SQL.findall((markdown.ROOT / page).read_text(encoding="utf-8")):
            found.update(" ".join(statement.split()) for statement in block.split(";"))
    return sorted(
        text for text in found if text.lower().startswith("select ") and ".." not in text and not _DOES.search(text)
    )


def test_pages_ask_the_database() -> None:
    found = statements()
    assert "select * from recall_orders order by id desc limit 5" in found
    assert any("pg_stat_activity" in text for text in found)


@pytest.mark.parametrize("statement", statements())
async def test_a_question_of_a_page_is_answered(owner: asyncpg.Connection[asyncpg.Record], statement: str) -> None:
    async with owner.transaction(readonly=True):
        await owner.fetch(statement)
