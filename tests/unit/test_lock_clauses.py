"""Every lock that a statement takes, in which order and why, and that one which is to last is taken in a transaction.

A lock that is missing, weaker or out of order shows in no single session: what each of these does when two meet is in
`tests/integration/test_row_locks.py`. Here stands that none is added, lost or weakened unseen.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "consumer/sql", "consumer/dispatcher/sql", "producers/sql", "ops/sql", "ops/console/sql", "runtime/sql",
)  # fmt: skip
ROW_LOCK = re.compile(
    r"\bfor (?:no key update|update|key share|share)(?: of \w+)?(?: skip locked| nowait)?(?=\s*(?:\)|$|,))"
)
OTHER_LOCK = re.compile(r"\bpg_\w*advisory\w*\([^,)]*\)*|\block table .*")
NAMES_IN_ORDER = (
    'collate "C", {0}.account collate "C", {0}.merchant_account collate "C", {0}.livemode, {0}.kind collate "C",'
    ' {0}.ref collate "C"'
)


class Lock(NamedTuple):
    """What a statement locks by: its clause with the order of the rows before it, and what goes wrong without."""

    clause: str
    without: str


LOCKS: dict[str, tuple[Lock, ...]] = {
    "consumer/sql/lock_refs": (
        Lock(
            f"order by w.provider {NAMES_IN_ORDER.format('w')} for no key update of r",
            "two batches bind one name to two payments, or deadlock; foreign keys to a name don't wait",
        ),
        Lock(
            "order by id for no key update",
            "two batches fold one payment from the same state: one of two facts is lost",
        ),
    ),
    "consumer/sql/lock_refs_only": (
        Lock(
            f"order by n.provider {NAMES_IN_ORDER.format('n')} for no key update of r",
            "an event is woken and buried; in another order than lock_refs it deadlocks with batches",
        ),
    ),
    "consumer/sql/lock_letters": (
        Lock(
            "order by d.id for no key update of d",
            "a letter whose event is being applied is discarded or redriven meanwhile",
        ),
    ),
    "consumer/sql/lengthen_deadlines": (
        Lock("order by id for no key update", "an event that is woken meanwhile makes the two wait in a circle"),
    ),
    "consumer/sql/read_mark": (Lock("for update", "two that take a partition up count one end twice, or not at all"),),
    "consumer/sql/read_parking_clock": (Lock("for update", "two sweepers add one standstill twice"),),
    "consumer/sql/note_object_webhooks": (
        Lock("order by r.source, r.event_id for update of r", "two batches that name the same objects deadlock"),
    ),
    "consumer/sql/note_recalled": (
        Lock("order by r.source, r.event_id for update of r", "two batches of the same events deadlock"),
    ),
    "consumer/sql/lock_reported_messages": (
        Lock("pg_advisory_xact_lock(hashtextextended(sid", "a delivery report and what was sent miss each other"),
    ),
    "consumer/sql/lock_instance": (
        Lock(
            "pg_try_advisory_lock(hashtextextended('ratchet consumer ' || $1",
            "two processes with one instance id fence each other off in turns; it lasts as long as the session",
        ),
    ),
    "consumer/dispatcher/sql/claim_refetch": (
        Lock("order by priority, next_attempt_at for update of refetches skip locked", "workers wait for each other"),
    ),
    "consumer/dispatcher/sql/claim_sms": (
        Lock("order by next_attempt_at for update skip locked", "workers wait for each other"),
    ),
    "consumer/dispatcher/sql/queue_debits": (
        Lock("order by coalesce(asked_at, noted_at) for update skip locked", "two ask a bank about one debit twice"),
    ),
    "producers/sql/lock_name": (
        Lock("pg_advisory_xact_lock(hashtextextended($1", "of two requests that come together both are taken"),
    ),
    "producers/sql/lock_for_rebase": (
        Lock(
            "lock table payments, payment_logs, dead_letters, commands, spool, relay_cursors in exclusive mode",
            "a row that is written meanwhile keeps an id of the other cluster",
        ),
    ),
    "producers/sql/move_cursor": (Lock("for share", "a relay that lost its lease meanwhile moves the cursor"),),
    "producers/sql/delete_spool": (Lock("for share", "a relay that lost its lease deletes what another reads"),),
    "producers/sql/read_redrive_next": (
        Lock("order by d.id for no key update of d", "a letter that is discarded meanwhile is published"),
    ),
    "producers/sql/delete_idempotency_records": (
        Lock("order by expires_at for update skip locked", "cleaning waits for a request, and the request for it"),
    ),
    "ops/sql/lock_chains": (
        Lock("order by id for no key update", "a batch adds to a chain whose beginning is being cut off"),
    ),
    "ops/sql/remove_letters": (Lock("order by id for update skip locked", "retention waits for a redrive"),),
    "ops/sql/remove_messages": (Lock("order by id for update skip locked", "retention waits for the dispatcher"),),
    "ops/sql/remove_refetches": (Lock("order by id for update skip locked", "retention waits for the dispatcher"),),
    "ops/sql/remove_body_claims": (Lock("for update skip locked", "retention waits for a batch"),),
    "ops/sql/try_archive_lock": (Lock("pg_try_advisory_lock($1)", "two archivings write one span of rows"),),
    "ops/sql/end_archive_lock": (Lock("pg_advisory_unlock($1)", "the next archiving of this session is refused"),),
    "ops/console/sql/lock_outcome_cursor": (Lock("for update skip locked", "two consoles count an event twice"),),
    "ops/console/sql/lock_recall_orders": (
        Lock("pg_advisory_xact_lock(hashtext('ratchet.recall_orders'))", "more orders are open than may be"),
    ),
    "runtime/sql/guard_lease": (Lock("for share", "a take-over comes between the guard and what it guards"),),
}  # fmt: skip
LASTING = (
    "lock_refs", "lock_refs_only", "lock_letters", "lengthen_deadlines", "read_mark", "read_parking_clock",
    "lock_reported_messages", "lock_name", "lock_for_rebase", "read_redrive_next", "lock_chains", "lock_outcome_cursor",
    "lock_recall_orders", "guard_lease", "end_relay_term",
)  # fmt: skip
"""Statements after which others act on what is locked: without a transaction around all of them they lock nothing."""
CALLED_BY = {
    "consumer/locking_reader.py": ("consumer/transaction.py", "read"),
    "runtime/lease.py": None,
}
"""Files whose caller begins the transaction: who that is; None for `guard`, whose calls are all looked at."""
READ_ONLY = {"ops/parking_standstill.py": "reads another statement of that name, in its own folder"}
PACKAGES = ("consumer", "producers", "ops", "runtime")


@cache
def plain(path: Path) -> str:
    """Return a statement in one line, without its comments."""
    return " ".join(re.sub(r"--.*", "", path.read_text()).split())


def order_before(text: str, end: int) -> str:
    """Return the `order by` that stands in the same brackets before a lock, without its limit."""
    depth, place = 0, end
    while place > 0 and depth <= 0:
        place -= 1
        depth += {"(": 1, ")": -1}.get(text[place], 0)
    inside = text[place:end]
    flat = re.sub(r"\([^()]*\)", lambda found: found[0].replace("order by", "order_by"), inside)
    found = re.findall(r"order by .*?(?= limit | for |$)", flat)
    return f"{found[-1].strip()} " if found else ""


def locks_in(path: Path) -> list[str]:
    """Return the lock clauses of a statement, each with its order."""
    text = plain(path)
    rows = [order_before(text, found.start()) + found[0] for found in ROW_LOCK.finditer(text)]
    return [*rows, *(found[0].strip() for found in OTHER_LOCK.finditer(text))]


def test_every_lock_is_one_that_is_written_down_with_its_reason() -> None:
    found = {
        f"{folder}/{path.stem}": locks
        for folder in FOLDERS
        for path in sorted((ROOT / folder).glob("*.sql"))
        if (locks := locks_in(path))
    }
    assert found == {name: [lock.clause for lock in locks] for name, locks in LOCKS.items()}
    assert all(lock.without for locks in LOCKS.values() for lock in locks)


class Site(NamedTuple):
    """Where Python names a statement, or calls a function."""

    file: str
    function: str
    line: int
    in_transaction: bool


def _begins_transaction(node: ast.AST) -> bool:
    """Tell whether everything in this node is in one transaction."""
    if isinstance(node, ast.AsyncWith):
        opened = [item.context_expr for item in node.items]
        return any(
            isinstance(one, ast.Call)
            and isinstance(one.func, ast.Attribute)
            and one.func.attr in {"transaction", "guarded"}
            for one in opened
        )
    return (  # Transactions.run(lambda connection: ..) of the ingress
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "run"
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr == "_transactions"
    )


def _walk(node: ast.AST, function: str, within: bool) -> Iterator[tuple[ast.AST, str, bool]]:  # noqa: FBT001 - a walk
    yield node, function, within
    begun = within or _begins_transaction(node)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function, begun = node.name, False
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, function, begun)


@cache
def walked(file: str) -> tuple[tuple[ast.AST, str, bool], ...]:
    return tuple(_walk(ast.parse((ROOT / file).read_text()), "", within=False))


@cache
def product() -> dict[str, str]:
    """Return the text of each file of the product."""
    files = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return {str(path.relative_to(ROOT)): path.read_text() for path in files if "bench" not in path.parts}


def files_with(*words: str) -> list[str]:
    """Return the files in which any of these words stands: only they are parsed."""
    return [file for file, text in product().items() if any(word in text for word in words)]


def named(words: tuple[str, ...]) -> Iterator[Site]:
    """Yield where the product names a statement."""
    for file in files_with(*(f'"{word}"' for word in words)):
        for node, function, within in walked(file):
            if isinstance(node, ast.Constant) and node.value in words:
                yield Site(file, function, node.lineno, within)


def calls(file: str, function: str) -> list[Site]:
    """Return where a function or method is called, in one file."""
    return [
        Site(file, within, node.lineno, held)
        for node, within, held in walked(file)
        if isinstance(node, ast.Call) and function in {getattr(node.func, "attr", None), getattr(node.func, "id", None)}
    ]


def in_transaction(site: Site, seen: frozenset[str] = frozenset()) -> bool:
    """Tell whether a site is in a transaction, its own or that of all who call its function."""
    if site.in_transaction:
        return True
    if site.function in seen:
        return True  # it was asked before
    asked = seen | {site.function}
    if site.function == "" and site.file == "producers/relay/rebase.py":
        return all(in_transaction(one, asked) for one in calls(site.file, "_rebase"))
    callers = calls(site.file, site.function)
    if not callers and (elsewhere := CALLED_BY.get(site.file)):
        callers = [one for one in calls(*elsewhere) if one.function == "_transact"]
    return bool(callers) and all(in_transaction(one, asked) for one in callers)


def test_a_lock_that_is_to_last_is_taken_in_the_transaction_of_what_follows() -> None:
    sites = [one for one in named(LASTING) if one.file not in READ_ONLY and one.file != "runtime/lease.py"]
    assert {one.file for one in sites} >= {"consumer/sweeper.py", "ops/retention.py", "producers/relay/rebase.py"}
    assert [one for one in sites if not in_transaction(one)] == []


def test_a_lease_is_guarded_in_the_transaction_that_it_guards() -> None:
    sites = [one for file in files_with("guard(") for one in calls(file, "guard") if file != "runtime/lease.py"]
    assert len(sites) >= 10
    assert [one for one in sites if not in_transaction(one)] == []


ISOLATED = {
    (
        "ops/audit.py",
        "_step",
    ): "a payment and its rows are of one moment, or a batch between them seems a forger",
    ("ops/archive_run.py", "_prove_chains"): "the same, of what goes into the archive",
    ("ops/publish_check.py", "check_beside_ledger"): "facts, parked events and letters of one moment",
    ("ops/redrive_preview.py", "foresee"): "what is foreseen is of one moment, and writes nothing",
}


def test_who_reads_more_than_once_reads_of_one_moment() -> None:
    found = {}
    for file in files_with("isolation="):
        for node, function, _ in walked(file):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "transaction" and node.keywords:
                found[file, function] = {one.arg: ast.literal_eval(one.value) for one in node.keywords}
    assert found == {place: {"isolation": "repeatable_read", "readonly": True} for place in ISOLATED}
