"""The ledger as evidence: the application can't alter it, whoever does is found, and retention keeps it provable."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from settling import bench, lives, records, webhook
from typer.testing import CliRunner

from ops.audit import Audit, walk
from ops.cli import app
from ops.retention import DAYS_MIN, LEASE_NAME, remove_old, remove_step
from runtime.lease import Lease, PostgresLeases
from schemas.errors import LeaseLostError, RatchetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

COUNT = 12
NOW = dt.datetime.now(dt.UTC)


class Scene:
    """A settled ledger, seen by the application's role and by the owner's."""

    def __init__(self, database: Any, connection: asyncpg.Connection[Any], owner: asyncpg.Connection[Any]) -> None:
        self.database = database
        self.connection = connection
        self.owner = owner

    async def audit(self, broken_max: int = 10) -> Audit:
        return await walk(self.connection, broken_max)

    async def some_row(self, nth: int = 2) -> Any:
        """Return the nth row of some payment's chain."""
        query = "select * from payment_logs where payment_id = (select min(payment_id::text)::uuid from payment_logs)"
        return (await self.owner.fetch(f"{query} order by id"))[nth]


@pytest.fixture
async def scene(database: Any) -> AsyncIterator[Scene]:
    events = [event for life in lives(COUNT) for event in life.events()]
    async with bench(database.dsn) as desk:
        for start in range(0, len(events), 7):
            await desk.settle(records(events[start : start + 7], first=start))
        await desk.settle(records([webhook("customer.updated", "nobody", event_id="loose")], first=1000))
    connection, owner = await asyncpg.connect(database.dsn), await asyncpg.connect(database.owner_dsn)
    yield Scene(database, connection, owner)
    await connection.close()
    await owner.close()


async def test_an_untouched_ledger_holds(scene: Scene) -> None:
    found = await scene.audit()
    assert (found.ok, found.broken) == (True, [])
    assert found.rows == await scene.owner.fetchval("select count(*) from payment_logs")


