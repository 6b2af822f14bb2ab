from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from runtime import schema_dump
from runtime.migrations import migrate_down, migrate_up, migration_status
from schemas.errors import MigrationError, StackError, UnavailableError

if TYPE_CHECKING:
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

SCHEMA = Path("migrations/schema.sql").read_text(encoding="utf-8")
GRANTS = "grant select on all tables in schema public to public"


@pytest.fixture
async def empty(stack: Endpoints):
    """Give a database without any schema, as the owner's DSN."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    superuser = await asyncpg.connect(stack.superuser_dsn)
    owner = stack.owner_dsn.split("//")[1].split(":")[0]
    await superuser.execute(f"create database {name} owner {owner}")
    yield stack.owner_dsn.rsplit("/", 1)[0] + f"/{name}"
    await superuser.execute(f"drop database {name} with (force)")
    await superuser.close()


@pytest.fixture
def app(stack: Endpoints) -> str:
    return stack.dsn.split("//")[1].split(":")[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001_create_one.sql", "create table one (id int)", "drop table one")
    write(tmp_path, "0002_create_two.sql", "create table two (id int)", "drop table two")
    (tmp_path / "grants.sql").write_text(GRANTS)
    return tmp_path


def write(folder: Path, name: str, up: str, down: str) -> None:
    (folder / name).write_text(f"-- migrate:up\n{up};\n-- migrate:down\n{down};\n")


async def tables(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row[0] for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'")}
    finally:
        await connection.close()


async def test_two_at_once_apply_each_file_once(empty: str, app: str):
    done = await asyncio.gather(*(migrate_up(empty, app) for _ in range(3)))
    assert sorted(map(len, done)) == [0, 0, len(await migration_status(empty))]
    assert {one.state for one in await migration_status(empty)} == {"applied"}


async def test_down_undoes_and_up_does_again(empty: str, app: str, folder: Path):
    assert [one.state for one in await migration_status(empty, folder=folder)] == ["pending", "pending"]
    assert await migrate_up(empty, app, folder=folder) == ["0001_create_one", "0002_create_two"]
    assert await migrate_down(empty, app, folder=folder) == ["0002_create_two"]
    assert await tables(empty) == {"one", "schema_migrations"}
    assert await migrate_down(empty, app, steps=5, folder=folder) == ["0001_create_one"]
    assert await migrate_down(empty, app, folder=folder) == []
    assert await migrate_up(empty, app, folder=folder) == ["0001_create_one", "0002_create_two"]


async def test_migrations_are_known_in_the_order_of_their_numbers(empty: str, app: str, folder: Path):
    """Not in that in which their rows lie: one that was written again lies behind the others."""
    await migrate_up(empty, app, folder=folder)
    connection = await asyncpg.connect(empty)
    await connection.execute("update schema_migrations set applied_at = now() where version = 1")
    assert [row[0] for row in await connection.fetch("select version from schema_migrations")] == [2, 1]
    await connection.close()
    assert [one.version for one in await migration_status(empty, folder=folder)] == [1, 2]
    assert await migrate_up(empty, app, folder=folder) == []


async def test_no_row_is_of_a_migration_that_no_file_could_be(empty: str, app: str, folder: Path):
    await migrate_up(empty, app, folder=folder)
    connection = await asyncpg.connect(empty)
    sql = "insert into schema_migrations (version, name, checksum) values ($1, 'x', repeat('0', $2))"
    for version, letters in ((0, 64), (-1, 64), (3, 63), (3, 65)):
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(sql, version, letters)
    await connection.close()


async def test_real_files_go_down_to_nothing(empty: str, app: str):
    await migrate_up(empty, app)
    await migrate_down(empty, app, steps=99)
    assert await tables(empty) == {"schema_migrations"}


async def test_edited_and_missing_files_are_refused_by_name(empty: str, app: str, folder: Path):
    await migrate_up(empty, app, folder=folder)
    write(folder, "0002_create_two.sql", "create table two (id bigint)", "drop table two")
    for attempt in (migrate_up, migrate_down):
        with pytest.raises(MigrationError, match=r"0002_create_two\.sql is not the file that was applied"):
            await attempt(empty, app, folder=folder)
    assert [one.state for one in await migration_status(empty, folder=folder)] == ["applied", "edited"]
    (folder / "0002_create_two.sql").unlink()
    with pytest.raises(MigrationError, match=r"0002_create_two\.sql is missing"):
        await migrate_up(empty, app, folder=folder)
    assert [one.state for one in await migration_status(empty, folder=folder)] == ["applied", "missing"]


async def test_failing_file_is_rolled_back_whole_and_named(empty: str, app: str, folder: Path):
    write(folder, "0002_create_two.sql", "create table two (id int); select 1/0", "drop table two")
    with pytest.raises(MigrationError, match="0002_create_two failed and nothing of it was applied: division by zero"):
        await migrate_up(empty, app, folder=folder)
    assert await tables(empty) == {"one", "schema_migrations"}
    write(folder, "0002_create_two.sql", "create table two (id int)", "drop table two")
    assert await migrate_up(empty, app, folder=folder) == ["0002_create_two"]


@pytest.mark.parametrize("failing", ["grants.sql", "0001_create_one.sql"])
async def test_a_down_that_fails_half_way_says_what_is_undone(empty: str, app: str, folder: Path, failing: str):
    """What is undone stays undone: to say that nothing was would have the next one undone too."""
    await migrate_up(empty, app, folder=folder)
    if failing == "grants.sql":
        (folder / failing).write_text("select 1/0")
    else:
        connection = await asyncpg.connect(empty)
        await connection.execute("create view on_one as select id from one")
        await connection.close()
    with pytest.raises(MigrationError) as failed:
        await migrate_down(empty, app, steps=1 if failing == "grants.sql" else 2, folder=folder)
    message = str(failed.value)
    assert message.startswith(
        "0002_create_two undone, what the roles may do is as before: " + failing.partition(".sql")[0]
    )
    assert message.endswith("`up` applies them again and sets what the roles may do")
    assert [one.state for one in await migration_status(empty, folder=folder)] == ["applied", "pending"]


async def test_role_without_the_right_or_unknown_is_reported_in_words(database: Database, empty: str, folder: Path):
    with pytest.raises(MigrationError, match="role 'nobody_here' does not exist"):
        await migrate_up(empty, "nobody_here", folder=folder)
    with pytest.raises(MigrationError, match="OWNER_DSN lacks a right"):
        await migrate_down(database.dsn, "ratchet")


async def test_owner_that_is_the_application_needs_no_grants(empty: str, folder: Path):
    (folder / "grants.sql").write_text("select 1/0")
    owner = empty.split("//")[1].split(":", maxsplit=1)[0]
    assert await migrate_up(empty, owner, folder=folder) == ["0001_create_one", "0002_create_two"]


async def test_what_others_own_in_the_schema_is_left_alone(stack: Endpoints, empty: str, app: str):
    superuser = await asyncpg.connect(stack.superuser_dsn.rsplit("/", 1)[0] + "/" + empty.rsplit("/", 1)[1])
    try:
        await superuser.execute("create table somebody_else (id int)")
        await superuser.execute("create function of_somebody_else() returns int language sql as 'select 1'")
        await migrate_up(empty, app)
        for right, has in (("insert", True), ("truncate", False)):
            sql = "select has_table_privilege($1, 'payments', $2)"
            assert await superuser.fetchval(sql, app, right) is has
    finally:
        await superuser.close()


async def test_no_server_is_unavailable():
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await migrate_up("postgresql://x@127.0.0.1:1/x", "app")


async def test_application_can_append_to_the_ledger_and_not_alter_it(database: Database):
    connection = await asyncpg.connect(database.dsn)
    for sql in (
        "update payment_logs set amount = 1",
        "delete from payment_logs",
        "truncate payment_logs",
        "alter table payment_logs add column x int",
        "drop table payments",
        "delete from dead_letters",
        "update schema_migrations set checksum = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(sql)
    assert await connection.fetchval("select has_table_privilege('payment_logs', 'insert')")
    await connection.close()


async def test_schema_file_is_what_the_migrations_make(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setenv("RATCHET_POSTGRES__OWNER_DSN", database.owner_dsn)
    dumped = schema_dump.dump(database.owner_dsn)
    assert schema_dump.difference(SCHEMA, dumped) == ""
    monkeypatch.setattr(schema_dump, "SCHEMA_FILE", tmp_path / "schema.sql")
    assert schema_dump.main([]) == 0
    assert schema_dump.main(["--check"]) == 0
    (tmp_path / "schema.sql").write_text(dumped.replace("CREATE TABLE public.spool", "CREATE TABLE public.spools"))
    assert schema_dump.main(["--check"]) == 1
    assert "-CREATE TABLE public.spools (" in capsys.readouterr().err


def test_dump_of_no_database_says_so():
    with pytest.raises(StackError, match="pg_dump failed"):
        schema_dump.dump("postgresql://x:secret@127.0.0.1:1/x")
