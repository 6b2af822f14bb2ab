"""A migration of today stands on tables that are large and in use: what would hold them up for long is refused."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from runtime.migrations import UP_MARK, Migration, parse, read_files

pytestmark = pytest.mark.unit

RELEASED = 37
"""The schema of 0.1.0: what came before stood on tables without rows."""
TABLE = re.compile(r"create (?:unlogged )?table (?:if not exists )?(\w+)")
INDEX = re.compile(r"create (?:unique )?index (concurrently )?(?:if not exists )?(\w+)\s+on (\w+)")
LATER = "add it `not valid`, and validate it in the next file"
SCANS = {
    "set not null": "reads the whole table under an exclusive lock: add a check `not valid`, validate it later",
    "alter column [a-z_]+ (set data )?type": "writes the whole table anew: add a column and fill it in steps",
    "add (column .*)?(unique|primary key)": "builds an index under a lock: build it concurrently, then `using index`",
    "add constraint (?!.*(not valid|using index))": f"reads the whole table under a lock: {LATER}",
    "add check": f"reads the whole table under a lock: give it a name, {LATER}",
    "default (gen_random_uuid|clock_timestamp|nextval|random)": "a volatile default writes the whole table anew",
    "(drop|rename) (column|table)": "contracts: only what no release that may still run asks for, in CONTRACTED",
}
CONTRACTED: frozenset[str] = frozenset()
"""Files that drop or rename what the release before no longer asks for."""


def problems(migration: Migration) -> list[str]:
    """Say what of a file would hold a table that was there before it for as long as the table is large."""
    text = re.sub(r"--.*", "", migration.up.lower())
    made = set(TABLE.findall(text))
    found = []
    for concurrently, name, table in INDEX.findall(text):
        if table in made:
            continue
        if not concurrently or UP_MARK in migration.in_transaction:
            found.append(f"index {name} is built while {table} is locked: `{UP_MARK} transaction:false`, concurrently")
        elif f"drop index concurrently if exists {name}" not in text:
            found.append(f"index {name} may be there half built after a crash: drop it before, `if exists`")
    for statement in (one.strip() for one in text.split(";")):
        altered = re.match(r"alter table (?:only )?(\w+)", statement)
        if altered is None or altered[1] in made or migration.title in CONTRACTED:
            continue
        plain = " ".join(statement.split())
        found += [f"{altered[1]}: {why}" for pattern, why in SCANS.items() if re.search(pattern, plain)]
    return found


def file(up: str, *, alone: bool = False) -> Migration:
    mark = f"{UP_MARK} transaction:false" if alone else UP_MARK
    return parse("0099_change_it.sql", f"{mark}\n{up}\n-- migrate:down\nselect 1;\n")


@pytest.mark.parametrize(
    "up",
    [
        "create index a on payments (b);",
        "create index concurrently a on payments (b);",
        "alter table payments alter column b set not null;",
        "alter table payments add column b uuid default gen_random_uuid();",
        "alter table payments add constraint c check (b > 0);",
        "alter table payments add constraint c unique (b);",
        "alter table payments alter b type bigint, alter column b type bigint;",
        "alter table payments drop column b;",
    ],
)
def test_what_holds_a_large_table_is_seen(up: str) -> None:
    assert problems(file(up)) != []


@pytest.mark.parametrize(
    ("up", "alone"),
    [
        ("drop index concurrently if exists a;\ncreate index concurrently a on payments (b);", True),
        (
            "create table t (b int unique);\ncreate index a on t (b);\nalter table t add constraint c check (b > 0);",
            False,
        ),
        ("alter table payments add column b text, add column c integer not null default 0;", False),
        ("alter table payments add constraint c check (b > 0) not valid;", False),
        ("alter table payments validate constraint c;", False),
    ],
)
def test_what_holds_it_for_a_moment_is_let_through(up: str, alone: bool) -> None:  # noqa: FBT001
    assert problems(file(up, alone=alone)) == []


def test_an_index_that_a_crash_may_leave_half_built_is_dropped_before() -> None:
    (one,) = problems(file("create index concurrently a on payments (b);", alone=True))
    assert "half built" in one


def test_no_migration_since_the_release_holds_a_large_table() -> None:
    files = read_files(resources.files("migrations"))
    found = {one.title: wrong for one in files if one.version > RELEASED and (wrong := problems(one))}
    assert found == {}
