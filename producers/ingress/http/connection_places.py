"""Places for connections: so many in all, so many an address, and less patience when they run out.

One address (of IPv6 one /64) must not shut the ingress for all others; proxies that are trusted bring many senders and
are exempt. While more than `CROWDED_SHARE` of the places are taken, a connection that says nothing is given less time.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog

from producers.ingress.rate_limits import AddressKeys
from producers.ingress.sources import is_in, read_address
from runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producers.ingress.sources import Network

_log = structlog.get_logger()

CROWDED_SHARE: Final = 0.8
LINGERING_MAX: Final = 64
"""Refused connections that may finish sending at the same time; beyond it they are closed at once."""
REPORT_INTERVAL_SECONDS: Final = 1.0
ADDRESS_FULL: Final = "address_connections_full"
ALL_FULL: Final = "connections_full"


class Places:
    """Counts the connections of one listener."""

    def __init__(
        self,
        connections_max: int,
        per_address_max: int,
        trusted_proxies: Sequence[Network] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections_max = connections_max
        self._per_address_max = per_address_max
        self._trusted_proxies = trusted_proxies
        self._monotonic = monotonic
        self._name = AddressKeys(())
        self._taken = 0
        self._by_sender: Counter[str] = Counter()
        self._lingering = 0
        self._unreported = 0
        self._reported_at = -REPORT_INTERVAL_SECONDS

    @property
    def crowded(self) -> bool:
        """Whether the places run out."""
        return self._taken > self._connections_max * CROWDED_SHARE

    def sender(self, peer: str | None) -> str:
        """Return the name by which a connection's other end is counted and logged."""
        return self._name(peer, ())

    def enter(self, peer: str | None) -> str | None:
        """Take a place for a new connection; return why there is none, or None where it has one."""
        lack = self._lack(peer)
        if lack is not None:
            return self._refuse(lack, peer)
        if not self._exempt(peer):
            self._by_sender[self.sender(peer)] += 1
        self._taken += 1
        return None

    def turn_away(self, peer: str | None) -> bool:
        """Tell whether a new connection has no place and may not linger either; then it is counted as refused."""
        lack = self._lack(peer) if self._lingering >= LINGERING_MAX else None
        if lack is not None:
            self._refuse(lack, peer)
        return lack is not None

    def leave(self, peer: str | None) -> None:
        """Give back the place of a connection that had one."""
        self._taken -= 1
        if self._exempt(peer):
            return
        sender = self.sender(peer)
        self._by_sender[sender] -= 1
        if self._by_sender[sender] <= 0:
            del self._by_sender[sender]

    def begin_lingering(self) -> bool:
        """Tell whether a refused connection may finish sending; it ends with `end_lingering`."""
        if self._lingering >= LINGERING_MAX:
            return False
        self._lingering += 1
        return True

    def end_lingering(self) -> None:
        """Count a refused connection as gone."""
        self._lingering -= 1

    def _lack(self, peer: str | None) -> str | None:
        """Return why there is no place for a connection from there, or None."""
        if self._taken >= self._connections_max:
            return ALL_FULL
        if not self._exempt(peer) and self._by_sender[self.sender(peer)] >= self._per_address_max:
            return ADDRESS_FULL
        return None

    def _exempt(self, peer: str | None) -> bool:
        if not self._trusted_proxies:
            return False
        address = read_address(peer) if peer else None
        return address is not None and is_in(address, self._trusted_proxies)

    def _refuse(self, reason: str, peer: str | None) -> str:
        """Count a refusal, and log one line a second of them: strangers don't decide how much is written."""
        metrics.INGRESS_CONNECTIONS_REFUSED.labels(reason).inc()
        self._unreported += 1
        now = self._monotonic()
        if now - self._reported_at >= REPORT_INTERVAL_SECONDS:
            _log.warning("connections_refused", reason=reason, sender=self.sender(peer), count=self._unreported)
            self._reported_at, self._unreported = now, 0
        return reason
