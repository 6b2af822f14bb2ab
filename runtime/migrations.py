"""Migrations: the schema's history as files, applied in order under a lock, checked by checksum.

A file `NNNN_verb_noun.sql` has a `-- migrate:up` and a `-- migrate:down` half (the format of dbmate). Each half runs in
one transaction together with its row of `schema_migrations`, so a file is applied or it is not. All of it happens under
one advisory lock of Postgres: of two that start at once, one applies and the other waits and finds nothing to do. A
file waits for a table for a moment at a time, so that live traffic never queues behind it for long. What must not stand
in a transaction says so as dbmate does, `-- migrate:up transaction:false`: that is how an index of a large table is
built (`create index concurrently`) while batches go on. Its statements run one after the other, each must bear to be
run again, and its row is written at the end. `grants.sql` runs after every `up`: what the application's role may do is
stated once, for the schema as it now stands.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final, Literal

import asyncpg

from runtime.postgres import EVERY_SESSION, OUTAGE_ERRORS
from runtime.postgres_hosts import Hosts
from runtime.retry import delays
from runtime.sql import statement
from schemas.errors import MigrationError, UnavailableError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from importlib.resources.abc import Traversable

    from runtime.postgres import Connection

LOCK_KEY: Final = 0x5241_5443_4845_5400
"""The advisory lock of all migrations of a database: "RATCHET" in ASCII."""
LOCK_WAIT_SECONDS: Final = 120
"""How long an `up` waits for another one, and at most for a table that is in use."""
LOCK_TRY_SECONDS: Final = 0.3
"""How long a file waits for one lock: whoever comes after it waits behind it for as long. Then it gives back what it
has and is tried again, so a reader that stays holds up the migration alone. Less than Postgres's deadlock_timeout."""
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 4.0
"""The first and the longest pause before the next try; the first is also that between tries for the advisory lock."""
CONNECT_TIMEOUT_SECONDS: Final = 10.0
FILE_NAME: Final = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9]+(?:_[a-z0-9]+)+)\.sql")
NOT_MIGRATIONS: Final = frozenset({"grants.sql", "schema.sql"})
UP_MARK: Final = "-- migrate:up"
DOWN_MARK: Final = "-- migrate:down"
ALONE: Final = " transaction:false"

State = Literal["applied", "pending", "edited", "missing"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `checksum` is the SHA-256 of its text, in hex; line ends do not count.

    A half that is not in `in_transaction` runs statement by statement.
    """

    version: int
    name: str
    up: str
    down: str
    checksum: str
    in_transaction: frozenset[str] = frozenset((UP_MARK, DOWN_MARK))

    @property
    def title(self) -> str:
        """The file's name without its ending."""
        return title_of(self.version, self.name)


@dataclass(frozen=True, slots=True)
class Applied:
    """One row of `schema_migrations`."""

    version: int
    name: str
    checksum: str
    applied_at: dt.datetime


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where one migration stands in one database; `applied_at` is None while it is pending.

    `edited`: the file is not the one that was applied. `missing`: applied, but there is no such file.
    """

    version: int
    name: str
    state: State
    applied_at: dt.datetime | None


def title_of(version: int, name: str) -> str:
    """Return a file's name without its ending, e.g. 0001_create_ledger."""
    return f"{version:04d}_{name}"


def parse(file_name: str, text: str) -> Migration:
    """Read one file; raise MigrationError where its name or its halves are not as they must be."""
    match = FILE_NAME.fullmatch(file_name)
    if match is None:
        raise MigrationError(f"migrations/{file_name} is not named NNNN_verb_noun.sql; rename it, or move it elsewhere")
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    marks = [line for line in lines if line.startswith("-- migrate:")]
    if [mark.removesuffix(ALONE) for mark in marks] != [UP_MARK, DOWN_MARK] or lines[0] != marks[0]:
        raise MigrationError(
            f"migrations/{file_name} must begin with the line `{UP_MARK}` and have one line `{DOWN_MARK}` after it, "
            f"each with `{ALONE.strip()}` behind it or nothing"
        )
    middle = lines.index(marks[1])
    up, down = "\n".join(lines[1:middle]).strip(), "\n".join(lines[middle + 1 :]).strip()
    if not up or not down:
        raise MigrationError(f"migrations/{file_name} has an empty half; say what it does and how it is undone")
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(int(match["version"]), match["name"], up, down, checksum, frozenset(marks))


def read_files(folder: Traversable) -> tuple[Migration, ...]:
    """Read all migrations of a folder in order; raise MigrationError for a gap or a number used twice."""
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql") and file.name not in NOT_MIGRATIONS),
        key=lambda file: file.name,
    )
    found = tuple(parse(file.name, file.read_text(encoding="utf-8")) for file in files)
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            raise MigrationError(
                f"migrations/{migration.title}.sql is number {migration.version:04d} where {expected:04d} must stand; "
                "numbers run from 0001 without a gap or a repetition: restore the file that is gone, or renumber"
            )
    return found


