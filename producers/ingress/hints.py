"""Hints: webhooks that nobody signed. They move nothing; the payment that one names is read again at the API.

A hint passes Kafka and the consumer by: its parsed id becomes one row of `refetches`, and nothing else of it is kept.
One payment is one row however many hints name it. Of one endpoint so many may wait, and fewer of those that nobody
knows, since anybody can make ids up; beyond that the sender is asked to come again. The dispatcher asks about what is
known first, and has a budget for the rest.

A provider's answer to a query of ours that is open in `refetches` (one that answers by calling us) is no hint although
it has the shape of one: it is verified by the query that it answers. Where a provider has such queries, it is
recognized in `Hints.take`, before the id is queued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

import providers
from producers.ingress.answers import Refusal
from runtime.sql import statement
from schemas import problems
from schemas.errors import UnavailableError
from schemas.record import answer_of_api

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producers.ingress.endpoints import Endpoint
    from producers.ingress.transactions import Transactions
    from providers.core.contract import Notification
    from runtime.clock import Clock
    from runtime.settings import RefetchSettings

UNSIGNED: Final = Refusal(problems.SIGNATURE_REJECTED, "unsigned")
"""The endpoint takes signed webhooks alone."""
TOO_MANY_WAIT: Final = Refusal(problems.QUOTA_EXCEEDED, "refetches_full")

_log = structlog.get_logger()


class Hints:
    """Queues what hints name. `transactions` are connections of their own: a flood must not hold up intents.

    Answers to queries of ours go to the topic `webhooks`.
    """

    def __init__(self, transactions: Transactions, bounds: RefetchSettings, clock: Clock, webhooks: str) -> None:
        self._transactions, self._clock, self._webhooks = transactions, clock, webhooks
        self._same_payment_seconds = bounds.same_payment_seconds
        self._bounds = (bounds.waiting_max, bounds.unknown_waiting_max, bounds.same_payment_seconds)

    async def take(self, endpoint: Endpoint, notifications: Sequence[Notification]) -> Refusal | None:
        """Queue what the hints name for good, or return why not. Raises UnavailableError while Postgres is away."""
        named: dict[tuple[str, str | None], None] = {}
        for one in notifications:
            if not await self._answers(endpoint, one.body):
                found = providers.all_named_by_hint(endpoint.provider, one.body)
                named |= dict.fromkeys(found)
                if not found:
                    _log.warning("hint_names_nothing", provider=endpoint.provider, account=endpoint.account)
        for ref, about in named:
            if about is not None and not endpoint.queries:
                continue
            if not await self._run("queue_hint", endpoint, ref, *self._bounds, about):
                return TOO_MANY_WAIT
        return None

    async def _answers(self, endpoint: Endpoint, body: bytes) -> bool:
        """Take a webhook that answers a query of ours which is open; False for any other.

        The provider made the query's id, and nobody else knows it: so the answer is believed like any of its API.
        """
        called = providers.answer_to_query(endpoint.provider, body)
        if called is None:
            return False
        if called.fetched is None:
            return await self._run("refuse_query", endpoint, called.query, called.error)
        ref, place = called.fetched.ref, (endpoint.provider, endpoint.account)
        now, topic = self._clock.now(), self._webhooks
        spooled = answer_of_api(*place, called.fetched.kind, ref, body=body, asked_at=now, topic=topic)
        return await self._run("answer_query", endpoint, called.query, ref, *spooled, self._same_payment_seconds)

    async def _run(self, name: str, endpoint: Endpoint, *arguments: object) -> bool:
        """Run a statement about refetches; tell whether it returned a row."""
        row = (endpoint.provider, endpoint.account, *arguments)
        try:
            found = await self._transactions.run(
                lambda connection: connection.fetchval(statement("producers", name), *row)
            )
        except asyncpg.PostgresError as error:
            raise UnavailableError(f"Postgres: {name} was not written: {type(error).__name__}") from error
        return found is not None
