"""Walks the ledger and proves it: hash chains, versions without a hole, and rows that follow from their facts.

Reads in bounded steps, each in a snapshot of its own, so that it can run beside live traffic. A row that was changed,
removed or put in breaks its payment's chain; a row removed at the end shows in the payment's head; a payment whose
facts or columns do not follow from its ledger shows when they are folded and projected again (`audit_family`). A seal
(`seal`) also shows chains that somebody rewrote from the first row to the head.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from consumer.facts_json import dump_reported, load_reported
from consumer.ledger import COLUMNS, LedgerEntry
from ops.audit_actions import walk_actions
from ops.audit_family import UNREADABLE, Family, check_row, families
from ops.database import fetch
from ops.seal import Sealed, SealedRow, anchor_mac, anchor_without_payment_mac

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ops.archive_check import ArchiveCheck
    from ops.audit_actions import SealedActions
    from ops.seal import SealReader, SealWriter
    from runtime.postgres import Connection

PAYMENTS_A_STEP: Final = 500
ROWS_A_STEP: Final = 5000
LAST_ID: Final = UUID(int=2**128 - 1)
ID_MAX: Final = 2**63 - 1
IN_NEITHER: Final = "it was sealed, and is neither in the ledger nor in the archive"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """One finding: the ledger row (or None), its payment (or None), and what is wrong, in words.

    Where an action of people is meant, `id` is its own and the words say so.
    """

    id: int | None
    payment_id: UUID | None
    why: str


@dataclass(slots=True)
class Audit:
    """What a walk found. `broken` is bounded by `broken_max`; `ok` speaks of all of it.

    `rows` are those of the ledger, `actions` those of what people did.
    """

    broken_max: int
    rows: int = 0
    actions: int = 0
    ok: bool = True
    broken: list[Broken] = field(default_factory=list)

    def note(self, findings: Iterable[Broken]) -> None:
        """Take findings in."""
        for finding in findings:
            self.ok = False
            if len(self.broken) < self.broken_max:
                self.broken.append(finding)


def _unsealed(row: Mapping[str, Any]) -> LedgerEntry:
    columns = {name: row[name] for name in COLUMNS} | {"facts": dump_reported(load_reported(row["facts"])), "hash": b""}
    return LedgerEntry(**columns)


def is_as_written(row: Mapping[str, Any], before: bytes) -> bool:
    """Tell whether a row's hash is its content's; what can't be read was not written by us.

    Old rows are sealed without their place in Kafka. Taking both weakens nothing: whoever changes the place
    of a newer row has to write a hash anew, and with it the rest of its chain.
    """
    try:
        unsealed = _unsealed(row)
        return row["hash"] in (unsealed.seal(before), unsealed.seal_without_place(before))
    except UNREADABLE:
        return False


def check_chain(head: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Broken]:
    """Check one payment's rows, in order; the first broken row speaks for those after it.

    Where retention removed its oldest rows, the chain begins at the anchor that it left.
    """
    before, version = head["anchor_hash"] or b"", head["anchor_version"] or 0
    for row in rows:
        if not is_as_written(row, before):
            return [Broken(row["id"], head["id"], "its content, or a row before it, is not what was written")]
        if row["version"] is not None and row["version"] != version + 1:
            return [Broken(row["id"], head["id"], f"version {row['version']} follows version {version}")]
        before, version = row["hash"], row["version"] or version
    if before != head["head_hash"]:
        return [Broken(None, head["id"], "rows are missing at the end of its chain")]
    if version != head["version"]:
        return [Broken(None, head["id"], f"the payment is at version {head['version']}, its ledger at {version}")]
    return []


def check_seal(head: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], sealed: Sealed) -> list[Broken]:
    """Check that the row at which a chain was sealed is still in it, or is one of those that retention took away.

    The chain itself is checked by then, so every row up to the sealed one is what it was.
    """
    place = next((row for row in rows if row["id"] == sealed.ledger_id), None)
    if place is not None and place["hash"] == sealed.hash:
        return []
    if place is None and (head["anchor_id"] or 0) >= sealed.ledger_id:
        if head["anchor_mac"] is not None:
            return []
        return [
            Broken(sealed.ledger_id, head["id"], "it was sealed, and removed without the key: its anchor is unsigned")
        ]
    return [Broken(sealed.ledger_id, head["id"], "it was sealed, and is gone or is another row now")]


def check_anchor(head: Mapping[str, Any], key: bytes) -> list[Broken]:
    """Check the signature of a chain's anchor, where it has one."""
    if head["anchor_mac"] is None:
        return []
    anchor = {
        "payment_id": head["id"], "hash": head["anchor_hash"], "version": head["anchor_version"],
        "relay_xid": head["anchor_xid"], "ledger_id": head["anchor_id"], "rows_removed": head["anchor_rows"],
        "facts": head["anchor_facts"],
    }  # fmt: skip
    if anchor_mac(key, anchor) == head["anchor_mac"]:
        return []
    return [Broken(None, head["id"], "its anchor is not what retention signed, or by another key")]


