"""The audit of a ledger that is longer than one step: whatever is wrong is named wherever it stands."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from paper_ledger import NOON, PaperLedger, use_paper

from ops import audit, audit_actions
from ops.audit import AuditInputs, walk
from ops.audit_actions import CHANGED, MISSING, SEALED, SealedActions, read_head, walk_actions
from ops.retention import DAYS_MIN, Signing, remove_old
from ops.seal import SealReader, SealWriter, anchor_without_payment_mac

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.unit

KEY = b"a key that nobody who owns the schema has"
PAYMENTS = (1, 2, 3, 4, 5)
NOT_WRITTEN = "its content, or a row before it, is not what was written"


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a ledger of five payments with three rows each, and seven rows of no payment in two transactions."""
    use_paper(monkeypatch)
    for module, name in ((audit, "PAYMENTS_A_STEP"), (audit, "ROWS_A_STEP"), (audit_actions, "ROWS_A_STEP")):
        monkeypatch.setattr(module, name, 2)
    made = PaperLedger()
    for relay_xid, rows in ((10, 2), (11, 1)):
        for _ in range(rows):
            for payment in PAYMENTS:
                made.add(payment, relay_xid)
    for relay_xid in (20, 20, 20, 20, 20, 21, 21):
        made.add(None, relay_xid)
    made.act("redrive.start", "redrive.stop", "dead_letter.discard", "redrive.start", "ledger.retain")
    return made


async def whys(ledger: Any, inputs: AuditInputs = AuditInputs()) -> list[tuple[int | None, int | None, str]]:  # noqa: B008
    found = await walk(ledger, 100, inputs)
    assert found.ok is (not found.broken)
    return [(one.id, one.payment_id and one.payment_id.int, one.why) for one in found.broken]


async def seal(ledger: Any, path: Path) -> Path:
    writer = SealWriter(path, KEY, NOON, await read_head(ledger))
    assert (await walk(ledger, 10, AuditInputs(KEY, writer=writer))).broken == []
    writer.finish()
    return path


async def held(ledger: Any, path: Path, key: bytes | None = KEY) -> list[tuple[int | None, int | None, str]]:
    with closing(SealReader(path, KEY)) as reader:
        return await whys(ledger, AuditInputs(key, reader, actions=reader.actions))


async def test_every_row_is_read_once_and_whatever_row_is_changed_is_named(ledger: Any) -> None:
    found = await walk(ledger, 10)
    assert (found.broken, found.rows, found.actions) == ([], 22, 5)
    for row in ledger.rows:
        row["event_type"] = "other"
        payment = row["payment_id"]
        why = "its content is not what was written" if payment is None else NOT_WRITTEN
        assert await whys(ledger) == [(row["id"], payment and payment.int, why)]
        row["event_type"] = "customer.updated"


async def test_all_rows_of_payments_that_are_gone_are_named(ledger: Any) -> None:
    gone = {2, 3, 5}
    for number in gone:
        del ledger.payments[UUID(int=number)]
    wanted = {row["id"] for row in ledger.rows if row["payment_id"] and row["payment_id"].int in gone}
    found = await walk(ledger, 100)
    assert sorted(one.id or 0 for one in found.broken) == sorted(wanted)
    assert {one.why for one in found.broken} == {"its payment is not there"}
    assert found.rows == 22


async def test_whatever_sealed_row_somebody_took_is_named(ledger: Any, tmp_path: Path) -> None:
    path = await seal(ledger, tmp_path / "a.seal")
    ledger.add(None, 30)
    ledger.add(2, 30)
    assert await held(ledger, path) == []
    rows = list(ledger.rows)
    for row in [row for row in rows if row["payment_id"] is None and row["relay_xid"] < 30]:
        ledger.take_out(row["id"])
        assert await held(ledger, path) == [(row["id"], None, "it was sealed, and is gone")]
        ledger.rows = list(rows)


async def test_what_was_sealed_speaks_for_itself_beside_a_chain_that_does_not_hold(ledger: Any, tmp_path: Path) -> None:
    path = await seal(ledger, tmp_path / "a.seal")
    ledger.row(1)["event_type"] = "other"
    assert await held(ledger, path) == [(1, 1, NOT_WRITTEN)]
    ledger.take_out(11)
    gone = (11, 1, "it was sealed, and is gone or is another row now")
    assert await held(ledger, path) == [(1, 1, NOT_WRITTEN), gone]
    del ledger.payments[UUID(int=1)]
    ledger.take_out(1, 6)
    assert await held(ledger, path) == [(11, 1, "its payment was sealed, and is not there")]