def check_history(files: Sequence[Migration], applied: Sequence[Applied]) -> None:
    """Raise MigrationError where the database's history is not a prefix of the files, unchanged."""
    for position, row in enumerate(applied):
        title = title_of(row.version, row.name)
        if position < len(files) and row.version != files[position].version:
            raise MigrationError(
                f"{title} is applied, but {files[position].title} before it is not; migrations apply in order: restore "
                "the database, or the row of schema_migrations that was removed"
            )
        if position >= len(files):
            raise MigrationError(
                f"{title} is applied in the database, but migrations/{title}.sql is missing; "
                "restore the file, or use the release that has it"
            )
        file = files[position]
        if (file.name, file.checksum) != (row.name, row.checksum):
            raise MigrationError(
                f"migrations/{file.title}.sql is not the file that was applied as {title}; "
                "restore it as it was, and put the change into a new file"
            )


def compare(files: Sequence[Migration], applied: Sequence[Applied]) -> list[MigrationStatus]:
    """Tell where each migration stands, by number; never raises for what does not match."""
    rows = {row.version: row for row in applied}
    statuses = [_status_of(file, rows.pop(file.version, None)) for file in files]
    statuses += [MigrationStatus(row.version, row.name, "missing", row.applied_at) for row in rows.values()]
    return sorted(statuses, key=lambda one: one.version)


def _status_of(file: Migration, row: Applied | None) -> MigrationStatus:
    """Tell where one file stands."""
    if row is None:
        return MigrationStatus(file.version, file.name, "pending", None)
    same = (file.name, file.checksum) == (row.name, row.checksum)
    return MigrationStatus(file.version, file.name, "applied" if same else "edited", row.applied_at)


async def migrate_up(owner_dsn: str, app_role: str, *, folder: Traversable | None = None) -> list[str]:
    """Apply every pending migration, then the grants; return the titles of those applied.

    `owner_dsn` logs in as the schema's owner, `app_role` is the role of the application's own DSN and must exist. Where
    both are one role, grants are left out: an owner can't be kept from its tables. Raises MigrationError for a history
    that does not match, a failing file or a missing right, UnavailableError where Postgres does not answer.
    """
    source = folder or resources.files("migrations")
    files = read_files(source)
    done: list[str] = []
    async with _locked(owner_dsn) as connection:
        await connection.execute(statement("runtime", "create_schema_migrations"))
        applied = await _read_applied(connection)
        check_history(files, applied)
        for migration in files[len(applied) :]:
            await _apply(connection, migration)
            done.append(migration.title)
        await _grant(connection, app_role, source.joinpath("grants.sql").read_text(encoding="utf-8"))
    return done


async def migrate_down(
    owner_dsn: str, app_role: str, steps: int = 1, *, folder: Traversable | None = None
) -> list[str]:
    """Undo the newest `steps` migrations and set the grants of what remains; return the titles undone, newest first.

    Raises what `migrate_up` raises: a file that was edited can't be trusted to undo what was applied.
    """
    if steps < 1:
        raise MigrationError(f"steps must be 1 or more, not {steps}")
    source = folder or resources.files("migrations")
    files = read_files(source)
    async with _locked(owner_dsn) as connection:
        applied = await _read_applied(connection)
        check_history(files, applied)
        undone: list[str] = []
        try:
            for migration in files[: len(applied)][::-1][:steps]:
                await _undo(connection, migration)
                undone.append(migration.title)
            if len(applied) > len(undone):
                await _grant(connection, app_role, source.joinpath("grants.sql").read_text(encoding="utf-8"))
        except MigrationError as error:
            if not undone:
                raise
            raise MigrationError(
                f"{', '.join(undone)} undone, what the roles may do is as before: {error}. "
                "Another `down` undoes the next one; `up` applies them again and sets what the roles may do"
            ) from error
    return undone


async def migration_status(dsn: str, *, folder: Traversable | None = None) -> list[MigrationStatus]:
    """Tell where each migration stands in a database; either role may ask, also before the first `up`."""
    files = read_files(folder or resources.files("migrations"))
    async with _connected(dsn) as connection:
        return compare(files, await _read_applied(connection))


async def _read_applied(connection: Connection) -> list[Applied]:
    """Read `schema_migrations` in order; none where the table does not exist yet."""
    if await connection.fetchval("select to_regclass('schema_migrations')") is None:
        return []
    return [Applied(*row) for row in await connection.fetch(statement("runtime", "read_schema_migrations"))]


