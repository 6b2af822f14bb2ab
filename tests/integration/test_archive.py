"""The archive: what counts was proved, what retention removes is in it, and whatever is done to it is named."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import shutil
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import batch_harness, broken_chains, lives, read_tables, records, webhook, wrong_payments
from typer.testing import CliRunner

from consumer.decode import decoded
from ops.archive import MANIFEST, PREFIX, Archive, ArchiveError, Manifest
from ops.audit import Audit, AuditInputs, walk
from ops.cli import app
from ops.retention import DAYS_MIN, Signing, remove_old
from ops.seal import SealReader, SealWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from runtime.stack import Endpoints
    from schemas.record import Record

pytestmark = pytest.mark.integration
pytest.importorskip("pyarrow", reason="the extra `archive` is not installed: make test-archive")

import pyarrow.parquet as pq  # noqa: E402

from ops.archive_check import ArchiveCheck  # noqa: E402
from ops.archive_run import LOCK_KEY, Archiving, archive_old  # noqa: E402

COUNT = 12
KEY = b"a key that nobody who owns the schema has"
NOW = dt.datetime.now(dt.UTC)
OLD = NOW - dt.timedelta(days=500)
LATER = NOW + dt.timedelta(days=DAYS_MIN + 1)


class At:
    """A clock that stands still."""

    def __init__(self, moment: dt.datetime) -> None:
        self._moment = moment

    def now(self) -> float:
        return self._moment.timestamp()


async def apply(dsn: str, *batches: list[Record], at: dt.datetime = NOW) -> None:
    """Have a consumer apply batches, at that time."""
    async with batch_harness(dsn) as consumer:
        consumer.clock = At(at)
        for batch in batches:
            await consumer.processor().write([decoded(record) for record in batch])


class Kept:
    """A processed ledger with an archive beside it."""

    def __init__(self, database: Any, owner: asyncpg.Connection[Any], folder: Path) -> None:
        self.database = database
        self.owner = owner
        self.folder = folder
        self.seals = folder.parent / "seals"
        self.archive_folder = folder
        folder.mkdir()
        self.seals.mkdir()

    def archive(self) -> Archive:
        return Archive.opened(self.folder, KEY)

    async def seal(self, name: str = "newest") -> Path:
        path = self.seals / f"{name}.seal"
        path.unlink(missing_ok=True)
        writer = SealWriter(path, KEY, dt.datetime.now(dt.UTC))
        found = await walk(self.owner, 10, AuditInputs(KEY, writer=writer))
        assert found.ok, found.broken
        writer.finish()
        return path

    async def run(self, seal: Path | None = None, *, rows_max: int = 17, before: dt.datetime = LATER) -> Any:
        seal = seal or await self.seal()
        return await archive_old(self.owner, self.archive(), Archiving(before, rows_max, KEY, seal))

    async def retain(self, now: dt.datetime = LATER) -> int:
        return await remove_old(self.owner, DAYS_MIN, now, Signing(KEY), self.archive())

    async def verify(self, seal: Path | None = None) -> Audit:
        """Do what `ratchet audit verify --archive` does."""
        with ExitStack() as stack:
            checked = stack.enter_context(closing(ArchiveCheck.of(self.folder, KEY, seal)))
            reader = stack.enter_context(closing(SealReader(seal, KEY))) if seal else None
            found = await walk(self.owner, 100, AuditInputs(KEY, reader, archive=checked if checked.holds else None))
            both = Audit(100)
            both.note([*checked.broken, *found.broken])
            both.ok, both.rows = both.ok and found.ok, found.rows + checked.rows
            return both

    async def add(self, count: int, prefix: str, first: int) -> None:
        events = [event for life in lives(count, prefix) for event in life.events()]
        loose = webhook("customer.updated", f"{prefix}-loose")
        await apply(self.database.dsn, records([*events, loose], first=first))
        await self.publish()

    async def publish(self) -> None:
        newest = "select relay_xid, id from payment_logs order by 1 desc, 2 desc limit 1"
        await self.owner.execute(f"update relay_cursors set (relay_xid, id) = ({newest})")

    async def rows(self) -> int:
        return int(await self.owner.fetchval("select count(*) from payment_logs"))


@pytest.fixture
async def kept(database: Any, tmp_path: Path) -> AsyncIterator[Kept]:
    events = [event for life in lives(COUNT) for event in life.events()]
    batches = [records(events[start : start + 7], first=start) for start in range(0, len(events), 7)]
    loose = [webhook("customer.updated", f"n{number}") for number in range(5)]
    await apply(database.dsn, *batches, records(loose, first=1000), at=OLD)
    owner = await asyncpg.connect(database.owner_dsn)
    made = Kept(database, owner, tmp_path / "archive")
    await made.publish()
    yield made
    await owner.close()


async def test_what_is_archived_is_what_the_table_has_and_retention_takes_that_and_no_more(kept: Kept) -> None:
    seal = await kept.seal("before")
    table = {row["id"]: dict(row) for row in await kept.owner.fetch("select * from payment_logs")}
    done = await kept.run(seal)
    assert (done.rows, done.files) == (len(table), -(-len(table) // 17))
    archived = [row for path in sorted(kept.folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    for row in archived:
        wanted = table[row["id"]] | {
            "payment_id": table[row["id"]]["payment_id"] and str(table[row["id"]]["payment_id"])
        }
        assert row == wanted
    assert [(row["relay_xid"], row["id"]) for row in archived] == sorted(
        (r["relay_xid"], r["id"]) for r in table.values()
    )
    assert (await kept.verify(seal)).ok
    await kept.add(3, "young", 2000)
    assert await kept.retain() == len(table), "and what came since then is not archived"
    found = await kept.verify(seal)
    assert (found.ok, found.broken) == (True, [])
    assert found.rows == len(table) + await kept.rows()
    assert (await kept.verify(await kept.seal("after"))).ok


async def test_a_second_run_goes_on_where_the_archive_ends_also_when_retention_took_its_rows(kept: Kept) -> None:
    first = await kept.run()
    assert (await kept.run()).rows == 0
    await kept.add(3, "second", 2000)
    assert (await kept.run()).rows == 16
    assert await kept.retain() == first.rows + 16
    await kept.add(2, "third", 3000)
    assert (await kept.run()).rows == 11
    found = await kept.verify()
    assert (found.ok, found.broken) == (True, [])
    assert [one.number for one in kept.archive().files] == list(range(1, len(kept.archive().files) + 1))


async def test_the_manifest_says_where_each_chain_begins_and_ends(kept: Kept) -> None:
    await kept.run()
    archive, ends = kept.archive(), dict[Any, bytes]()
    migration = await kept.owner.fetchval("select max(version) from schema_migrations")
    for manifest in archive.files:
        rows = pq.read_table(kept.folder / manifest.file).to_pylist()
        assert (manifest.rows, manifest.schema) == (len(rows), migration)
        assert manifest.sha256 == hashlib.sha256((kept.folder / manifest.file).read_bytes()).hexdigest()
        assert manifest.rows_without_payment == sum(row["payment_id"] is None for row in rows)
        parts = list(archive.parts(manifest))
        assert [part.payment_id for part in parts] == sorted(part.payment_id for part in parts)
        for part in parts:
            mine = [row for row in rows if row["payment_id"] == str(part.payment_id)]
            assert (part.rows, part.first.id, part.last.id) == (len(mine), mine[0]["id"], mine[-1]["id"])
            assert (part.before, part.hash) == (ends.get(part.payment_id, b""), mine[-1]["hash"])
            ends[part.payment_id] = part.hash
    heads = await kept.owner.fetch("select id, head_hash from payments")
    assert ends == {row["id"]: row["head_hash"] for row in heads}


async def test_rows_that_are_young_or_not_published_are_not_archived(kept: Kept) -> None:
    assert (await kept.run(before=OLD - dt.timedelta(days=1))).rows == 0
    await kept.owner.execute("update relay_cursors set relay_xid = 0, id = 0 where name = 'state'")
    assert (await kept.run()).rows == 0
    assert list(kept.folder.iterdir()) == []


async def test_rows_that_the_seal_does_not_cover_are_not_archived(kept: Kept) -> None:
    seal = await kept.seal("old")
    await kept.add(1, "younger", 2000)
    with pytest.raises(ArchiveError, match="make a new seal"):
        await kept.run(seal, rows_max=10_000)
    assert kept.archive().files == []
    await kept.run(await kept.seal("new"), rows_max=10_000)
    assert (await kept.verify()).ok


@pytest.mark.parametrize(
    "change",
    [
        "update payment_logs set amount = coalesce(amount, 0) + 1 where id = $1",
        "delete from payment_logs where id = $1",
    ],
    ids=["changed", "removed"],
)
async def test_a_ledger_that_does_not_hold_is_not_archived(kept: Kept, change: str) -> None:
    seal = await kept.seal()
    row = await kept.owner.fetchrow(
        "select id from payment_logs where payment_id is not null order by id offset 3 limit 1"
    )
    await kept.owner.execute(change, row["id"])
    with pytest.raises(ArchiveError, match="audit verify"):
        await kept.run(seal, rows_max=10_000)
    assert kept.archive().files == []


async def test_a_chain_that_was_rewritten_since_the_seal_is_not_archived(kept: Kept) -> None:
    from ops.audit import _unsealed

    seal = await kept.seal()
    row = await kept.owner.fetchrow("select * from payment_logs where payment_id is null order by id limit 1")
    fitting = _unsealed(dict(row) | {"event_type": "customer.deleted"}).seal(b"")
    await kept.owner.execute(
        "update payment_logs set event_type = 'customer.deleted', hash = $2 where id = $1", row["id"], fitting
    )
    with pytest.raises(ArchiveError, match="was sealed, and is another row now"):
        await kept.run(seal, rows_max=10_000)


async def test_retention_takes_nothing_where_a_file_is_not_what_was_archived(kept: Kept) -> None:
    await kept.run()
    rows = await kept.rows()
    file = kept.folder / kept.archive().files[0].file
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ArchiveError, match="not what was archived"):
        await kept.retain()
    assert await kept.rows() == rows


async def test_retention_takes_nothing_that_was_archived_as_another_row(kept: Kept) -> None:
    await kept.run()
    rows = await kept.rows()
    await kept.owner.execute(
        "update payment_logs set hash = sha256('other') where id = (select min(id) from payment_logs)"
    )
    with pytest.raises(ArchiveError, match="is not the one that was archived"):
        await kept.retain()
    assert await kept.rows() == rows


def resign(archive: Archive, manifest: Manifest, key: bytes = KEY) -> None:
    """Write a manifest anew, as somebody could who has the key."""
    path = archive.folder / manifest.name
    lines = [manifest.line(), *(part.line() for part in archive.parts(manifest))]
    body = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(body + f"{PREFIX}{hmac.digest(key, body, 'sha256').hex()}\n".encode())


def invent(archive: Archive, number: int) -> Manifest:
    """Put a row into a file that nobody has written; return what its manifest would say."""
    manifest = archive.files[number]
    path = archive.folder / manifest.file
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows.insert(3, rows[2] | {"id": rows[2]["id"] + 10**6, "event_id": "invented"})
    pq.write_table(table.from_pylist(rows, table.schema), path)
    data = path.read_bytes()
    return replace(manifest, sha256=hashlib.sha256(data).hexdigest(), size=len(data), rows=len(rows))


def flip_a_byte(archive: Archive) -> str:
    path = archive.folder / archive.files[1].file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path.name


def remove_a_file(archive: Archive) -> str:
    (archive.folder / archive.files[1].file).unlink()
    return archive.files[1].file


def remove_a_manifest(archive: Archive) -> str:
    (archive.folder / archive.files[1].name).unlink()
    return archive.files[1].name


def swap_files(archive: Archive) -> str:
    first, second = (archive.folder / one.file for one in archive.files[:2])
    other = first.with_name("other")
    shutil.move(first, other)
    shutil.move(second, first)
    shutil.move(other, second)
    return first.name


def swap_manifests(archive: Archive) -> str:
    first, second = (archive.folder / one.name for one in archive.files[:2])
    other = first.with_name("other")
    shutil.move(first, other)
    shutil.move(second, first)
    shutil.move(other, second)
    return first.name


def invent_a_row(archive: Archive) -> str:
    invent(archive, 1)
    return archive.files[1].file


def invent_a_row_and_its_manifest(archive: Archive) -> str:
    resign(archive, invent(archive, 1), b"another key")
    return archive.files[1].name


def change_a_manifest(archive: Archive) -> str:
    path = archive.folder / archive.files[1].name
    path.write_bytes(path.read_bytes().replace(b'"number": 2', b'"number": 3', 1))
    return path.name


@pytest.mark.parametrize(
    "tamper",
    [
        flip_a_byte,
        remove_a_file,
        remove_a_manifest,
        swap_files,
        swap_manifests,
        invent_a_row,
        invent_a_row_and_its_manifest,
        change_a_manifest,
    ],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("removed", [False, True], ids=["the ledger has all", "retention was there"])
async def test_what_was_done_to_an_archive_is_named(
    kept: Kept,
    tamper: Callable[[Archive], str],
    removed: bool,  # noqa: FBT001
) -> None:
    await kept.run()
    if removed:
        await kept.retain()
    name = tamper(kept.archive())
    found = await kept.verify()
    assert not found.ok
    assert any(name in one.why for one in found.broken), found.broken


async def test_with_the_key_an_invented_row_is_named_by_its_chain(kept: Kept) -> None:
    await kept.run(rows_max=10_000)
    archive = kept.archive()
    resign(archive, invent(archive, 0))
    found = await kept.verify()
    (one,) = [one for one in found.broken if one.id is not None]
    assert one.id > 10**6
    assert "is not what was written" in one.why


async def test_an_archive_that_was_cut_off_at_its_end_is_named_once_its_rows_are_gone(kept: Kept) -> None:
    await kept.run()
    last = kept.archive().files[-1]
    await kept.retain()
    for name in (last.file, last.name):
        (kept.folder / name).unlink()
    found = await kept.verify()
    assert not found.ok
    assert any("not in the archive" in one.why or "archived are gone" in one.why for one in found.broken)


async def test_rows_that_somebody_removed_without_an_archive_are_named(kept: Kept) -> None:
    """Retention without the setting takes what is not archived: no error by itself, but not one history any more."""
    await kept.run()
    await kept.add(3, "young", 2000)
    await remove_old(kept.owner, DAYS_MIN, LATER, Signing(KEY))
    assert (await walk(kept.owner, 10, AuditInputs(KEY))).ok
    found = await kept.verify()
    assert not found.ok
    assert any("not in the archive" in one.why for one in found.broken)


async def test_an_archive_that_begins_after_a_retention_is_one_history_with_what_is_there(kept: Kept) -> None:
    half = (await kept.owner.fetchrow("select id from payment_logs order by relay_xid, id offset 20 limit 1"))["id"]
    await kept.owner.execute(
        "update payment_logs set recorded_at = recorded_at + interval '3 days' where id >= $1", half
    )
    then = OLD + dt.timedelta(days=DAYS_MIN + 1)
    assert await remove_old(kept.owner, DAYS_MIN, then, Signing(KEY)) == 20
    await kept.owner.execute(
        "update payment_logs set recorded_at = recorded_at - interval '3 days' where id >= $1", half
    )
    await kept.run()
    assert (await kept.verify()).ok
    await kept.retain()
    found = await kept.verify()
    assert (found.ok, found.broken) == (True, [])


async def test_a_sealed_row_that_is_neither_here_nor_there_is_named(kept: Kept) -> None:
    seal = await kept.seal("before")
    await kept.run(seal)
    await kept.retain()
    gone = kept.archive().files[-1]
    for name in (gone.file, gone.name):
        (kept.folder / name).unlink()
    found = await kept.verify(seal)
    assert any("neither in the ledger nor in the archive" in one.why for one in found.broken)


async def test_the_archive_of_another_database_is_not_gone_on_with(kept: Kept) -> None:
    await kept.run()
    await kept.owner.execute("update payment_logs set hash = sha256(hash)")
    with pytest.raises(ArchiveError, match="the archive of another database"):
        await kept.run(kept.seals / "newest.seal")


async def test_rows_that_were_given_other_transactions_after_a_restore_are_archived_once(kept: Kept) -> None:
    await kept.run(rows_max=30, before=LATER)
    await kept.add(2, "after", 2000)
    await kept.owner.execute("update payment_logs set relay_xid = 1")
    await kept.publish()
    assert (await kept.run()).rows == 11
    assert await kept.retain() == 65 + 11
    found = await kept.verify()
    assert (found.ok, found.broken) == (True, [])


async def test_two_runs_are_not_side_by_side(kept: Kept) -> None:
    other = await asyncpg.connect(kept.database.dsn)
    assert await other.fetchval("select pg_try_advisory_lock($1)", LOCK_KEY)
    with pytest.raises(ArchiveError, match="another run"):
        await kept.run()
    await other.close()
    assert (await kept.run()).files > 0


async def test_what_an_ended_run_left_is_removed_and_counts_for_nothing(kept: Kept) -> None:
    (kept.folder / "ledger-00000001-aaaaaaaa.parquet").write_bytes(b"half")
    (kept.folder / "ledger-00000001-bbbbbbbb.parquet.partial").write_bytes(b"half")
    (kept.folder / "ledger-00000001.manifest.cccccccc.partial").write_bytes(b"half")
    assert kept.archive().files == []
    done = await kept.run()
    names = {path.name for path in kept.folder.iterdir()}
    assert len(names) == 2 * done.files
    assert sum(MANIFEST.fullmatch(name) is not None for name in names) == done.files


async def test_events_older_than_the_ledger_are_noops_by_their_facts(kept: Kept) -> None:
    """Time's bound: what retention removed is delivered once more, and no figure, no message and no version moves."""
    await kept.run()
    assert await kept.retain() == 65
    before = await read_tables(kept.owner)
    messages = await kept.owner.fetch("select * from sms_transactions order by id")
    events = [event for life in lives(COUNT) for event in life.events()]
    await apply(kept.database.dsn, records(events[::-1], first=5000))
    after = await read_tables(kept.owner)
    moved = ("head_hash", "head_xid", "updated_at")
    plain = [
        [{name: row[name] for name in row if name not in moved} for row in rows.payments] for rows in (before, after)
    ]
    assert plain[0] == plain[1]
    assert {row["outcome"] for row in after.ledger} == {"noop", "late"}
    assert {row["version"] for row in after.ledger} == {None}
    assert len(after.ledger) == len(events), "a row each, for the ledger no longer knows them"
    assert after.letters == after.parked == []
    assert await kept.owner.fetch("select * from sms_transactions order by id") == messages
    assert wrong_payments(after, lives(COUNT)) == []
    await kept.publish()
    found = await kept.verify()
    assert (found.ok, found.broken) == (True, [])
    assert broken_chains(before) != [], "the chains begin at their anchors"


