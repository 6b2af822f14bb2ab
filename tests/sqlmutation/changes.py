"""Every small change of a statement, as text: the tree with one edit, printed again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from mutants.planted import ROOT
from mutants.small_change import SmallChange

from sqlmutation.words import differing

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS: Final = (
    *("consumer/sql", "consumer/dispatcher/sql", "producers/sql", "ops/sql", "ops/console/sql", "runtime/sql"),
)
"""Where the product's statements are."""


@dataclass(frozen=True)
class StatementChange(SmallChange):
    """One change of a statement."""

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.path, self.before, self.after, self.nth


def statements(*places: str) -> list[str]:
    """Return the paths of all statements in some folders, or those that are named themselves."""
    found = [
        path
        for place in places
        for path in (sorted((ROOT / place).glob("*.sql")) if (ROOT / place).is_dir() else [ROOT / place])
    ]
    return [str(path.relative_to(ROOT)) for path in found]


class UnfaithfulError(Exception):
    """A statement is printed as another one than was read."""


@cache
def printed(path: str) -> str:
    """Return a statement as it is printed without a change. Raises UnfaithfulError where that is another statement."""
    from pglast import parse_sql
    from pglast.stream import RawStream

    tree = parse_sql((ROOT / path).read_text())
    text = str(RawStream()(tree))
    if parse_sql(text) != tree:
        raise UnfaithfulError(f"{path}: {text}")
    return text


@cache
def changes_of(path: str) -> tuple[StatementChange, ...]:
    """Make all changes of a statement, each text once; some are none that Postgres would prepare."""
    from pglast import parse_sql
    from pglast.stream import RawStream

    from sqlmutation.edits import edits_of

    source = (ROOT / path).read_text()
    tree, plain = parse_sql(source), printed(path)
    seen: Counter[tuple[str, str]] = Counter()
    texts, found = {plain}, []
    for node, line, recursive in nodes(tree, source):
        for edit in edits_of(node, recursive=recursive):
            held = {name: getattr(node, name) for name in edit.attributes}
            set_all(node, edit.attributes)
            text = str(RawStream()(tree))
            set_all(node, held)
            if text in texts:
                continue
            texts.add(text)
            before, after = differing(plain, text)
            nth, seen[before, after] = seen[before, after], seen[before, after] + 1
            found.append(StatementChange(path, line_of(edit.at, source) or line, before, after, nth, text))
    return tuple(found)


def set_all(node: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(node, name, value)


def nodes(value: Any, source: str, line: int = 1, *, recursive: bool = False) -> Iterator[tuple[Any, int, bool]]:
    """Yield each node of a tree with the line that it stands in, and whether it is part of a recursive query."""
    from pglast import ast

    from sqlmutation.edits import LEFT_ALONE

    if isinstance(value, tuple):
        for one in value:
            yield from nodes(one, source, line, recursive=recursive)
    elif isinstance(value, ast.Node):
        line = line_of(value, source) or line
        yield value, line, recursive
        recursive = recursive or (isinstance(value, ast.WithClause) and bool(value.recursive))
        for name in value:
            if name not in LEFT_ALONE:
                yield from nodes(getattr(value, name), source, line, recursive=recursive)


def line_of(node: Any, source: str) -> int | None:
    """Return the line of a node, or of the first in it that knows where it stands."""
    from pglast import ast

    if isinstance(node, tuple):
        return next((line for one in node if (line := line_of(one, source)) is not None), None)
    if not isinstance(node, ast.Node):
        return None
    if (place := getattr(node, "location", None)) is not None and place > 0:
        return source[:place].count("\n") + 1
    return line_of(tuple(getattr(node, name) for name in node), source)
