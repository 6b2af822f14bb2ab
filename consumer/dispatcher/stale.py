"""The watch job: queues payments again of which nothing may ever tell the end.

Which states those are, and how often they are asked about, is each provider's own schedule (`Refetch.watches`). The
questions themselves are refetches like all others: under the lease, within the API's rate, answered into the ledger.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from consumer.dispatcher.apis import Api
    from consumer.dispatcher.worker import GuardedRows
    from providers.core.refetch import Watch
    from runtime.lease import Lease
    from runtime.settings import Settings

log = structlog.get_logger()


class WatchJob:
    """Looks once in `watch_seconds` for payments that are due; see `worker.Job`."""

    name = "watch"

    def __init__(self, rows: GuardedRows, apis: Mapping[tuple[str, str], Api], settings: Settings) -> None:
        self._rows = rows
        self._apis = apis
        self._limits = settings.refetch
        self._due_at = 0.0
        self._left: list[tuple[str, str, Watch]] = []

    async def turn(self, lease: Lease) -> bool:
        """Queue what is due; False always, for the next look has its time."""
        now = time.monotonic()
        if now >= self._due_at:
            self._due_at = now + self._limits.watch_seconds
            self._left = [(*place, watch) for place, api in self._apis.items() for watch in api.watches]
        while self._left:
            one = self._left.pop(0)
            try:
                await self._queue(lease, *one)
            except BaseException:
                self._left.append(one)  # made again, after all others: it keeps none of them from theirs
                raise
        return False

    async def _queue(self, lease: Lease, provider: str, account: str, watch: Watch) -> None:
        if watch.debits:
            row = await self._rows.fetch_one(
                lease, "queue_debits", provider, account, watch.after, watch.every, self._limits.watch_payments_max
            )
            self._report(provider, account, row)
            return
        states = list(watch.statuses), list(watch.refunds), list(watch.disputes)
        seconds = watch.after, watch.every, watch.until
        row = await self._rows.fetch_one(
            lease, "queue_stale", provider, account, *states, *seconds, self._limits.watch_payments_max, watch.child
        )
        self._report(provider, account, row)

    @staticmethod
    def _report(provider: str, account: str, row: asyncpg.Record | None) -> None:
        if row is not None and row["queued"]:
            log.info("stale_queued", provider=provider, account=account, payments=row["queued"])
