"""The breaker before an outside service: after failures it is left alone for a while, then one call probes it; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Where the breaker stands."""

    CLOSED = "closed"
    """The service is used."""
    OPEN = "open"
    """The service failed; it is left alone until the pause is over."""
    PROBING = "probing"
    """One call is trying the service; the others still do without it."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Breaker:
    """Says who may try. Times are seconds of one monotonic clock, given by the caller.

    It opens after `failures_max` failures in a row, and after a failed probe at once.
    """

    pause_seconds: float
    failures_max: int = 1
    state: BreakerState = BreakerState.CLOSED
    failures_in_row: int = 0
    closed_until: float = 0.0
    """Until when nobody may try while the breaker is open."""

    def allows(self, now: float) -> bool:
        """Tell whether the caller may try; one that may must report `succeeded`, `failed` or `abandoned`."""
        if not self.would_allow(now):
            return False
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.PROBING
        return True

    def would_allow(self, now: float) -> bool:
        """Tell whether `allows` would say yes, without taking the place of the probe."""
        return self.state is BreakerState.CLOSED or (self.state is BreakerState.OPEN and now >= self.closed_until)

    def succeeded(self) -> None:
        """Note an answer: everybody may call again, unless the service asked to be left alone."""
        if self.state is not BreakerState.OPEN:
            self.state, self.failures_in_row = BreakerState.CLOSED, 0

    def failed(self, now: float) -> None:
        """Note a failure; the last one of the run opens the breaker."""
        self.failures_in_row += 1
        if self.state is BreakerState.PROBING or self.failures_in_row >= self.failures_max:
            self.rest(now, self.pause_seconds)

    def rest(self, now: float, seconds: float) -> None:
        """Leave the service alone for so long, because it asked for that (`Retry-After`)."""
        self.closed_until = max(now + seconds, self.closed_until)
        self.state = BreakerState.OPEN

    def abandoned(self, now: float) -> None:
        """Note a call that ended without an answer (cancelled): another one may probe."""
        if self.state is BreakerState.PROBING:
            self.closed_until, self.state = now, BreakerState.OPEN
