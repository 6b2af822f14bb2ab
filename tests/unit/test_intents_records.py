"""What is recorded of a command, in which order, and what is read before: the statements' arguments, on paper."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from producers.ingress.intents.bodies import ParsedCommand, read
from producers.ingress.intents.idempotency import IN_PROGRESS, IdempotencyRecords, StoredAnswer
from producers.ingress.intents.queued import Asking, key_of
from producers.ingress.intents.references import PaymentReference
from runtime.settings import IntentsSettings
from runtime.sql import statement
from schemas.intents import Command, Intent
from tests.unit.test_intents_payment_view import CAPTURED

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

ASKING = Asking("shop", UUID(int=7), 1_764_000_000.5)
BOUNDS = IntentsSettings(
    asked_seconds=11,
    command_grace_seconds=12,
    kept_seconds=100_000,
    payments_found_max=3,
    timeline_rows_max=4,
)
ONE, TWO = UUID(int=11), UUID(int=12)


def attempt(of: UUID, captured: int) -> dict[str, Any]:
    figures = {"amount": captured, "authorized": captured, "captured": captured, "captures_seen": captured}
    none = dict.fromkeys(("refunded", "disputed", "refunds_pending"), 0)
    return (
        {"id": str(of), "status": "captured", "currency": "EUR", "refunds_seen": 40, "provider_ref": "x"}
        | figures
        | none
    )


WHOLE = replace(
    CAPTURED,
    captured=300,
    authorized=300,
    captures_seen=300,
    refunds_seen=80,
    attempts=json.dumps([attempt(ONE, 100), attempt(TWO, 200)]),
)


class PaperConnection:
    """Answers each statement of `producers` as the test says, a moment later; keeps what was asked, in order."""

    def __init__(self, view: Any = None) -> None:
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.view = view
        self.found: Any = None
        self.failures: list[Exception] = []
        self._names = {
            statement("producers", name): name
            for name in (
                *("lock_name", "find_idempotency_record", "find_taken", "insert_idempotency_record", "insert_spool"),
                *("read_asked", "read_payment_view", "read_recorded_view", "find_own_payments", "read_moments"),
            )
        }

    async def _note(self, text: str, arguments: tuple[Any, ...]) -> str:
        await asyncio.sleep(0)
        self.asked.append((self._names[text], arguments))
        return self._names[text]

    async def execute(self, text: str, *arguments: Any) -> None:
        if await self._note(text, arguments) == "insert_spool" and self.failures:
            raise self.failures.pop(0)

    async def fetchrow(self, text: str, *arguments: Any) -> Any:
        name = await self._note(text, arguments)
        if name == "read_payment_view" and self.view is not None:
            return {field: getattr(self.view, field) for field in self.view.__dataclass_fields__}
        return self.found if name == "find_idempotency_record" else None

    async def fetch(self, text: str, *arguments: Any) -> Any:
        await self._note(text, arguments)
        return []

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for asked, arguments in self.asked if asked == name]

    @property
    def record(self) -> Any:
        """The record that was spooled, as its reader has it."""
        ((_, _, value, *_),) = self.of("insert_spool")
        return msgspec.json.decode(value)


class PaperTransactions:
    """Runs work on one connection."""

    def __init__(self, connection: PaperConnection) -> None:
        self._connection = connection

    async def run(self, work: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        return await work(self._connection)


def records_on(connection: PaperConnection) -> IdempotencyRecords:
    return IdempotencyRecords(PaperTransactions(connection), BOUNDS, "intents")  # type: ignore[arg-type]


def command(what: Command, payment_id: UUID | None = WHOLE.id, **body: Any) -> ParsedCommand:
    parsed = read(what, payment_id, json.dumps(body).encode(), 20)
    assert isinstance(parsed, ParsedCommand)
    return parsed


INTENT = command(
    Command.CREATE, None, amount=100, currency="EUR", provider="stripe", reference="order-1", livemode=True
)


async def test_a_refund_is_recorded_for_the_attempt_that_it_is_for() -> None:
    """What its facts showed then is that attempt's: the whole intent's would count the refunds of others twice."""
    connection = PaperConnection(WHOLE)
    stored = await records_on(connection).make(ASKING, command(Command.REFUND, attempt_id=str(TWO)))
    assert isinstance(stored, StoredAnswer)
    ((client, key, _, kind, payment_id, event_id, record_key, *columns, kept, answer),) = connection.of(
        "insert_idempotency_record"
    )
    assert (client, key, kind, payment_id, record_key) == ("shop", UUID(int=7), "refund", WHOLE.id, "order-1")
    assert columns == [*[None] * 7, 200, 40, None, TWO]
    assert (kept, answer) == (100_000, stored.answer)
    assert json.loads(stored.answer)["amount"] == 200
    assert connection.record == {
        "id": str(WHOLE.id),
        "client": "shop",
        "command": "refund",
        "body": {"attempt_id": str(TWO), "amount": 200, "currency": "EUR", "metadata": {}},
    }
    ((_, _, _, names, values),) = connection.of("insert_spool")
    assert values[names.index(b"ce_id")].decode() == event_id


async def test_a_refund_that_names_no_attempt_goes_to_the_one_that_has_room() -> None:
    full = attempt(ONE, 100) | {"refunded": 100, "refunds_seen": 100}
    connection = PaperConnection(replace(WHOLE, attempts=json.dumps([full, attempt(TWO, 200)]), refunded=100))
    stored = await records_on(connection).make(ASKING, command(Command.REFUND, amount=50))
    assert isinstance(stored, StoredAnswer)
    assert connection.record["body"] == {"attempt_id": str(TWO), "amount": 50, "currency": "EUR", "metadata": {}}
    assert connection.of("insert_idempotency_record")[0][-3] == TWO


async def test_a_cancel_is_of_the_attempt_that_it_names() -> None:
    held = [attempt(one, 0) | {"status": "authorized", "authorized": 100, "amount": 100} for one in (ONE, TWO)]
    whole = replace(WHOLE, status="authorized", captured=0, captures_seen=0, authorized=200, attempts=json.dumps(held))
    connection = PaperConnection(whole)
    stored = await records_on(connection).make(ASKING, command(Command.CANCEL, attempt_id=str(TWO)))
    assert isinstance(stored, StoredAnswer)
    assert connection.record["body"] == {"attempt_id": str(TWO), "metadata": {}}


async def test_what_was_asked_for_is_read_under_the_locks_within_its_bounds() -> None:
    connection = PaperConnection(WHOLE)
    await records_on(connection).make(ASKING, command(Command.REFUND, UUID(int=9), attempt_id=str(TWO)))
    assert connection.of("read_asked") == [(WHOLE.id, 11, 12)]
    assert connection.of("lock_name") == [
        (f"intent-claim:shop:{UUID(int=7)}",),
        (f"intent-payment:{UUID(int=9)}",),
        (f"intent-payment:{WHOLE.id}",),
    ]
    names = [name for name, _ in connection.asked]
    after = names[len(names) - 1 - names[::-1].index("lock_name") :]
    assert after[1:3] == ["read_payment_view", "read_asked"], "what was read before the lock may be old"


async def test_a_reference_that_was_taken_meanwhile_is_looked_up_again_once() -> None:
    connection = PaperConnection()
    connection.failures = [asyncpg.UniqueViolationError("taken")]
    assert isinstance(await records_on(connection).make(ASKING, INTENT), StoredAnswer)
    assert len(connection.of("find_taken")) == 2
    connection.failures = [asyncpg.UniqueViolationError("taken")] * 2
    assert await records_on(connection).make(ASKING, INTENT) is IN_PROGRESS


async def test_a_new_payments_id_tells_when_it_was_asked_for() -> None:
    connection = PaperConnection()
    stored = await records_on(connection).make(ASKING, INTENT)
    assert isinstance(stored, StoredAnswer)
    assert stored.payment_id.int >> 80 == 1_764_000_000_500, "milliseconds (RFC 9562, 5.7)"
    await records_on(other := PaperConnection(WHOLE)).make(ASKING, command(Command.REFUND, attempt_id=str(TWO)))
    event_id = other.of("insert_idempotency_record")[0][5]
    assert UUID(event_id).int >> 80 == 1_764_000_000_500


async def test_one_more_is_read_than_is_shown() -> None:
    """Or nobody could tell that there are more."""
    connection = PaperConnection()
    records = records_on(connection)
    await records.moments(ONE)
    await records.find_by_reference("shop", PaymentReference(reference="order-1"))
    assert connection.of("read_moments") == [(ONE, 5)]
    assert connection.of("find_own_payments") == [("shop", None, None, "order-1", 4)]


def test_records_of_a_payment_go_under_the_reference_of_its_webhooks() -> None:
    intent = Intent(amount=1, currency="EUR", provider="stripe")
    assert key_of(intent, ONE) == str(ONE)
    assert key_of(intent.model_copy(update={"reference": "order"}), ONE) == "order"
    assert key_of(intent.model_copy(update={"reference": "order", "provider_ref": "pi"}), ONE) == "pi"
