"""Single flight: copies of one delivery that arrive together, or soon after, are published once.

Each copy is verified by itself; only then is it compared. The first one publishes, and the others wait for it: a copy
is answered when the first is durable, never before. When the first fails, or takes longer than a copy waits, the copy
is published too; the consumer knows it by its event id. So this saves work and decides nothing, and it needs no Redis:
a round trip for every webhook would cost more than the duplicates of several processes do.

What is durable is remembered for a moment, so that a storm of copies is one record. Hints are not: the same bytes may
report two changes of a payment, and after each the provider's API must be read.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from producers.ingress.publishing.publisher import Durability, Publisher
    from producers.ingress.publishing.records import Outgoing
    from providers.core.contract import Notification
    from runtime.settings import IngressSettings


class SingleFlight:
    """Publishes a delivery once, as far as this process knows. Bounds are those of the ingress settings."""

    def __init__(
        self, publisher: Publisher, bounds: IngressSettings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._publisher = publisher
        self._wait_seconds = bounds.twin_wait_seconds
        self._kept_seconds = bounds.twins_kept_seconds
        self._kept_max = bounds.twins_kept_max
        self._monotonic = monotonic
        self._flights: dict[Hashable, asyncio.Future[Durability | None]] = {}
        self._durable: OrderedDict[Hashable, float] = OrderedDict()

    async def publish(
        self, source: str, notifications: Sequence[Notification], build: Callable[[], Sequence[Outgoing]]
    ) -> Durability | None:
        """Return where the delivery was made durable now, or None where a copy of it is durable already.

        Raises UnavailableError when neither Kafka nor the spool takes it.
        """
        key = key_of(source, notifications)
        if self._is_durable(key):
            return None
        first = self._flights.get(key)
        if first is None:
            return await self._lead(key, build(), keep=all(one.trust == "verified" for one in notifications))
        await asyncio.wait((first,), timeout=self._wait_seconds)
        if first.done() and first.result() is not None:
            return None
        return await self._publisher.publish(build())

    async def _lead(self, key: Hashable, records: Sequence[Outgoing], *, keep: bool) -> Durability:
        """Publish while the copies wait; where it fails, each of them is published by itself."""
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        durability = None
        try:
            durability = await self._publisher.publish(records)
        finally:
            del self._flights[key]
            flight.set_result(durability)
        if keep:
            self._keep(key)
        return durability

    def _keep(self, key: Hashable) -> None:
        self._durable[key] = self._monotonic() + self._kept_seconds
        if len(self._durable) > self._kept_max:
            self._durable.popitem(last=False)

    def _is_durable(self, key: Hashable) -> bool:
        """Tell whether the delivery is remembered; what was remembered for long enough is forgotten on the way."""
        now = self._monotonic()
        while self._durable:
            oldest, until = next(iter(self._durable.items()))
            if until > now:
                break
            del self._durable[oldest]
        return key in self._durable


def key_of(source: str, notifications: Sequence[Notification]) -> Hashable:
    """Return what copies of a delivery have in common: all that their records hold, except when they came.

    A digest, so that what is remembered is small however large the delivery was.
    """
    content = hashlib.sha256()
    for one in notifications:
        content.update(f"{one.event_id!r},{one.kind!r},{one.payment_ref!r},{one.trust},{len(one.body)};".encode())
        content.update(one.body)
    return source, content.digest()
