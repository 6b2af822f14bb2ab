"""Hints: webhooks that nobody signed. They move nothing; the payment that one names is read again at the API.

A hint passes Kafka and the consumer by: its parsed id becomes one row of `refetches`, and nothing else of it is kept.
One payment is one row however many hints name it. Of one endpoint so many may wait, and fewer of those that nobody
knows, since anybody can make ids up; beyond that the sender is told to come again. The dispatcher asks about what is
known first, and has a budget for the rest.

A provider's answer to a query of ours that is open in `refetches` (one that answers by calling us) is no hint although
it has the shape of one: it is verified by the query that it answers. Where a provider has such queries, it is told
apart in `Hints.take`, before the id is queued.
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producers.ingress.endpoints import Endpoint
    from producers.ingress.intents.pool import Transactions
    from providers.core.contract import Notification
    from runtime.settings import RefetchSettings

UNSIGNED: Final = Refusal(problems.SIGNATURE_REJECTED, "unsigned")
"""The endpoint takes signed webhooks alone."""
TOO_MANY_WAIT: Final = Refusal(problems.QUOTA_EXCEEDED, "refetches_full")

_log = structlog.get_logger()


class Hints:
    """Queues what hints name. `transactions` are connections of their own: a flood must not hold up intents."""

    def __init__(self, transactions: Transactions, bounds: RefetchSettings) -> None:
        self._transactions = transactions
        self._bounds = (bounds.waiting_max, bounds.unknown_waiting_max, bounds.same_payment_seconds)

    async def take(self, endpoint: Endpoint, notifications: Sequence[Notification]) -> Refusal | None:
        """Queue what the hints name for good, or return why not. Raises UnavailableError while Postgres is away."""
        named = dict.fromkeys(providers.named_by_hint(endpoint.provider, one.body) for one in notifications)
        for ref in named:
            if ref is None:
                _log.warning("hint_names_nothing", provider=endpoint.provider, account=endpoint.account)
            elif not await self._queue(endpoint, ref):
                return TOO_MANY_WAIT
        return None

    async def _queue(self, endpoint: Endpoint, ref: str) -> bool:
        row = (endpoint.provider, endpoint.account, ref, *self._bounds)
        try:
            return (
                await self._transactions.run(
                    lambda connection: connection.fetchval(statement("producers", "queue_hint"), *row)
                )
                is not None
            )
        except asyncpg.PostgresError as error:
            raise UnavailableError(f"Postgres: a hint was not queued: {type(error).__name__}") from error
