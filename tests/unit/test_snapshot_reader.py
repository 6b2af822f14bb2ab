"""What a dry run reads of its snapshot: with a payment all that it came to be, and nothing over what it changed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from events import standard

from consumer.ledger_reader import Needs, needs_of
from consumer.verdict import Dead
from ops import snapshot_reader
from ops.snapshot_reader import SnapshotReader
from runtime.settings import RedriveSettings, Settings
from runtime.sql import statement
from schemas.dead_letter import Reason

pytestmark = pytest.mark.unit

A, B, C, D, E = (UUID(int=number) for number in range(1, 6))
NAMES = ("foresee_refs", "foresee_payments", "foresee_parked")
SETTINGS = Settings(redrive=RedriveSettings(parked_read_max=77, preview_bytes_max=7_000_000))


def key(ref: str) -> Any:
    return ("stripe", "", "", True, "payment", ref)


def payment(payment_id: UUID, *, merged_into: UUID | None = None, intent_id: UUID | None = None) -> dict[str, Any]:
    columns = dict.fromkeys(("provider_ref", "client", "reference", "phone", "currency"))
    columns |= {"id": payment_id, "provider": "stripe", "account": "", "version": 0, "facts": "{}", "flags": []}
    columns |= {"head_hash": b"", "head_xid": 0, "merchant_account": "", "livemode": True}
    return columns | {"merged_into": merged_into, "intent_id": intent_id}


class Snapshot:
    """A database: references and what they name, payments, who stands together, and parked events."""

    def __init__(self) -> None:
        self.refs: dict[str, UUID] = {}
        self.payments: dict[UUID, dict[str, Any]] = {}
        self.groups: dict[Any, dict[UUID, Any]] = {}
        self.parked: list[dict[str, Any]] = []
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.reported: list[Any] = []
        self.bodies: list[Any] = []
        self._names = {statement("ops", name): name for name in NAMES}

    async def fetch(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        name = self._names[sql]
        self.asked.append((name, arguments))
        if name == "foresee_payments":
            return [self.payments[one] for one in arguments[0] if one in self.payments]
        if name == "foresee_parked":
            return self.parked
        columns = ("provider", "account", "merchant_account", "livemode", "kind", "ref")
        rows = [dict(zip(columns, one, strict=True)) for one in zip(*arguments, strict=True)]
        return [row | {"payment_id": self.refs[row["ref"]]} for row in rows if row["ref"] in self.refs]

    async def read_groups(self, _: object, known: Any, promised: Any, _max: int) -> None:
        held = {
            key: group for key, group in self.groups.items() if key in promised or group.keys() & known.payments.keys()
        }
        known.groups = held

    async def read_reported(self, _: object, known: Any, keys: Any) -> None:
        self.reported.append(set(keys))
        for one in keys:
            known.reported.setdefault(one, "read")

    async def read_bodies(self, _: object, _known: Any, events: Any) -> None:
        self.bodies.append(list(events))


@pytest.fixture
def snapshot(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Snapshot()
    for name in ("read_groups", "read_reported", "read_bodies"):
        monkeypatch.setattr(snapshot_reader, name, getattr(made, name))
    return made


def needs(*refs: str, promised: tuple[str, ...] = (), waiting: bool = False) -> Needs:
    return Needs(keys=frozenset(map(key, refs)), promised=frozenset(map(key, promised)), waiting=waiting)


async def test_with_a_payment_come_those_that_it_turned_out_to_be_and_whose_attempt_it_is(snapshot: Any) -> None:
    snapshot.refs = {"a": A}
    snapshot.payments = {
        A: payment(A, merged_into=B),
        B: payment(B, merged_into=C),
        C: payment(C, intent_id=D),
        D: payment(D),
        E: payment(E),
    }
    known = await SnapshotReader(snapshot, SETTINGS).read(needs("a", "b"))
    assert known.refs == {key("a"): A, key("b"): None}
    assert known.payments.keys() == {A, B, C, D}


async def test_what_is_in_memory_is_not_read_again(snapshot: Any) -> None:
    """The letters before have changed it there; the snapshot knows nothing of them."""
    snapshot.refs, snapshot.payments = {"a": A}, {A: payment(A), B: payment(B)}
    reader = SnapshotReader(snapshot, SETTINGS)
    event = needs_of([(None, standard_event())])  # type: ignore[list-item]
    known = await reader.read(event)
    known = await reader.read(needs("a", "b"))
    held = known.payments[A] = SimpleNamespace(changed=True)  # type: ignore[assignment]
    known.refs[key("b")] = B
    known.reported |= dict.fromkeys(known.reported, "changed")
    asked = len(snapshot.asked)
    again = await reader.read(needs("a", "b"))
    assert again is known
    assert (known.payments[A], known.refs[key("b")], len(snapshot.asked)) == (held, B, asked)
    await reader.read(event)
    assert len(snapshot.reported) == 1
    assert set(known.reported.values()) == {"changed"}
    assert snapshot.bodies[0] == list(event.events)


def standard_event() -> Any:
    from events import understood

    return understood(standard("payment.captured", child="c"))


async def test_groups_are_read_with_all_their_members_and_memory_stands_above_them(snapshot: Any) -> None:
    group, further = key("order"), key("further")
    snapshot.refs, snapshot.payments = {"a": A}, {one: payment(one) for one in (A, B, C)}
    snapshot.groups = {group: {A: "read", B: "read"}, further: {B: "read", C: "read"}}
    reader = SnapshotReader(snapshot, SETTINGS)
    known = await reader.read(needs("a", promised=("nobody",)))
    assert known.payments.keys() == {A, B, C}, "B stands under a reference of its own, where C is"
    assert known.groups == {group: {A: "read", B: "read"}, further: {B: "read", C: "read"}, key("nobody"): {}}
    known.groups[group] = {A: "changed", B: "read", D: "new"}  # type: ignore[dict-item]
    known = await reader.read(needs("a"))
    assert known.groups[group] == {A: "changed", B: "read", D: "new"}


async def test_parked_events_are_those_of_this_batch_that_can_be_read_with_their_references(
    snapshot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = standard("refund.succeeded", child="r")
    columns = {"topic": record.topic, "partition": 0, "offset": 0, "timestamp_ms": 1, "key": b"", "value": record.value}
    names, values = [name.encode() for name, _ in record.headers], [value for _, value in record.headers]
    snapshot.parked = [
        columns | {"id": number, "header_names": names, "header_values": values, "event_id": "e", "processed": False}
        for number in (1, 2)
    ]
    snapshot.refs, snapshot.payments = {"a": A}, {A: payment(A)}
    decoded, trips = snapshot_reader.decoded, iter([True, False])

    def read(one: Any, terms: Any) -> Any:
        return (one, Dead(Reason.UNEXPECTED, "it cannot be read today")) if next(trips) else decoded(one, terms)

    monkeypatch.setattr(snapshot_reader, "decoded", read)
    reader = SnapshotReader(snapshot, SETTINGS)
    known = await reader.read(needs("a", waiting=True))
    assert [one.id for one in known.parked] == [2]
    _, arguments = next(one for one in snapshot.asked if one[0] == "foresee_parked")
    assert arguments[6:] == ([A], 77, 7_000_000)
    assert len(known.refs) > 1, "what they wait on is looked up too"
    known = await reader.read(needs("a"))
    assert known.parked == []
