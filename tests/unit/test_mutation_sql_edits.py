"""Which changes a statement has. `make mutation-sql` runs this with pglast, which is kept out of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit
pytest.importorskip("pglast")

CASES = [
    ("SELECT a FROM t WHERE b = 1 AND c < d", ["WHERE c < d", "WHERE b = 1", "b <> 1", "b = 2", "c <= d"]),
    ("SELECT a FROM t WHERE b >= $1 OR c <> d", ["b > $1", "c = d", "WHERE c <> d", "WHERE b >= $1"]),
    ("SELECT a FROM t WHERE NOT EXISTS (SELECT FROM u)", ["WHERE EXISTS (SELECT FROM u)", "FROM t;"]),
    ("SELECT a FROM t WHERE b = ANY ($1)", ["b <> ALL($1)"]),
    ("SELECT a FROM t WHERE b IN ('x', 'y')", ["NOT IN", "IN ('x')", "IN ('y')"]),
    ("SELECT a FROM t WHERE b IS NULL", ["b IS NOT NULL"]),
    ("SELECT a FROM t WHERE b IS DISTINCT FROM c", ["b IS NOT DISTINCT FROM c"]),
    ("SELECT a FROM t WHERE b IS TRUE", ["b IS NOT TRUE"]),
    ("SELECT a FROM t FOR NO KEY UPDATE OF t SKIP LOCKED", ["FROM t;", "FOR KEY SHARE OF t SKIP", "UPDATE OF t;"]),
    ("SELECT a FROM t ORDER BY a DESC NULLS LAST LIMIT $1", ["LAST;", "FROM t LIMIT", "BY a ASC NULLS", "NULLS FIRST"]),
    ("SELECT DISTINCT a FROM t", ["SELECT a FROM t;"]),
    ("SELECT count(DISTINCT a) FILTER (WHERE b) FROM t", ["count(a) FILTER", "count(DISTINCT a) FROM"]),
    ("SELECT min(a), greatest(a, b) FROM t", ["max(a)", "least(a, b)"]),
    ("SELECT coalesce(a, b, 0) FROM t", ["coalesce(b, 0)", "coalesce(a, 0)", "coalesce(a, b)", "coalesce(a, b, 1)"]),
    ("SELECT CASE WHEN a THEN b WHEN c THEN d ELSE e END", ["WHEN a THEN b ELSE e", "CASE WHEN c", "THEN d END"]),
    ("SELECT a + b, true, 1.5 FROM t", ["a - b", "FALSE", "1.51"]),
    ("SELECT a FROM t LEFT JOIN u ON t.x = u.x", ["t INNER JOIN u", "t.x <> u.x"]),
    ("SELECT a FROM t UNION ALL SELECT a FROM u", ["t UNION SELECT"]),
    ("SELECT a FROM t UNION SELECT a FROM u", ["t UNION ALL SELECT"]),
    ("SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t", ["(PARTITION BY a)", "(ORDER BY b)", "BY b DESC)"]),
    ("INSERT INTO t (a) VALUES ($1) ON CONFLICT DO NOTHING", ["VALUES ($1);"]),
    (
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = 1, c = 2 WHERE t.d",
        ["SET c = 2 WHERE", "SET b = 1 WHERE", "c = 2;"],
    ),
    ("UPDATE t SET a = $1, b = $2 WHERE c", ["SET b = $2 WHERE", "SET a = $1 WHERE", "b = $2;"]),
    ("DELETE FROM t WHERE a RETURNING 1", ["FROM t RETURNING 1"]),
]


@pytest.mark.parametrize(("statement", "changed"), CASES, ids=[statement for statement, _ in CASES])
def test_each_small_change_is_made(
    statement: str, changed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = made_of(statement, tmp_path, monkeypatch)
    assert [part for part in changed if not any(part.lower() in f"{text};".lower() for text in texts)] == [], texts
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a::varchar(3) FROM t",
        "DELETE FROM t RETURNING 1",
        "WITH RECURSIVE f AS (SELECT a FROM t UNION SELECT f.a FROM f) SELECT a FROM f",
    ],
)
def test_what_is_left_alone(statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made_of(statement, tmp_path, monkeypatch) == []


def test_a_change_is_named_by_its_line_and_the_words_that_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_of("-- what\nselect a\nfrom t\nwhere b = 1", tmp_path, monkeypatch)
    from sqlmutation.changes import changes_of

    one = next(one for one in changes_of("it.sql") if "<>" in one.text)
    assert (one.line, one.before, one.after, one.nth) == (4, "t WHERE b = 1", "t WHERE b <> 1", 0)


def made_of(statement: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from sqlmutation import changes

    monkeypatch.setattr(changes, "ROOT", folder)
    changes.printed.cache_clear()
    changes.changes_of.cache_clear()
    (folder / "it.sql").write_text(statement)
    return [one.text for one in changes.changes_of("it.sql")]
