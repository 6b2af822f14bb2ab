"""Idempotency records: what a client asks for, its answer and its event, all in one transaction or not at all.

A transaction takes the advisory lock of the Idempotency-Key first and then the payment's: they end with it, also
when the process is killed, so no request is ever left in flight. A record can only be seen whole, with its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from producers.ingress.intents.answers import Declined, body_of
from producers.ingress.intents.payment_view import PaymentView
from producers.ingress.intents.queued import Asking, key_of, record_of
from runtime.sql import statement
from schemas import problems
from schemas.command_room import Bound, Forbidden, Request, Undetermined, Wish, bind
from schemas.intent_answers import Accepted, Asked, Moment
from schemas.intents import Cancel, Capture, Command, Intent, Refund
from schemas.payment import Status, new_payment_id

if TYPE_CHECKING:
    from uuid import UUID

    from producers.ingress.intents.bodies import ParsedCommand
    from producers.ingress.intents.references import PaymentReference
    from producers.ingress.publishing.records import Outgoing
    from producers.ingress.transactions import Transactions
    from runtime.postgres import Connection
    from runtime.settings import IntentsSettings

IN_PROGRESS: Final = Declined(problems.IDEMPOTENCY_IN_PROGRESS)
MISMATCH: Final = Declined(problems.IDEMPOTENCY_MISMATCH)
UNKNOWN: Final = Declined(problems.UNKNOWN_INTENT)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that a record holds, as bytes; `replayed` tells that it stood already."""

    payment_id: UUID
    answer: bytes
    replayed: bool = False


