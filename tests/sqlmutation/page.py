"""What came of the changes, as Markdown."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING

from sqlmutation.outcomes import NOTICED, REFUSED, SLOW, SURVIVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlmutation.changes import StatementChange

COLUMNS = ("statements", "read to the end", "changes", "noticed", "equal", "not noticed", "not run")


def table(
    changes: Iterable[StatementChange],
    verdict_of: Callable[[StatementChange], str | None],
    why: dict[tuple[str, str, str, int], str],
) -> str:
    """Return a row for each folder; a statement is read to the end where each change is noticed or explained."""
    rows: dict[str, Counter[str]] = {}
    left: set[str] = set()
    paths: dict[str, set[str]] = {}
    for change in changes:
        folder = change.path.rpartition("/")[0]
        row = rows.setdefault(folder, Counter())
        paths.setdefault(folder, set()).add(change.path)
        verdict = verdict_of(change) or "not run"
        if verdict == REFUSED:
            continue
        if verdict == SURVIVED:
            verdict = "equal" if change.key in why else "not noticed"
        verdict = NOTICED if verdict == SLOW else verdict
        row.update(["changes", verdict])
        if verdict in {"not noticed", "not run"}:
            left.add(change.path)
    for folder, theirs in paths.items():
        rows[folder] |= {"statements": len(theirs), "read to the end": len(theirs - left)}
    lines = [
        f"Run {dt.datetime.now(dt.UTC).date().isoformat()}.\n",
        f"| folder | {' | '.join(COLUMNS)} |",
        "|---|" + "--:|" * len(COLUMNS),
        *(f"| `{name}` | {' | '.join(str(row[one] or '') for one in COLUMNS)} |" for name, row in rows.items()),
    ]
    return "\n".join(lines) + "\n"