@pytest.mark.parametrize(
    "statement",
    [
        "update payment_logs set amount = 1",
        "delete from payment_logs",
        "truncate payment_logs",
        "drop table payment_logs",
    ],
)
async def test_the_application_cannot_alter_the_ledger(scene: Scene, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await scene.connection.execute(statement)


ALTERATIONS = {
    "a changed amount": ("update payment_logs set amount = amount + 1 where id = $1", "is not what was written"),
    "a removed row": ("delete from payment_logs where id = $1", "is not what was written"),
    "facts that nobody can read": (
        """update payment_logs set facts = '[["capture", "c", "succeeded"]]' where id = $1""",
        "is not what was written",
    ),
    "facts of a kind that there is not": (
        """update payment_logs set facts = '[["tip", "c", ["succeeded"]]]' where id = $1""",
        "is not what was written",
    ),
    "a row of another payment": (
        "update payment_logs set payment_id = (select id from payments where id <> payment_id limit 1) where id = $1",
        "is not what was written",
    ),
}


@pytest.mark.parametrize("name", ALTERATIONS)
async def test_an_alteration_is_found(scene: Scene, name: str) -> None:
    statement, why = ALTERATIONS[name]
    row = await scene.some_row()
    await scene.owner.execute(statement, row["id"])
    found = await scene.audit()
    assert not found.ok
    assert any(why in one.why for one in found.broken)


async def test_a_row_removed_at_the_end_is_found(scene: Scene) -> None:
    row = await scene.some_row(-1)
    await scene.owner.execute("delete from payment_logs where id = $1", row["id"])
    (one,) = (await scene.audit()).broken
    assert (one.payment_id, one.id) == (row["payment_id"], None)
    assert "missing at the end" in one.why


async def test_facts_that_left_the_payment_are_found(scene: Scene) -> None:
    row = await scene.some_row(0)
    await scene.owner.execute("update payments set facts = '{}' where id = $1", row["payment_id"])
    (one,) = (await scene.audit()).broken
    assert "does not hold what its ledger says" in one.why


async def test_facts_of_a_payment_that_nobody_can_read_are_found(scene: Scene) -> None:
    row = await scene.some_row(0)
    await scene.owner.execute("""update payments set facts = '{"tip:c": 1}' where id = $1""", row["payment_id"])
    (one,) = (await scene.audit()).broken
    assert "facts cannot be read" in one.why


async def test_a_version_that_the_ledger_lacks_is_found(scene: Scene) -> None:
    row = await scene.some_row(0)
    await scene.owner.execute("update payments set version = version + 1 where id = $1", row["payment_id"])
    (one,) = (await scene.audit()).broken
    assert "the payment is at version" in one.why


async def test_a_row_of_no_payment_is_evidence_too(scene: Scene) -> None:
    await scene.owner.execute("update payment_logs set event_type = 'other' where payment_id is null")
    (one,) = (await scene.audit()).broken
    assert one.payment_id is None


async def test_findings_are_bounded_and_all_of_them_count(scene: Scene) -> None:
    await scene.owner.execute("update payment_logs set amount = coalesce(amount, 0) + 1")
    found = await scene.audit(broken_max=3)
    assert (found.ok, len(found.broken)) == (False, 3)


async def publish_all(scene: Scene) -> None:
    """Move the relay's cursor to the end, as if everything had been published."""
    newest = "select relay_xid, id from payment_logs order by 1 desc, 2 desc limit 1"
    await scene.owner.execute(f"update relay_cursors set (relay_xid, id) = ({newest})")


async def test_retention_leaves_what_can_be_proved(scene: Scene) -> None:
    await publish_all(scene)
    ids = await scene.owner.fetch("select id from payment_logs order by relay_xid, id limit 20")
    later = NOW + dt.timedelta(days=DAYS_MIN, hours=1)
    kept = await scene.owner.fetchval("select count(*) from payment_logs") - len(ids)
    await scene.owner.execute(
        "update payment_logs set recorded_at = recorded_at + interval '2 days' where id <> all($1)",
        [row["id"] for row in ids],
    )
    removed = await remove_old(scene.owner, DAYS_MIN, later)
    assert removed == len(ids)
    await scene.owner.execute("update payment_logs set recorded_at = recorded_at - interval '2 days'")
    found = await scene.audit()
    assert (found.ok, found.broken, found.rows) == (True, [], kept)
    assert await remove_old(scene.owner, DAYS_MIN, later + dt.timedelta(days=3)) == kept
    found = await scene.audit()
    assert (found.ok, found.rows) == (True, 0)


async def test_two_retentions_do_not_move_anchors_side_by_side(scene: Scene) -> None:
    await publish_all(scene)
    later, leases = NOW + dt.timedelta(days=DAYS_MIN + 1), PostgresLeases(scene.owner)
    other = await leases.acquire(LEASE_NAME, "another", 60)
    assert other is not None
    with pytest.raises(RatchetError, match="another retention"):
        await remove_old(scene.owner, DAYS_MIN, later)
    overtaken = Lease(LEASE_NAME, "paused", other.token - 1)
    rows = await scene.owner.fetchval("select count(*) from payment_logs")
    with pytest.raises(LeaseLostError):
        await remove_step(scene.owner, later, overtaken)
    assert await scene.owner.fetchval("select count(*) from payment_logs") == rows
    await leases.release(other)
    assert await remove_old(scene.owner, DAYS_MIN, later) == rows


async def test_retention_never_removes_what_is_not_published(scene: Scene) -> None:
    assert await remove_old(scene.owner, DAYS_MIN, NOW + dt.timedelta(days=DAYS_MIN + 1)) == 0


async def test_the_commands(scene: Scene, stack: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", scene.database.dsn)
    monkeypatch.setenv("RATCHET_POSTGRES__OWNER_DSN", scene.database.owner_dsn)

    def run(*arguments: str) -> Any:
        import asyncio

        return asyncio.get_running_loop().run_in_executor(None, CliRunner().invoke, app, list(arguments))

    result = await run("audit", "verify", "--json")
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (0, True)
    assert "every chain holds" in (await run("audit", "verify")).stdout
    assert (await run("audit", "retain", "--days", "400")).exit_code == 1
    result = await run("audit", "retain", "--days", "400", "--yes", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"removed": 0, "messages": 0, "refetches": 0, "body_claims": 0}
    assert (await run("audit", "retain", "--days", "1", "--yes")).exit_code == 2
    await scene.owner.execute("update payment_logs set amount = coalesce(amount, 0) + 1")
    result = await run("audit", "verify")
    assert result.exit_code == 1
    assert "broken" in result.stdout
    monkeypatch.delenv("RATCHET_POSTGRES__OWNER_DSN")
    assert (await run("audit", "retain", "--days", "400", "--yes")).exit_code == 2
