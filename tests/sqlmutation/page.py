"""What came of the changes, as Markdown."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING

from sqlmutation.outcomes import NOTICED, REFUSED, SLOW, SURVIVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlmutation.changes import Change

COLUMNS = ("statements", "changes", "noticed", "equal", "not noticed", "not run")


def table(
    changes: Iterable[Change],
    verdict_of: Callable[[Change], str | None],
    why: dict[tuple[str, str, str, int], str],
) -> str:
    """Return a row for each folder, then what is not read yet. What Postgres refuses is no change."""
    rows: dict[str, Counter[str]] = {}
    left: Counter[str] = Counter()
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
            left[change.path] += 1
    for folder, theirs in paths.items():
        rows[folder]["statements"] = len(theirs)
    lines = [
        f"Run {dt.datetime.now(dt.UTC).date().isoformat()}.\n",
        f"| folder | {' | '.join(COLUMNS)} |",
        "|---|" + "--:|" * len(COLUMNS),
        *(f"| `{name}` | {' | '.join(str(row[one] or '') for one in COLUMNS)} |" for name, row in rows.items()),
    ]
    if left:
        named = [f"`{path}` ({count})" for path, count in sorted(left.items())]
        lines += ["\nNot read yet, with how many changes are not noticed or not run: " + ", ".join(named) + "."]
    return "\n".join(lines) + "\n"
