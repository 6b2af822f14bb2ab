from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from runtime import schema_dump
from runtime.migrations import Applied, Migration, check_history, compare, parse, read_files, statements_of
from schemas.errors import MigrationError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

GOOD = "-- migrate:up\ncreate table t (id int);\n\n-- migrate:down\ndrop table t;\n"
WHEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def applied(migration: Migration, **changes: object) -> Applied:
    values = {"version": migration.version, "name": migration.name, "checksum": migration.checksum} | changes
    return Applied(**values, applied_at=WHEN)


def migrations(count: int) -> list[Migration]:
    return [parse(f"{number:04d}_create_t{number}.sql", GOOD) for number in range(1, count + 1)]


def test_file_is_split_and_its_checksum_ignores_line_ends():
    migration = parse("0007_create_t.sql", GOOD)
    assert (migration.version, migration.name, migration.title) == (7, "create_t", "0007_create_t")
    assert (migration.up, migration.down) == ("create table t (id int);", "drop table t;")
    assert parse("0007_create_t.sql", GOOD.replace("\n", "\r\n")) == migration
    assert parse("0007_create_t.sql", GOOD + " ").checksum != migration.checksum


def test_a_half_may_run_without_a_transaction_statement_by_statement():
    text = GOOD.replace("-- migrate:up", "-- migrate:up transaction:false")
    migration = parse("0007_create_t.sql", text)
    assert migration.in_transaction == {"-- migrate:up transaction:false", "-- migrate:down"}
    assert (migration.up, migration.down) == ("create table t (id int);", "drop table t;")
    half = "-- so; how\ndrop index concurrently if exists a;\ncreate index concurrently a\n on t (b); \nselect ';' as x"
    assert statements_of(half) == [
        "drop index concurrently if exists a", "create index concurrently a\n on t (b)", "select ';' as x"
    ]  # fmt: skip
    with pytest.raises(MigrationError, match="must begin"):
        parse("0007_create_t.sql", GOOD.replace("-- migrate:up", "-- migrate:up transaction:true"))


@pytest.mark.parametrize(
    "name", ["1_create_t.sql", "0001_create.sql", "0001-create-t.sql", "0001_Create_t.sql", "x.sql"]
)
def test_bad_name_is_refused(name: str):
    with pytest.raises(MigrationError, match=r"not named NNNN_verb_noun\.sql"):
        parse(name, GOOD)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("create table t ();", "must begin"),
        ("-- migrate:up\nselect 1;", "must begin"),
        ("-- migrate:down\nselect 1;\n-- migrate:up\nselect 1;", "must begin"),
        ("select 1;\n" + GOOD, "must begin"),
        (GOOD + GOOD, "must begin"),
        ("-- migrate:up\n\n-- migrate:down\nselect 1;", "empty half"),
        ("-- migrate:up\nselect 1;\n-- migrate:down\n", "empty half"),
    ],
)
def test_bad_halves_are_refused(text: str, complaint: str):
    with pytest.raises(MigrationError, match=complaint):
        parse("0001_create_t.sql", text)


def test_folder_is_read_in_order_and_may_have_no_gap(tmp_path: Path):
    for name in ("0002_add_b.sql", "0001_add_a.sql", "grants.sql", "schema.sql", "README.md"):
        (tmp_path / name).write_text(GOOD)
    assert [migration.name for migration in read_files(tmp_path)] == ["add_a", "add_b"]
    (tmp_path / "0004_add_d.sql").write_text(GOOD)
    with pytest.raises(MigrationError, match=r"0004_add_d\.sql is number 0004 where 0003 must stand"):
        read_files(tmp_path)
    (tmp_path / "0004_add_d.sql").rename(tmp_path / "0002_add_d.sql")
    with pytest.raises(MigrationError, match=r"0002_add_d\.sql is number 0002 where 0003 must stand"):
        read_files(tmp_path)


def test_history_must_be_an_unchanged_prefix_of_the_files():
    files = migrations(3)
    for count in range(4):
        check_history(files, [applied(file) for file in files[:count]])
    with pytest.raises(MigrationError, match=r"0002_create_t2\.sql is not the file that was applied"):
        check_history(files, [applied(files[0]), applied(files[1], checksum="0" * 64)])
    with pytest.raises(MigrationError, match="applied as 0001_create_other"):
        check_history(files, [applied(files[0], name="create_other")])
    with pytest.raises(MigrationError, match=r"0003_create_t3\.sql is missing"):
        check_history(files[:2], [applied(file) for file in files])
    with pytest.raises(MigrationError, match="0003_create_t3 is applied, but 0002_create_t2 before it is not"):
        check_history(files, [applied(files[0]), applied(files[2])])


def test_status_of_each_file():
    files = migrations(3)
    rows = [applied(files[0]), applied(files[1], checksum="0" * 64), applied(files[0], version=9)]
    found = compare(files, rows)
    assert [(one.version, one.state) for one in found] == [
        (1, "applied"),
        (2, "edited"),
        (3, "pending"),
        (9, "missing"),
    ]
    assert found[2].applied_at is None


def test_dump_loses_what_changes_from_run_to_run():
    dump = (
        "--\n-- Dumped by 18.1\n--\n\\restrict aBc\nSET x = 1;\nSELECT pg_catalog.set_config('a', '', false);\n\n"
        "CREATE TABLE t ();   \n\n\n\n--\n\nALTER TABLE t;\n\\unrestrict aBc\n"
    )
    assert schema_dump.stable(dump) == f"{schema_dump.HEADER}CREATE TABLE t ();\n\nALTER TABLE t;\n"
    assert schema_dump.difference("a\n", "a\n") == ""
    assert "-a\n+b\n" in schema_dump.difference("a\n", "b\n")