@dataclass(frozen=True, slots=True)
class AuditInputs:
    """What a walk holds the ledger against beside itself: the key that signs anchors, a seal, a checked archive.

    A seal to be made (`writer`) gets all that is walked. `actions` is where the chain of people's actions ended
    at another time.
    """

    key: bytes | None = None
    seal: SealReader | None = None
    writer: SealWriter | None = None
    actions: SealedActions | None = None
    archive: ArchiveCheck | None = None


async def walk(connection: Connection, broken_max: int, inputs: AuditInputs = AuditInputs()) -> Audit:
    """Check the whole ledger, and what people did."""
    audit = Audit(broken_max)
    after: UUID = UUID(int=0)
    while heads := await _step(connection, audit, after, inputs):
        after = heads[-1]["id"]
    await _find_gone_payments(connection, audit, after, LAST_ID)
    if inputs.seal is not None:
        audit.note(_gone(one) for one in inputs.seal.up_to(None))
    await _walk_rows_without_payment(connection, audit, inputs)
    if inputs.archive is not None:
        (anchor,) = await fetch(connection, "read_anchor_without_payment")
        audit.note((*inputs.archive.check_gone(), *inputs.archive.check_removed_alone(anchor["rows_removed"])))
    if inputs.seal is not None and inputs.seal.holds_rows:
        await _check_sealed_rows(connection, audit, inputs.seal, inputs)
    done = await walk_actions(connection, inputs.actions)
    audit.actions = done.rows
    audit.note(Broken(action_id, None, why) for action_id, why in done.broken)
    return audit


async def _step(connection: Connection, audit: Audit, after: UUID, inputs: AuditInputs) -> list[Row]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        heads = await fetch(connection, "read_chain_heads", after, PAYMENTS_A_STEP)
        ids = [head["id"] for head in heads]
        rows = await fetch(connection, "read_chains", ids)
        known = families(await fetch(connection, "read_families", ids))
        if ids:
            await _find_gone_payments(connection, audit, after, ids[-1])
    chains: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        chains[row["payment_id"]].append(row)
    audit.rows += len(rows)
    for head in heads:
        chain = chains[head["id"]]
        audit.note(_check(head, chain, known.get(head["id"], Family()), inputs))
        if inputs.writer is not None:
            last = chain[-1]["id"] if chain else head["anchor_id"] or 0
            inputs.writer.add(Sealed(head["id"], last, head["version"], head["head_hash"]))
    return heads


def _check(head: Row, chain: list[Row], family: Family, inputs: AuditInputs) -> list[Broken]:
    """Check one payment; the first thing that is wrong speaks for the rest, but what was sealed speaks for itself."""
    found = check_chain(head, chain)
    if not found and inputs.key is not None:
        found = check_anchor(head, inputs.key)
    if not found and (why := check_row(head, chain, family)) is not None:
        found = [Broken(None, head["id"], why)]
    if not found and inputs.archive is not None:
        found = inputs.archive.check_payment(head, chain)
    if inputs.seal is not None:
        for sealed in inputs.seal.up_to(head["id"]):
            mine = sealed.payment_id == head["id"]
            found += _check_sealed(head, chain, sealed, inputs.archive) if mine else [_gone(sealed)]
    return found


