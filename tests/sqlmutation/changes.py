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

FOLDERS: Final = ("consumer/sql", "consumer/dispatcher/sql", "producers/sql", "ops/sql", "runtime/sql")
UNREAD: Final = ("ops/console/sql",)
"""Folders whose statements are changed by their name alone: what no test notices of them has not been read."""
READ: Final = frozenset(
    {
        *(
            f"consumer/sql/{name}.sql"
            for name in (
                *("answer_commands", "apply_letters", "begin_epoch", "bury_record", "claim_bodies", "copy_members"),
                *("delete_marks", "delete_parked", "drop_marks", "end_quarantine", "excuse_ends", "excuse_owners"),
                *("find_bodies", "find_claims", "find_expired", "find_groups", "find_marked", "find_orphans"),
                *("find_parked", "find_under", "find_waited_names", "follow_chains", "forget_ends", "insert_command"),
                *("keep_orphan_names", "lengthen_deadlines", "let_go", "lock_instance", "lock_letters", "lock_names"),
                *("lock_receipts", "lock_refs", "mark_bound", "move_mark", "move_parking_clock", "note_debits"),
                *("note_end", "note_members", "note_metadata", "note_object_webhooks", "note_offsets", "note_probe"),
                *("note_recalled", "note_receipts", "park_event", "queue_messages", "queue_refetches"),
                *("read_commands", "read_identity", "read_mark", "read_offsets", "read_parking_clock"),
                *("take_expired", "write_mark", "write_payments"),
            )
        ),
        *(
            f"producers/sql/{name}.sql"
            for name in (
                *(
                    "delete_spool",
                    "find_idempotency_record",
                    "find_own_payments",
                    "find_taken",
                    "insert_idempotency_record",
                    "move_cursor",
                ),
                *("read_asked", "read_recorded_view", "read_moments", "read_payment_view"),
            )
        ),
        *(
            f"consumer/dispatcher/sql/{name}.sql"
            for name in (
                *("await_refetch", "claim_refetch", "claim_sms", "count_recalled", "count_waiting"),
                *("delay_recall_order", "end_recall_order", "fail_recall", "fail_refetch", "find_known"),
                *("finish_refetch", "finish_sms"),
                *("hold_sms", "move_recall", "move_recall_order", "note_seen", "open_cursor", "queue_debits"),
                *("queue_stale", "retry_refetch", "retry_sms", "take_recall_order", "trim_recalled", "trim_refetches"),
            )
        ),
        *(
            f"runtime/sql/{name}.sql"
            for name in (
                *("acquire_lease", "create_schema_migrations", "delete_schema_migration", "guard_lease"),
                *("insert_schema_migration", "note_topic_prefix", "read_clock_and_waits", "read_disk_use"),
                *("read_oldest_transaction", "read_replication", "read_schema_migrations", "read_schema_version"),
                *("read_topic_prefix", "read_wal_bytes", "release_lease", "renew_lease"),
            )
        ),
    }
)
"""Statements read to the end: a change of theirs that is neither noticed nor explained ends a run with 1."""


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
