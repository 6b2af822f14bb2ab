"""The clients without brokers: types of today's schemas, records as documented, handlers chosen, bounds of size."""

from __future__ import annotations

import asyncio
import json
import runpy
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from client_changes import CHANGE

from ratchet_client import command, event
from ratchet_client.react import Reactor, Retry
from ratchet_client.read import change_of, decoded
from ratchet_client.running import Payment, Run
from ratchet_client.types import Capture, CaptureEnum, CaptureRecord, CreateRecord, Intent, MoneyMoved, Status
from schemas.events import EVENTS
from schemas.intents import COMMAND_BODIES, Command, IntentRecord

pytestmark = pytest.mark.unit

CLIENTS = Path(__file__).parents[2] / "clients"
LINES_MAX = 200


def test_the_types_are_made_of_the_schemas_as_they_are() -> None:
    made = runpy.run_path(str(CLIENTS / "generate.py"))
    assert (CLIENTS / "types.sha256").read_text().strip() == made["digest"](), "run: python clients/generate.py"


@pytest.mark.parametrize(
    "pattern", ["python/ratchet_client/[!t]*.py", "go/**/[!t]*.go", "java/src/main/java/ratchet/*.java", "node/*.mjs"]
)
def test_no_file_of_a_client_is_longer_than_a_reader_has_patience_for(pattern: str) -> None:
    found = {path.name: len(path.read_text().splitlines()) for path in CLIENTS.glob(pattern)}
    assert found
    assert {name: lines for name, lines in found.items() if lines > LINES_MAX} == {}


def test_no_lock_file_names_a_registry() -> None:
    lock = json.loads((CLIENTS / "node" / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []


def test_records_are_as_the_consumer_takes_them() -> None:
    reported = event(
        "payment.captured", MoneyMoved(payment_id="b-1", id="c", amount=5, currency="EUR"), source="b", event_id="e"
    )
    assert (reported.topic, reported.key, reported.headers["ce_id"]) == ("events", "b-1", "e")
    EVENTS["payment.captured"].model_validate(reported.value)
    asked = CaptureRecord(body=Capture(amount=5), client="shop", command="capture", id=CHANGE["payment_id"])
    record = command(asked, command_id="c-1")
    assert (record.topic, record.headers) == ("intents", {"ce_id": "c-1"})
    known = IntentRecord.model_validate(record.value)
    assert COMMAND_BODIES[Command.CAPTURE].model_validate(known.body).model_dump(exclude_unset=True) == {"amount": 5}


def test_what_is_false_or_zero_is_published_and_only_none_is_left_out() -> None:
    """A test payment whose `livemode: false` is left out is one of the endpoint's own mode, which may be live."""
    moved = MoneyMoved(payment_id="b-1", id="c", amount=0, currency="EUR", livemode=False)
    written = {"payment_id": "b-1", "id": "c", "amount": 0, "currency": "EUR", "livemode": False}
    assert event("payment.captured", moved, source="b", event_id="e").value == written
    basket: dict[str, Any] = {
        "gift": False,
        "items": 0,
        "note": None,
        "seen": [],
        "text": "",
        "mode": CaptureEnum.MANUAL,
    }
    intent = Intent(
        amount=5, currency="EUR", provider="stripe", capture=CaptureEnum.MANUAL, livemode=False, metadata=basket
    )
    asked = CreateRecord(body=intent, client="shop", command="create", id=CHANGE["payment_id"])
    body = {"amount": 5, "currency": "EUR", "provider": "stripe", "capture": "manual", "livemode": False}
    made = command(asked, command_id="c-1").value["body"]
    assert json.loads(json.dumps(made)) == body | {"metadata": basket | {"mode": "manual"}}


def test_a_field_and_a_value_that_are_new_are_read() -> None:
    change = change_of(CHANGE | {"later": 1, "status": "held_by_bank"})
    assert (change.status, change.captured) == ("held_by_bank", 5)
    assert change_of(CHANGE).status == Status.CAPTURED


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"payment_id": "x"}'])
def test_what_is_no_record_of_a_payment_names_its_place(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"payments\.changes, partition 2, offset 7"):
        decoded(SimpleNamespace(topic="payments.changes", partition=2, offset=7, value=value))


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, bytes]]] = []

    async def send_and_wait(self, topic: str, value: bytes, *, key: bytes, headers: list[tuple[str, bytes]]) -> None:
        self.records.append((topic, dict(headers)))