async def _apply(connection: Connection, migration: Migration) -> None:
    """Run the file's up half and write its row."""

    async def note() -> None:
        await connection.execute(
            statement("runtime", "insert_schema_migration"), migration.version, migration.name, migration.checksum
        )

    await _run_half(connection, migration.title, migration.up, note, alone=UP_MARK not in migration.in_transaction)


async def _undo(connection: Connection, migration: Migration) -> None:
    """Run the file's down half and delete its row."""

    async def note() -> None:
        await connection.execute(statement("runtime", "delete_schema_migration"), migration.version)

    title = f"{migration.title} (down)"
    await _run_half(connection, title, migration.down, note, alone=DOWN_MARK not in migration.in_transaction)


async def _run_half(
    connection: Connection, title: str, text: str, note: Callable[[], Awaitable[None]], *, alone: bool
) -> None:
    """Run one half and note it: in one transaction, or its statements alone and the note at their end."""

    async def work() -> None:
        await connection.execute(text)
        await note()

    if not alone:
        await _tried(connection, title, work)
        return
    async with _naming(title):
        for one in statements_of(text):
            await connection.execute(one)
    await _tried(connection, title, note)


def statements_of(text: str) -> list[str]:
    """Return the statements of a half that runs without a transaction: each ends its line with a semicolon."""
    lines = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("--"))
    return [one for part in re.split(r";[ \t]*(?:\n|$)", lines) if (one := part.strip())]


async def _tried(connection: Connection, title: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do it in one transaction, and again where a table was in use, for `LOCK_WAIT_SECONDS`; else raise what failed."""
    until = time.monotonic() + LOCK_WAIT_SECONDS
    async with _naming(title):
        for pause in delays(PAUSE_SECONDS, PAUSE_SECONDS_MAX):
            try:
                async with connection.transaction():
                    await connection.execute(f"set local lock_timeout = '{int(LOCK_TRY_SECONDS * 1000)}ms'")
                    await work()
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                if time.monotonic() + pause > until:
                    raise
            else:
                return
            await asyncio.sleep(pause)


async def _grant(connection: Connection, app_role: str, grants: str) -> None:
    """Set what the application's role may do, in one transaction; nothing where it owns the schema."""
    if app_role == await connection.fetchval("select current_user"):
        return
    if not await connection.fetchval("select exists (select from pg_roles where rolname = $1)", app_role):
        raise MigrationError(
            f"the application's role {app_role!r} does not exist; create it (create role ... login) and run `up` again"
        )

    async def work() -> None:
        await connection.execute("select set_config('ratchet.app_role', $1, true)", app_role)
        await connection.execute(grants)

    await _tried(connection, "grants.sql", work)


@asynccontextmanager
async def _locked(owner_dsn: str) -> AsyncIterator[Connection]:
    """Connect as the owner and hold the migrations' lock; closing the connection gives it back."""
    async with _connected(owner_dsn) as connection:
        await connection.execute(f"set lock_timeout = '{LOCK_WAIT_SECONDS}s'")
        until = time.monotonic() + LOCK_WAIT_SECONDS
        # Asked again and again: a statement that waits has a snapshot, for whose end `create index concurrently` waits.
        while not await connection.fetchval("select pg_try_advisory_lock($1)", LOCK_KEY):
            if time.monotonic() > until:
                raise MigrationError(
                    f"another migration of this database has run for {LOCK_WAIT_SECONDS} seconds; wait for it, "
                    "or end it"
                )
            await asyncio.sleep(PAUSE_SECONDS)
        yield connection


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    """Connect without a statement time-out: a migration takes as long as it takes."""
    try:
        connection = await Hosts(dsn).connect(
            dsn,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": "ratchet migrate", **EVERY_SESSION},
        )
    except OUTAGE_ERRORS as error:
        raise UnavailableError(f"Postgres cannot be reached for migrations: {type(error).__name__}: {error}") from error
    try:
        yield connection
    except OUTAGE_ERRORS as error:
        raise UnavailableError(
            f"Postgres went away during migrations: {error}; ask `migrate status` how far it came"
        ) from error
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


@asynccontextmanager
async def _naming(title: str) -> AsyncIterator[None]:
    """Say in words which file failed; what it did is rolled back."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(
            f"{title}: the role of RATCHET_POSTGRES__OWNER_DSN lacks a right: {error}; nothing of it was applied. "
            "Log in as the owner of the database and its schema `public`"
        ) from error
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise MigrationError(
            f"{title}: a table it needs was in use for {LOCK_WAIT_SECONDS} seconds; nothing of it was applied. "
            "Try again, or stop the roles first"
        ) from error
    except OUTAGE_ERRORS:
        raise
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{title} failed and nothing of it was applied: {error}") from error