async def test_the_commands(kept: Kept, stack: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", kept.database.dsn)
    monkeypatch.setenv("RATCHET_POSTGRES__OWNER_DSN", kept.database.owner_dsn)

    def run(*arguments: str) -> Any:
        return asyncio.get_running_loop().run_in_executor(None, CliRunner().invoke, app, list(arguments))

    seal = str(await kept.seal())
    days = ("--days", "120")
    assert (await run("audit", "archive", *days, "--seal", seal)).exit_code == 2, "no folder"
    monkeypatch.setenv("RATCHET_AUDIT__ARCHIVE", str(kept.folder))
    assert (await run("audit", "archive", *days, "--seal", seal)).exit_code == 1, "no key"
    monkeypatch.setenv("RATCHET_AUDIT__SEAL_KEY", KEY.decode())
    assert (await run("audit", "archive", *days)).exit_code == 2, "no seal"
    result = await run("audit", "retain", *days, "--yes", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["removed"], document["waiting_for_archive"]) == (1, 0, True)
    result = await run("audit", "archive", *days, "--seal", seal)
    assert (result.exit_code, "65 ledger rows in 1 files" in result.stdout) == (0, True)
    result = await run("audit", "retain", *days, "--yes", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["removed"], document["waiting_for_archive"]) == (0, 65, False)
    result = await run("audit", "verify", "--archive", str(kept.folder), "--seal", seal, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"], document["archived_rows"]) == (0, True, 65)
    assert "one history" in (await run("audit", "verify", "--archive", str(kept.folder))).stdout
    file = kept.folder / kept.archive().files[0].file
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    result = await run("audit", "verify", "--archive", str(kept.folder))
    assert (result.exit_code, "is not what was archived" in result.stdout) == (1, True)
    result = await run("audit", "actions", "--action", "ledger.archive", "--json")
    assert len(json.loads(result.stdout)["actions"]) == 1