class IdempotencyRecords:
    """What clients asked for, in Postgres, on its way to the topic. Methods raise UnavailableError while it is away."""

    def __init__(self, transactions: Transactions, bounds: IntentsSettings, topic: str) -> None:
        self._transactions = transactions
        self._topic = topic
        self._bounds = bounds

    async def make(self, asking: Asking, parsed: ParsedCommand) -> StoredAnswer | Declined:
        """Record, answer and queue; the same request again gets the same answer.

        A reference that another payment took while this one was being recorded is looked up again, once.
        """
        try:
            try:
                return await self._transactions.run(lambda connection: self._answer(connection, asking, parsed))
            except asyncpg.UniqueViolationError:
                return await self._transactions.run(lambda connection: self._answer(connection, asking, parsed))
        except (asyncpg.UniqueViolationError, asyncpg.LockNotAvailableError):
            return IN_PROGRESS

    async def find(self, client: str, payment_id: UUID) -> PaymentView | None:
        """Return the client's payment from the ledger, or from its record until it is there."""
        return await self._transactions.run(lambda connection: self._view(connection, client, payment_id))

    async def find_by_reference(self, client: str, reference: PaymentReference) -> list[PaymentView]:
        """Return the client's payments of a reference, oldest first, one more than are shown at most."""
        return await self._transactions.run(lambda connection: self._find_by_reference(connection, client, reference))

    async def moments(self, payment_id: UUID) -> list[Moment]:
        """Return the payment's events in the order of the ledger, one more than are shown at most."""
        rows = await self._transactions.run(
            lambda connection: connection.fetch(
                statement("producers", "read_moments"), payment_id, self._bounds.timeline_rows_max + 1
            )
        )
        return [Moment(**row) for row in rows]

    async def _answer(self, connection: Connection, asking: Asking, parsed: ParsedCommand) -> StoredAnswer | Declined:
        # Processes of an older release take the same lock, so that its name stays.
        await _lock(connection, f"intent-claim:{asking.client}:{asking.idempotency_key}")
        key = (asking.client, asking.idempotency_key)
        found = await connection.fetchrow(statement("producers", "find_idempotency_record"), *key)
        if found is not None:
            same = found["fingerprint"] == parsed.fingerprint
            return StoredAnswer(found["payment_id"], found["answer"], replayed=True) if same else MISMATCH
        if isinstance(parsed.body, Intent):
            return await self._create(connection, asking, parsed, parsed.body)
        return await self._command(connection, asking, parsed)

    async def _create(
        self, connection: Connection, asking: Asking, parsed: ParsedCommand, intent: Intent
    ) -> StoredAnswer | Declined:
        if taken := await self._taken(connection, asking.client, intent):
            return taken
        payment_id = new_payment_id(int(asking.received_at * 1000))
        terms = intent.model_dump(include=set(Accepted.model_fields))
        answer = Accepted(id=payment_id, status=Status.CREATED, command="create", **terms)
        event_id, key = f"{payment_id}:create", key_of(intent, payment_id)
        body = intent.model_dump(mode="json", exclude_none=True)
        record = record_of(asking, Command.CREATE, payment_id, body, event_id=event_id, key=key, topic=self._topic)
        scope = (intent.provider, intent.account, intent.merchant_account, intent.livemode)
        noted = msgspec.json.encode(intent.metadata).decode() if intent.metadata else None
        columns = (*scope, intent.reference, intent.provider_ref, intent.currency, intent.amount, None, noted, None)
        stored = StoredAnswer(payment_id, body_of(answer))
        await self._write(connection, asking, parsed, stored, record, columns)
        return stored

    async def _taken(self, connection: Connection, client: str, intent: Intent) -> Declined | None:
        """Refuse a reference that a promise holds; whose the promise is, only its own client learns.

        The reference's lock is held to the transaction's end, so that of two that come together one is the second.
        """
        scope = (intent.provider, intent.account, intent.merchant_account, intent.livemode)
        if intent.reference is not None:
            await _lock(connection, f"intent-reference:{intent.provider}/{intent.account}:{intent.reference}")
        wanted = (client, *scope, intent.provider_ref, intent.reference)
        taken = await connection.fetchrow(statement("producers", "find_taken"), *wanted)
        if taken is None:
            return None
        own = taken["client"] == client
        return Declined(problems.REFERENCE_TAKEN, members={"payment_id": str(taken["payment_id"])} if own else {})

    async def _command(self, connection: Connection, asking: Asking, parsed: ParsedCommand) -> StoredAnswer | Declined:
        assert parsed.payment_id is not None
        view = await self._locked_view(connection, asking.client, parsed.payment_id)
        if view is None:
            return UNKNOWN
        bounds = self._bounds.asked_seconds, self._bounds.command_grace_seconds
        asked = await connection.fetch(statement("producers", "read_asked"), view.id, *bounds)
        found = bind(view, view.adopted(), (Request(*row) for row in asked), _wish(parsed))
        if isinstance(found, Bound):
            return await self._ask(connection, asking, parsed, view, found)
        if isinstance(found, Forbidden):
            members = {"state": view.status, **found.members}
            return Declined(problems.STATE_FORBIDS, found.detail, members)
        return _undetermined(found)

    async def _ask(
        self, connection: Connection, asking: Asking, parsed: ParsedCommand, view: PaymentView, bound: Bound
    ) -> StoredAnswer:
        amount = bound.amount
        answer = Asked(
            id=view.id,
            status=Status(view.status),
            command=parsed.command.value,
            currency=view.currency,
            amount=amount,
        )
        body = parsed.body.model_dump(mode="json", exclude_none=True)
        body |= {} if amount is None else {"amount": amount, "currency": view.currency}
        body |= {} if bound.attempt.id == view.id else {"attempt_id": str(bound.attempt.id)}
        event_id = str(new_payment_id(int(asking.received_at * 1000)))
        place = {"key": view.record_key, "topic": self._topic}
        record = record_of(asking, parsed.command, view.id, body, event_id=event_id, **place)
        stored = StoredAnswer(view.id, body_of(answer))
        figures = (*(None,) * 7, amount, bound.attempt.seen(parsed.command), None, bound.attempt.id)
        await self._write(connection, asking, parsed, stored, record, figures)
        return stored

    async def _locked_view(self, connection: Connection, client: str, payment_id: UUID) -> PaymentView | None:
        """Return the client's payment under its lock, which is one for all ids that lead to it.

        The id asked for is locked first, then the payment that it turned out to be: no client's payment merges into
        another, so that is the last. Whoever holds the last lock waits for no other, so no two wait for each other.
        """
        await _lock(connection, f"intent-payment:{payment_id}")
        view = await self._view(connection, client, payment_id)
        if view is None or view.id == payment_id:
            return view
        await _lock(connection, f"intent-payment:{view.id}")
        return await self._view(connection, client, view.id)

    async def _view(self, connection: Connection, client: str, payment_id: UUID) -> PaymentView | None:
        grace = self._bounds.command_grace_seconds
        row = await connection.fetchrow(statement("producers", "read_payment_view"), payment_id, client, grace)
        if row is None:
            row = await connection.fetchrow(statement("producers", "read_recorded_view"), payment_id, client)
        return None if row is None else PaymentView(**row)

    async def _find_by_reference(
        self, connection: Connection, client: str, reference: PaymentReference
    ) -> list[PaymentView]:
        rows_max = self._bounds.payments_found_max + 1
        rows = await connection.fetch(statement("producers", "find_own_payments"), client, *reference, rows_max)
        found = [await self._view(connection, client, row["id"]) for row in rows]
        return [view for view in found if view is not None]

    async def _write(  # noqa: PLR0913, PLR0917 - the parts of one row
        self,
        connection: Connection,
        asking: Asking,
        parsed: ParsedCommand,
        stored: StoredAnswer,
        record: Outgoing,
        columns: tuple[Any, ...],
    ) -> None:
        """Write the record and its event beside each other. `columns` are the columns that depend on the command."""
        headers = dict(record.headers)
        await connection.execute(
            statement("producers", "insert_idempotency_record"),
            asking.client,
            asking.idempotency_key,
            parsed.fingerprint,
            parsed.command.value,
            stored.payment_id,
            (headers["ce_id"] or b"").decode(),
            record.key.decode(),
            *columns,
            self._bounds.kept_seconds,
            stored.answer,
        )
        await connection.execute(
            statement("producers", "insert_spool"),
            record.topic,
            record.key,
            record.value,
            [name.encode() for name, _ in record.headers],
            [value for _, value in record.headers],
        )


async def _lock(connection: Connection, name: str) -> None:
    await connection.execute(statement("producers", "lock_name"), name)


def _wish(parsed: ParsedCommand) -> Wish:
    """Return what a command asks for."""
    body = parsed.body
    if isinstance(body, Capture | Refund):
        return Wish(parsed.command, body.amount, body.currency, body.attempt_id)
    return Wish(parsed.command, attempt_id=body.attempt_id if isinstance(body, Cancel) else None)


def _undetermined(found: Undetermined) -> Declined:
    """Refuse a command that does not tell which attempt it is for, and say which there are."""
    errors = [{"pointer": "#/attempt_id", "detail": found.detail}]
    named = [str(one) for one in found.attempt_ids]
    return Declined(problems.INVALID_BODY, f"#/attempt_id: {found.detail}", {"errors": errors, "attempt_ids": named})