async def take(ledger: PaperLedger, *ids: int, mac: bytes | None = None, removed: int = 0, up_to: int = 0) -> None:
    """Take rows of no payment out, and put this anchor there."""
    ledger.take_out(*ids)
    ledger.alone = {"ledger_id": up_to, "rows_removed": removed, "mac": mac}


@pytest.mark.parametrize("gone", [(16, 17, 18), (16, 18, 20), (20, 21, 22), (16, 22, 17)])
async def test_more_sealed_rows_gone_than_retention_took_are_counted_over_all_steps(
    ledger: Any, tmp_path: Path, gone: Sequence[int]
) -> None:
    path = await seal(ledger, tmp_path / "a.seal")
    await take(ledger, *gone, mac=anchor_without_payment_mac(KEY, 22, 3), removed=3, up_to=22)
    assert await held(ledger, path) == []
    await take(ledger, *gone, mac=anchor_without_payment_mac(KEY, 22, 2), removed=2, up_to=22)
    why = "3 sealed rows of no payment are gone, retention removed 2 since"
    assert await held(ledger, path) == [(None, None, why)]


async def test_a_sealed_row_that_is_gone_needs_an_anchor_that_stands_behind_it_and_is_signed_as_it_is(
    ledger: Any, tmp_path: Path
) -> None:
    path = await seal(ledger, tmp_path / "a.seal")
    signed = anchor_without_payment_mac(KEY, 18, 3)
    for mac, removed, up_to, why in (
        (signed, 3, 18, None),
        (signed, 9, 18, "its anchor is not what retention signed"),
        (signed, 3, 19, "its anchor is not what retention signed"),
        (None, 3, 18, "removed without the key"),
        (anchor_without_payment_mac(KEY, 17, 3), 3, 17, "it was sealed, and is gone"),
    ):
        await take(ledger, 18, mac=mac, removed=removed, up_to=up_to)
        found = await held(ledger, path)
        assert [number for number, _, _ in found] == ([] if why is None else [18]), found
        assert all(why is not None and why in one for _, _, one in found)
    await take(ledger, 18, mac=signed, removed=3, up_to=18)
    (one,) = await held(ledger, path, key=None)
    assert "by another key" in one[2]


async def test_a_seal_of_chains_that_retention_emptied_holds_their_anchors(ledger: Any, tmp_path: Path) -> None:
    from datetime import timedelta

    assert await remove_old(ledger, DAYS_MIN, NOON + timedelta(days=DAYS_MIN + 1), Signing(KEY)) == 22
    path = await seal(ledger, tmp_path / "a.seal")
    with closing(SealReader(path, KEY)) as reader:
        assert [(one.payment_id.int, one.ledger_id) for one in reader.up_to(None)] == list(
            zip(PAYMENTS, range(11, 16), strict=True)
        )
        assert reader.rows_removed == 7
        assert list(reader.rows()) == []
    assert await held(ledger, path) == []
    ledger.anchors[UUID(int=3)]["rows_removed"] += 1
    assert await held(ledger, path) == [(None, 3, "its anchor is not what retention signed, or by another key")]
    assert await whys(ledger) == [], "without the key nothing tells"


async def test_whatever_action_is_changed_is_named_and_where_the_chain_ends(ledger: Any) -> None:
    for row in ledger.actions:
        row["who"] = "eve"
        assert (await walk_actions(ledger)).broken == ((row["id"], CHANGED),)
        row["who"] = "ada"
    assert await walk_actions(ledger) == (5, ())
    ledger.action_head |= {"hash": b"x"}
    assert (await walk_actions(ledger)).broken == ((5, MISSING),)


async def test_the_action_that_was_sealed_is_there_as_it_was(ledger: Any) -> None:
    for row in ledger.actions:
        sealed = SealedActions(row["id"], row["hash"])
        assert (await walk_actions(ledger, sealed)).broken == ()
        assert (await walk_actions(ledger, sealed._replace(hash=b"x"))).broken == ((row["id"], SEALED),)
    assert (await walk_actions(ledger, SealedActions(0, b""))).broken == ()
    assert (await walk_actions(ledger, SealedActions(6, b"x"))).broken == ((6, SEALED),)
    inputs = AuditInputs(KEY, actions=SealedActions(3, b"x"))
    assert await whys(ledger, inputs) == [(3, None, SEALED)]
