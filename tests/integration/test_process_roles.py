"""Each process's database role may do what its statements need, and nothing that others are for.

What a process needs is read from its own source: every statement that it names is explained under its role, which
checks the rights as running it would.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from runtime.migrations import migrate_up
from tests.conftest import role_of, run_as_superuser, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PROCESSES = ("ingress", "consumer", "relay", "dispatcher", "console", "ops")
SHARED = (
    "runtime/sql",
    ("acquire_lease", "guard_lease", "release_lease", "renew_lease", "note_topic_prefix", "read_topic_prefix",
     "read_schema_version"),
)  # fmt: skip
"""What processes ask of Postgres by the same code, those that may: leases, whose topics it is of, its schema."""
WITH_LEASES = {"consumer", "relay", "dispatcher"}
Borrowing = tuple[tuple[str, ...], tuple[str, ...]]
SOURCES: dict[str, tuple[Borrowing, ...]] = {
    "ingress": ((("producers/ingress/**/*.py",), ("producers/sql",)),),
    "relay": ((("producers/relay/*.py",), ("producers/sql", "runtime/sql")),),
    "consumer": ((("consumer/*.py",), ("consumer/sql", "runtime/sql")),),
    "dispatcher": ((("consumer/dispatcher/*.py",), ("consumer/dispatcher/sql", "consumer/sql", "runtime/sql")),),
    "console": (
        (
            (
                "ops/console/**/*.py",
                "ops/redrives.py",
                "ops/redrive_preview.py",
                "ops/dry_run.py",
                "ops/snapshot_reader.py",
                "ops/audit.py",
                "ops/letter_erasure.py",
                "ops/letter_notes.py",
                "ops/operators.py",
                "ops/audit_actions.py",
                "ops/parking_standstill.py",
                "ops/payment_search.py",
                "ops/payment_timeline.py",
                "ops/status.py",
            ),
            ("ops/console/sql", "ops/sql"),
        ),
        (("ops/availability.py",), ("runtime/sql",)),
        (("consumer/reads.py",), ("consumer/sql",)),
    ),
    "ops": (
        (("ops/*.py",), ("ops/sql",)),
        (("ops/availability.py", "ops/archive_run.py", "ops/doctor.py"), ("runtime/sql",)),
        (("ops/recalls.py", "consumer/dispatcher/recall_rows.py"), ("consumer/dispatcher/sql",)),
        (("consumer/reads.py",), ("consumer/sql",)),
    ),
}
"""Modules of each process, and in which folders the statements are that they name."""
AS_OWNER = {
    "rebase_changes", "rebase_cursors", "rebase_commands", "rebase_letters", "rebase_payments", "rebase_spool",
    "lock_for_rebase", "list_old_rows", "lock_chains", "move_anchors", "move_anchor_without_payment", "remove_rows",
    "remove_letters", "forget_erased", "remove_messages", "remove_refetches", "remove_body_claims",
}  # fmt: skip
"""What only `migrate rebase`, `audit retain` and `dlq retain` run, as the schema's owner."""
FORBIDDEN = """
select table_name || '.' || privilege_type as what from information_schema.role_table_grants where grantee = $1
union all
select distinct table_name || '.' || privilege_type from information_schema.column_privileges where grantee = $1
"""
APPENDED = {f"{table}.{right}" for table in ("payment_logs", "operator_actions", "erased_letters", "ledger_anchors",
                                                "operator_action_heads")
            for right in ("UPDATE", "DELETE", "TRUNCATE")}  # fmt: skip
MONEY = {f"{table}.{right}" for table in ("payments", "payment_refs", "payment_logs")
         for right in ("INSERT", "UPDATE", "DELETE")}  # fmt: skip


