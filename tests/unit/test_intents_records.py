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

from producers.ingress.intents.answers import Declined
from producers.ingress.intents.bodies import ParsedCommand, read
from producers.ingress.intents.idempotency import IN_PROGRESS, MISMATCH, UNKNOWN, IdempotencyRecords, StoredAnswer
from producers.ingress.intents.queued import Asking, key_of
from producers.ingress.intents.references import PaymentReference
from runtime.settings import IntentsSettings
from runtime.sql import statement
from schemas import problems
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
        self.taken: Any = None
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
        return {"find_idempotency_record": self.found, "find_taken": self.taken}.get(name)

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
FULL_INTENT = command(
    Command.CREATE,
    None,
    amount=100,
    currency="EUR",
    provider="stripe",
    account="eu",
    merchant_account="m1",
    livemode=False,
    reference="order-1",
    provider_ref="pi_1",
    metadata={"cart": 7},
)


async def test_an_intent_is_recorded_with_its_scope_its_names_and_its_terms() -> None:
    """Its row is what a client sees, and what stands in another's way, until the ledger has it."""
    connection = PaperConnection()
    stored = await records_on(connection).make(ASKING, FULL_INTENT)
    assert isinstance(stored, StoredAnswer)
    one = stored.payment_id
    ((client, key, fingerprint, kind, payment_id, event_id, record_key, *columns, kept, answer),) = connection.of(
        "insert_idempotency_record"
    )
    assert (client, key, fingerprint, kind) == ("shop", UUID(int=7), FULL_INTENT.fingerprint, "create")
    assert (payment_id, event_id, record_key) == (one, f"{one}:create", "pi_1")
    assert columns == ["stripe", "eu", "m1", False, "order-1", "pi_1", "EUR", 100, None, '{"cart":7}', None]
    assert (kept, answer) == (100_000, stored.answer)
    terms = {"provider": "stripe", "account": "eu", "merchant_account": "m1", "livemode": False, "amount": 100}
    names = {"provider_ref": "pi_1", "reference": "order-1", "currency": "EUR", "capture": "manual"}
    assert json.loads(answer) == {"id": str(one), "status": "created", "command": "create"} | terms | names
    asked = {"id": str(one), "client": "shop", "command": "create"}
    assert connection.record == asked | {"body": terms | names | {"metadata": {"cart": 7}}}
    ((topic, spooled_key, _, headers, values),) = connection.of("insert_spool")
    assert (topic, spooled_key, values[headers.index(b"ce_id")]) == ("intents", b"pi_1", f"{one}:create".encode())


async def test_a_commands_event_says_whose_it_is_what_it_asks_for_and_when() -> None:
    """The consumer knows the client and the time after which nobody may begin it from there alone."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    connection = PaperConnection(WHOLE)
    refund = command(Command.REFUND, attempt_id=str(TWO), amount=10)
    await records_on(connection).make(replace(ASKING, traceparent=trace), refund)
    ((topic, key, _, names, values),) = connection.of("insert_spool")
    found = dict(zip(names, values, strict=True))
    assert (topic, key) == ("intents", b"order-1")
    assert [found[name] for name in (b"ce_source", b"ce_type", b"ce_time", b"traceparent", b"content-type")] == [
        b"intents/shop",
        b"intent.refund",
        b"2025-11-24T16:00:00.500000+00:00",
        trace.encode(),
        b"application/json",
    ]


async def test_what_an_intent_could_meet_is_looked_at_under_its_lock() -> None:
    """Or two requests at once both find nothing. The reference's lock is one for all merchant accounts and modes."""
    connection = PaperConnection()
    await records_on(connection).make(ASKING, FULL_INTENT)
    assert connection.asked[:4] == [
        ("lock_name", (f"intent-claim:shop:{UUID(int=7)}",)),
        ("find_idempotency_record", ("shop", UUID(int=7))),
        ("lock_name", ("intent-reference:stripe/eu:order-1",)),
        ("find_taken", ("shop", "stripe", "eu", "m1", False, "pi_1", "order-1")),
    ]


async def test_a_key_that_has_a_record_gets_its_answer_or_none_at_all() -> None:
    connection = PaperConnection()
    connection.found = {"fingerprint": INTENT.fingerprint, "payment_id": ONE, "answer": b"{}"}
    records = records_on(connection)
    assert await records.make(ASKING, INTENT) == StoredAnswer(ONE, b"{}", replayed=True)
    for other in (FULL_INTENT, command(Command.CAPTURE, ONE), command(Command.CANCEL, ONE)):
        assert await records.make(ASKING, other) is MISMATCH
    assert {name for name, _ in connection.asked} == {"lock_name", "find_idempotency_record"}, "nothing is written"


async def test_a_command_under_an_id_that_was_merged_is_one_of_what_it_became() -> None:
    connection = PaperConnection(WHOLE)
    stored = await records_on(connection).make(ASKING, command(Command.REFUND, UUID(int=9), attempt_id=str(TWO)))
    assert isinstance(stored, StoredAnswer)
    assert stored.payment_id == WHOLE.id
    assert json.loads(stored.answer)["id"] == connection.record["id"] == str(WHOLE.id)
    assert connection.of("insert_idempotency_record")[0][4] == WHOLE.id