def _check_sealed(head: Row, chain: Sequence[Row], sealed: Sealed, archive: ArchiveCheck | None) -> list[Broken]:
    """Check that a sealed row is in the chain, or in the archive where retention took it after it was archived."""
    there = any(row["id"] == sealed.ledger_id for row in chain)
    if archive is None or there or not archive.should_have(head["id"], sealed.ledger_id):
        return check_seal(head, chain, sealed)
    if archive.has_sealed(sealed):
        return []
    return [Broken(sealed.ledger_id, head["id"], IN_NEITHER)]


def _gone(sealed: Sealed) -> Broken:
    return Broken(sealed.ledger_id, sealed.payment_id, "its payment was sealed, and is not there")


async def _find_gone_payments(connection: Connection, audit: Audit, after: UUID, last: UUID) -> None:
    """Find the ledger rows between two payments, the last one included, whose own payment is not there."""
    place = (after, ID_MAX)
    while rows := await fetch(connection, "find_rows_of_gone_payments", *place, last, ROWS_A_STEP):
        place = rows[-1]["payment_id"], rows[-1]["id"]
        audit.rows += len(rows)
        audit.note(Broken(row["id"], row["payment_id"], "its payment is not there") for row in rows)


async def _walk_rows_without_payment(connection: Connection, audit: Audit, inputs: AuditInputs) -> None:
    """Check the rows that stand alone."""
    writer = inputs.writer
    if writer is not None:
        (anchor,) = await fetch(connection, "read_anchor_without_payment")
        writer.begin_rows(anchor["rows_removed"])
    place = (0, 0)
    while rows := await fetch(connection, "read_rows_without_payment", *place, ROWS_A_STEP):
        place = rows[-1]["relay_xid"], rows[-1]["id"]
        audit.rows += len(rows)
        for row in rows:
            if not is_as_written(row, b""):
                audit.note([Broken(row["id"], None, "its content is not what was written")])
            elif writer is not None:
                writer.add_row(SealedRow(row["relay_xid"], row["id"], row["hash"]))
            if inputs.archive is not None:
                audit.note(inputs.archive.check_alone(row))


async def _check_sealed_rows(connection: Connection, audit: Audit, seal: SealReader, inputs: AuditInputs) -> None:
    """Check that the rows of no payment that were sealed are there, but for those that retention took and signed.

    With an archive, what retention took since archiving began must be in it.
    """
    sealed, lacking, archive, key = seal.rows(), 0, inputs.archive, inputs.key
    while step := list(islice(sealed, ROWS_A_STEP)):
        keys = [one.relay_xid for one in step], [one.id for one in step]
        found = {row["id"]: row["hash"] for row in await fetch(connection, "find_sealed_rows", *keys)}
        (anchor,) = await fetch(connection, "read_anchor_without_payment")
        audit.note(
            Broken(one.id, None, "it was sealed, and is another row now")
            for one in step
            if one.id in found and found[one.id] != one.hash
        )
        gone = [one for one in step if one.id not in found and not (archive is not None and archive.has_sealed(one))]
        if archive is not None:
            audit.note(Broken(one.id, None, IN_NEITHER) for one in gone if not archive.is_before_archive(one))
            gone = [one for one in gone if archive.is_before_archive(one)]
        missing = [one.id for one in gone]
        audit.note(Broken(one, None, why) for one in missing if (why := _why_missing(one, anchor, key)) is not None)
        lacking += sum(one <= anchor["ledger_id"] for one in missing)
    if lacking:
        audit.note(_more_than_removed(lacking, anchor["rows_removed"] - seal.rows_removed))


def _why_missing(ledger_id: int, anchor: Mapping[str, Any], key: bytes | None) -> str | None:
    """Say what is wrong with a sealed row of no payment that is not there, or None where retention took it."""
    if ledger_id > anchor["ledger_id"]:
        return "it was sealed, and is gone"
    if anchor["mac"] is None:
        return "it was sealed, and removed without the key: its anchor is unsigned"
    if key is None or anchor_without_payment_mac(key, anchor["ledger_id"], anchor["rows_removed"]) != anchor["mac"]:
        return "it was sealed, and is gone: its anchor is not what retention signed, or by another key"
    return None


def _more_than_removed(lacking: int, removed: int) -> list[Broken]:
    """Hold the number of sealed rows that are gone against how many retention removed since."""
    if lacking <= removed:
        return []
    return [Broken(None, None, f"{lacking} sealed rows of no payment are gone, retention removed {removed} since")]
