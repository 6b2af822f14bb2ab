"""docs/sharding.md says how many statements a proxy would break, by kind: its table is held against the .sql files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "sharding.md"
FOLDERS = ("consumer/sql", "consumer/dispatcher/sql", "ops/sql", "ops/console/sql", "producers/sql", "runtime/sql")
KINDS = {
    "arrays": r"\b(any|all|unnest)\s*\(\s*\$",
    "insert-select": r"\binsert into [^;]*?\)\s*\(?\s*select\b",
    "locks": r"\bfor (no key )?update\b|^lock table",
    "dml-cte": r"\bas (materialized )?\(\s*(insert into|update|delete from)\b",
    "recursive": r"\bwith recursive\b|surviving_payment\(",
    "xact": r"pg_current_xact_id|pg_snapshot_xmin",
    "advisory": r"advisory",
    "volatile": r"\bupdate \w+[^;]*clock_timestamp",
    "all": r"",
}


def statements() -> dict[str, str]:
    """Return every statement of the product without its comments."""
    found = (path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.sql")))
    return {
        str(path.relative_to(ROOT)): re.sub(r"--.*", "", path.read_text(encoding="utf-8").lower()) for path in found
    }


def count(kind: str) -> int:
    return sum(re.search(KINDS[kind], text, re.DOTALL | re.MULTILINE) is not None for text in statements().values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_counts_the_statements_of_a_kind(kind: str) -> None:
    (line,) = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if f"<!-- {kind} -->" in line]
    assert f"| {count(kind)} |" in line


def test_tables_with_ids_of_a_sequence_are_counted() -> None:
    schema = (ROOT / "migrations" / "schema.sql").read_text(encoding="utf-8")
    assert f"ids of a sequence: {schema.count('ADD GENERATED ALWAYS AS IDENTITY')} tables" in PAGE.read_text()


def test_statements_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE.read_text(encoding="utf-8")))
    tables = set(re.findall(r"CREATE TABLE public\.(\w+)", (ROOT / "migrations" / "schema.sql").read_text()))
    words = {"payment_id", "relay_xid", "pg_snapshot_xmin", "search_path", "surviving_payment"}
    assert named - tables - words <= {Path(name).stem for name in statements()}