class Topic:
    """A consumer's commits."""

    def __init__(self) -> None:
        self.committed: dict[str, int] = {}

    async def commit(self, offsets: dict[str, int]) -> None:
        self.committed |= offsets


def record(offset: int, payment: str, version: int, **more: Any) -> Any:
    value = json.dumps(CHANGE | {"payment_id": payment, "version": version} | more).encode()
    return SimpleNamespace(
        topic="payments.changes", partition=0, offset=offset, key=payment.encode(), value=value, headers=[]
    )


@pytest.fixture
def app() -> Reactor:
    retry = Retry(tries_max=3, pause_seconds=0.0)
    return Reactor("localhost:9092", "shop", "shop.dead-letters", retry=retry)


@pytest.fixture
async def run(app: Reactor, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("ratchet_client.join.AIOKafkaConsumer", lambda **_: Topic())
    return Run(app, Sent(), None)


async def finish(run: Run, place: str, records: list[Any]) -> None:
    for one in records:
        run._begin(place, one)
    await asyncio.gather(*run._tasks([place]))


async def test_a_payments_changes_are_handled_in_order_while_another_is_tried_again(app: Reactor, run: Run) -> None:
    seen: list[tuple[str, int]] = []
    released, overtaken = asyncio.Event(), asyncio.Event()

    @app.on("captured")
    async def on_captured(payment: Payment) -> None:
        if payment.payment_id == "slow" and payment.version == 1:
            await released.wait()
        seen.append((payment.payment_id, payment.version))
        if len(seen) == 2:
            overtaken.set()

    for offset, (payment, version) in enumerate([("slow", 1), ("slow", 2), ("quick", 1), ("quick", 2)]):
        run._begin("p", record(offset, payment, version))
    await asyncio.wait_for(overtaken.wait(), 10)
    assert seen == [("quick", 1), ("quick", 2)]
    await run._commit(["p"])
    assert run._consumer.committed == {"p": 0}, "not past what is still being handled"
    released.set()
    await asyncio.gather(*run._tasks(["p"]))
    await run._commit(["p"])
    assert (seen[2:], run._consumer.committed) == ([("slow", 1), ("slow", 2)], {"p": 4})


async def test_what_fails_is_tried_again_and_then_goes_to_the_dead_letters(app: Reactor, run: Run) -> None:
    tried: list[str] = []

    @app.on("captured")
    async def on_captured(payment: Payment) -> None:
        tried.append(payment.effect_id)
        if payment.version == 1 or len(tried) < 5:
            raise RuntimeError("the shop is closed")

    await finish(run, "p", [record(0, "a", 1), record(1, "a", 2)])
    assert tried == ["a/1/1"] * 3 + ["a/1/2"] * 2
    [(topic, headers)] = run._producer.records
    assert topic == "shop.dead-letters"
    assert headers["__dlq.errors.message"] == b"RuntimeError: the shop is closed"
    assert (headers["__dlq.errors.offset"], headers["__dlq.errors.delivery.count"]) == (b"0", b"3")


async def test_handlers_are_chosen_by_the_status_that_is_new(app: Reactor, run: Run) -> None:
    seen: list[str] = []
    module = ModuleType("handlers")
    for name in ("on_captured", "on_change"):

        async def handler(payment: Payment, name: str = name) -> None:
            seen.append(f"{name} {payment.version}")

        setattr(module, name, handler)
    app.take(module)
    reported = [record(0, "a", 1), record(1, "a", 2, from_status="captured"), record(2, "a", 3, to_status=None)]
    await finish(run, "p", reported)
    assert seen == ["on_captured 1", "on_change 1", "on_change 2", "on_change 3"]


def test_pauses_grow_up_to_a_bound() -> None:
    retry = Retry(pause_seconds=1.0, pause_seconds_max=5.0)
    assert [retry.pause(tried) for tried in range(1, 5)] == [1.0, 2.0, 4.0, 5.0]