def files_of(patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def statements_of(process: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of every statement that a process's source names."""
    for patterns, folders in SOURCES[process]:
        words = set(re.findall(r'"([a-z_]+)"', " ".join(path.read_text() for path in files_of(patterns))))
        for folder in folders:
            for path in sorted((ROOT / folder).glob("*.sql")):
                if path.stem not in AS_OWNER and path.stem in words:
                    yield f"{folder}/{path.name}", path.read_text()
    if process in WITH_LEASES:
        yield from shared()


BORROWED: dict[str, dict[str, str]] = {
    "console": {
        "ops/people.py": "its two statements that the console runs are in NOT_IN_A_FILE",
        "ops/tokens.py": "likewise",
    },
    "ops": {
        "producers/ingress/hints.py": "the API's description is made of the ingress's types",
        "producers/ingress/intents/idempotency.py": "likewise",
        "producers/relay/cluster.py": "`migrate rebase` and `up` run it as the schema's owner",
        "producers/relay/rebase.py": "likewise",
    },
}
"""Modules with statements that a process's own lead to by their imports, and why not all of these are the process's."""
NOT_IN_A_FILE: dict[str, tuple[str, ...]] = {
    "consumer": ("insert into payment_logs default values",),
    "ingress": ("insert into spool (topic) select topic from spool where false",),
    "ops": ((ROOT / "producers/sql/insert_spool.sql").read_text(),),
    "console": tuple((ROOT / "ops/sql" / f"{name}.sql").read_text() for name in ("remove_operator", "remove_token")),
}
"""What a process runs beside those: the ledger's COPY, the question whether the spool takes records, what a recall
spools by hand, and of the modules that the command line has in common with the console what an admin may do there."""
FOR_PEOPLE = {"ops": {"epochs.SELECT": "the runbook has people look at it where a database is older than Kafka"}}
"""What no statement of a process needs, and why it has it all the same."""
RIGHTS = """
select format('%I', c.relname) as on_what, null as column_name, a.privilege_type as right
from pg_class c cross join lateral aclexplode(c.relacl) a
where c.relnamespace = 'public'::regnamespace and a.grantee = $1::text::regrole
union all
select format('%I', c.relname), t.attname, a.privilege_type
from pg_class c join pg_attribute t on t.attrelid = c.oid and t.attnum > 0 cross join lateral aclexplode(t.attacl) a
where c.relnamespace = 'public'::regnamespace and a.grantee = $1::text::regrole
order by 1, 2, 3
"""
REFUSES = """
create function refuses(asked text[]) returns boolean language plpgsql as $$
declare
    one text;
begin
    foreach one in array asked loop
        execute 'explain (generic_plan) ' || one;
    end loop;
    return false;
exception when insufficient_privilege then
    return true;
end
$$
"""


def shared() -> Iterator[tuple[str, str]]:
    """Yield the statements that processes share."""
    for name in SHARED[1]:
        yield f"{SHARED[0]}/{name}.sql", (ROOT / SHARED[0] / f"{name}.sql").read_text()


@pytest.fixture
async def granted(stack: Endpoints, database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Give a superuser's connection to a database whose processes have roles of their own."""
    makes = [
        f"do $$ begin if to_regrole('ratchet_{one}') is null then create role ratchet_{one} login; end if; end $$"
        for one in PROCESSES
    ]
    await run_as_superuser(stack, *makes)
    await migrate_up(database.owner_dsn, role_of(database.dsn))
    name = database.dsn.rpartition("/")[2]
    connection = await asyncpg.connect(with_database(stack.superuser_dsn, name))
    yield connection
    await connection.close()


def names_statements(path: Path) -> bool:
    """Tell whether a module names a statement of any folder."""
    folders = {folder for parts in SOURCES.values() for _, folders in parts for folder in folders}
    stems = {one.stem for folder in folders for one in (ROOT / folder).glob("*.sql")}
    return not stems.isdisjoint(re.findall(r'"([a-z_]+)"', path.read_text()))


@pytest.mark.parametrize("process", PROCESSES)
def test_whose_statements_a_process_borrows_is_read_too(process: str) -> None:
    """What its modules import of others', and what that imports; else a right looks as if nobody needed it."""
    read = {path for patterns, _ in SOURCES[process] for path in files_of(patterns)}
    found, left = set(read), sorted(read)
    while left:
        text = left.pop().read_text()
        for package, names in re.findall(r"^(?:    )*from ([a-z_.]+) import ([^#\n(]+)", text, re.MULTILINE):
            for module in (package, *(f"{package}.{name.strip()}" for name in names.split(","))):
                path = ROOT / f"{module.replace('.', '/')}.py"
                if module.partition(".")[0] in {"consumer", "producers", "ops"} and path.exists() and path not in found:
                    found.add(path)
                    left.append(path)
    borrowed = {str(path.relative_to(ROOT)) for path in found - read if names_statements(path)}
    assert borrowed == BORROWED.get(process, {}).keys()


@pytest.mark.parametrize("process", PROCESSES)
async def test_a_process_may_run_its_own_statements(granted: Any, process: str) -> None:
    found = dict(statements_of(process))
    assert len(found) >= 5
    await granted.execute(f"set role ratchet_{process}")
    refused = {}
    for name, text in found.items():
        try:
            await granted.execute(f"explain (generic_plan) {text}")
        except asyncpg.InsufficientPrivilegeError as error:
            refused[name] = str(error)
    assert refused == {}


@pytest.mark.parametrize("process", PROCESSES)
async def test_a_process_has_no_right_that_its_statements_do_not_need(granted: Any, process: str) -> None:
    """Each right is taken away by itself: a statement must be refused then, or nothing needs it."""
    role = f"ratchet_{process}"
    asked = [
        *(text for _, text in statements_of(process)),
        *NOT_IN_A_FILE.get(process, ()),
        *(text for _, text in shared()),
    ]
    await granted.execute(REFUSES)
    found, unused = await granted.fetch(RIGHTS, role), set()
    assert len(found) >= 5
    await granted.execute(f"set role {role}")
    asked = [text for text in asked if not await granted.fetchval("select refuses($1)", [text])]
    await granted.execute("reset role")
    for table, column, right in found:
        theirs = [text for text in asked if re.search(rf"\b{table}\b", text)]
        undone = granted.transaction()
        await undone.start()
        await granted.execute(f"revoke {right} {f'({column})' if column else ''} on {table} from {role}")
        await granted.execute(f"set local role {role}")
        if not await granted.fetchval("select refuses($1)", theirs):
            unused.add(f"{table}.{column}.{right}" if column else f"{table}.{right}")
        await undone.rollback()
    assert unused == FOR_PEOPLE.get(process, {}).keys()


async def rights_of(connection: Any, role: str) -> set[str]:
    return {row["what"] for row in await connection.fetch(FORBIDDEN, role)}


async def test_nobody_may_alter_what_is_only_appended(granted: Any, database: Database) -> None:
    for role in (role_of(database.dsn), *(f"ratchet_{process}" for process in PROCESSES)):
        assert await rights_of(granted, role) & APPENDED == set(), role


async def test_money_moves_in_the_consumer_alone(granted: Any) -> None:
    for process in PROCESSES:
        held = await rights_of(granted, f"ratchet_{process}") & MONEY
        assert (held != set()) is (process == "consumer"), process


@pytest.mark.parametrize(
    ("process", "right"),
    [
        ("ingress", "dead_letters.SELECT"),
        ("ingress", "relay_cursors.UPDATE"),
        ("ingress", "console_keys.SELECT"),
        ("consumer", "spool.INSERT"),
        ("consumer", "relay_cursors.UPDATE"),
        ("consumer", "console_sessions.SELECT"),
        ("relay", "payment_logs.INSERT"),
        ("dispatcher", "dead_letters.INSERT"),
        ("console", "dead_letters.INSERT"),
        ("console", "spool.INSERT"),
        ("ops", "console_sessions.SELECT"),
        ("ops", "operators.UPDATE"),
        ("console", "operators.INSERT"),
        ("ingress", "operators.SELECT"),
        ("consumer", "operators.SELECT"),
        ("relay", "operators.SELECT"),
        ("dispatcher", "operators.SELECT"),
    ],
)
async def test_what_is_another_process_s(granted: Any, process: str, right: str) -> None:
    assert right not in await rights_of(granted, f"ratchet_{process}")


async def test_a_letter_s_bytes_are_nobody_s_to_change(granted: Any, database: Database) -> None:
    columns = await granted.fetch(
        "select grantee, column_name from information_schema.column_privileges"
        " where table_name = 'dead_letters' and privilege_type = 'UPDATE' and grantee like 'ratchet\\__%'"
        " and grantee <> $1", role_of(database.owner_dsn),
    )  # fmt: skip
    assert {row["column_name"] for row in columns} <= {"status", "delivery_count", "redrive_count"}


@pytest.mark.parametrize(
    ("process", "right", "columns"),
    [
        ("dispatcher", "select", "dead_letters.key dead_letters.value dead_letters.header_values"),
        ("dispatcher", "select", "parked_events.key parked_events.value parked_events.header_values"),
        ("consumer", "select", "spool.key spool.value spool.header_values"),
        ("ops", "select", "operator_tokens.digest"),
        ("consumer", "update", "commands.amount commands.command intent_claims.amount intent_claims.answer"),
        ("consumer", "update", "recalled_events.lost_at recalled_events.history"),
        ("dispatcher", "update", "recall_orders.requested_by recall_orders.because recall_orders.dry_run"),
        ("console", "update", "recall_orders.requested_by recall_orders.because recall_orders.dry_run"),
        ("console", "insert", "operator_actions.db_role operator_actions.hash operator_actions.acted_at"),
        ("ops", "insert", "operator_actions.db_role operator_actions.hash operator_actions.acted_at"),
    ],
)
async def test_what_stands_beside_what_a_process_needs_is_kept_from_it(
    granted: Any, process: str, right: str, columns: str
) -> None:
    """Who talks to the outside reads no body, and whose order it was nobody rewrites."""
    asked = [tuple(name.split(".")) for name in columns.split()]
    sql = "select has_column_privilege($1, $2, $3, $4)"
    may = [name for name in asked if await granted.fetchval(sql, f"ratchet_{process}", *name, right)]
    assert may == []


async def test_a_password_s_hash_is_the_console_s(granted: Any) -> None:
    may = [
        process
        for process in PROCESSES
        if await granted.fetchval(
            "select has_column_privilege($1, 'operators', 'password_hash', 'select')", f"ratchet_{process}"
        )
    ]
    assert may == ["console"]
    changed = "select has_column_privilege('ratchet_console', 'operators', 'role', 'update')"
    assert not await granted.fetchval(changed), "nobody gets another role by way of the console"


@pytest.mark.parametrize(
    ("function", "processes"),
    [
        ("redact_dead_letter(bigint, text, text, text)", ["console", "ops"]),
        ("surviving_payment(uuid)", ["ingress", "consumer", "dispatcher", "ops"]),
    ],
)
async def test_a_function_is_for_those_who_ask_it(granted: Any, function: str, processes: list[str]) -> None:
    may = [
        process
        for process in PROCESSES
        if await granted.fetchval("select has_function_privilege($1, $2, 'execute')", f"ratchet_{process}", function)
    ]
    assert may == processes


async def test_who_waits_no_more_takes_its_names_along(granted: Any) -> None:
    """Names go by the schema, with the owner's rights: the consumer removes the event and may not touch them itself."""
    await granted.execute(
        "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)"
        " values ('p', '', '', true, 'payment', 'r');"
        ' insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition, "offset",'
        " timestamp_ms, header_names, header_values, parked_at, deadline)"
        " values ('p', 'e', 'k', 'orphan', '', '[]', 't', 0, 0, 0, '{}', '{}', now(), now());"
        " insert into parked_refs (provider, account, merchant_account, livemode, kind, ref, parked_id)"
        " select 'p', '', '', true, 'payment', 'r', id from parked_events"
    )
    await granted.execute("set role ratchet_consumer")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await granted.execute("delete from parked_refs")
    assert await granted.execute("delete from parked_events") == "DELETE 1"
    assert await granted.fetchval("select count(*) from parked_refs") == 0