WRITES = {"insert_idempotency_record", "insert_spool"}


async def declined(connection: PaperConnection, parsed: ParsedCommand) -> Declined:
    """Return why it is refused; nothing is written then, so that its key stays free."""
    refused = await records_on(connection).make(ASKING, parsed)
    assert isinstance(refused, Declined)
    assert not WRITES & {name for name, _ in connection.asked}
    return refused


@pytest.mark.parametrize(("owner", "members"), [("shop", {"payment_id": str(ONE)}), ("rival", {})])
async def test_whose_a_taken_reference_is_its_own_client_alone_learns(owner: str, members: dict[str, str]) -> None:
    connection = PaperConnection()
    connection.taken = {"payment_id": ONE, "client": owner}
    refused = await declined(connection, INTENT)
    assert (refused.problem, refused.members) == (problems.REFERENCE_TAKEN, members)


async def test_a_command_that_the_state_forbids_says_which_state_and_who_took_the_money() -> None:
    disputed = replace(CAPTURED, disputed=100, dispute_status="lost", disputes=["dp_1"], reversals=["rv_1"])
    refused = await declined(PaperConnection(disputed), command(Command.REFUND))
    assert refused.problem is problems.STATE_FORBIDS
    assert refused.members == {"state": "captured", "disputes": ["dp_1"], "reversals": ["rv_1"]}
    for status, what in (("expired", Command.CAPTURE), ("canceled", Command.CANCEL), ("canceled", Command.CAPTURE)):
        over = replace(CAPTURED, status=status, captured=0, captures_seen=0)
        assert (await declined(PaperConnection(over), command(what))).members == {"state": status}


async def test_a_command_that_names_no_attempt_of_several_is_answered_which_there_are() -> None:
    for body in ({}, {"attempt_id": str(UUID(int=99))}):
        refused = await declined(PaperConnection(WHOLE), command(Command.REFUND, **body))
        assert refused.problem is problems.INVALID_BODY
        assert [one["pointer"] for one in refused.members["errors"]] == ["#/attempt_id"]
        assert refused.members["attempt_ids"] == [str(ONE), str(TWO)]


async def test_a_command_of_a_payment_that_is_not_the_clients_is_looked_at_no_further() -> None:
    connection = PaperConnection()
    assert (await declined(connection, command(Command.REFUND, ONE))) is UNKNOWN
    assert connection.asked[-2:] == [("read_payment_view", (ONE, "shop", 12)), ("read_recorded_view", (ONE, "shop"))]


async def test_an_attempt_without_a_currency_is_of_its_payments() -> None:
    """Or an amount goes on its way without one. The answer's state is the payment's too."""
    silent = attempt(TWO, 200) | {"currency": None, "status": "partially_captured", "authorized": 300}
    connection = PaperConnection(replace(WHOLE, attempts=json.dumps([attempt(ONE, 100), silent])))
    stored = await records_on(connection).make(ASKING, command(Command.REFUND, attempt_id=str(TWO), amount=7))
    assert isinstance(stored, StoredAnswer)
    assert (connection.record["body"]["amount"], connection.record["body"]["currency"]) == (7, "EUR")
    shown = {"id": str(WHOLE.id), "status": "captured", "command": "refund", "currency": "EUR", "amount": 7}
    assert json.loads(stored.answer) == shown


async def test_what_a_client_notes_on_a_command_goes_on_its_way_with_it() -> None:
    noted: dict[str, Any] = {"reason": "late", "metadata": {"ticket": 7}}
    connection = PaperConnection(CAPTURED)
    await records_on(connection).make(ASKING, command(Command.REFUND, **noted))
    assert connection.record["body"] == noted | {"amount": 100, "currency": "EUR"}


async def test_two_commands_of_one_kind_are_two_events() -> None:
    """Or the consumer would take the second for a copy of the first, and nobody would carry it out."""
    connection = PaperConnection(WHOLE)
    refund = command(Command.REFUND, attempt_id=str(TWO), amount=10)
    for number in (7, 8):
        await records_on(connection).make(replace(ASKING, idempotency_key=UUID(int=number)), refund)
    first, second = (row[5] for row in connection.of("insert_idempotency_record"))
    assert first != second


async def test_a_payment_is_found_in_the_ledger_before_its_record() -> None:
    """The record shows it as it began: nothing authorized, nothing captured."""
    connection = PaperConnection(WHOLE)
    assert await records_on(connection).find("shop", WHOLE.id) == WHOLE
    assert connection.asked == [("read_payment_view", (WHOLE.id, "shop", 12))]
    assert await records_on(other := PaperConnection()).find("shop", ONE) is None
    assert other.asked == [("read_payment_view", (ONE, "shop", 12)), ("read_recorded_view", (ONE, "shop"))]


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


async def test_who_waits_too_long_for_a_lock_is_to_come_again_and_waits_no_second_time() -> None:
    connection = PaperConnection()
    connection.failures = [asyncpg.LockNotAvailableError("canceling statement due to lock timeout")]
    assert await records_on(connection).make(ASKING, INTENT) is IN_PROGRESS
    assert len(connection.of("find_taken")) == 1


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
