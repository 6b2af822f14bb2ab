"""The breaker before Kafka: after a failure it is left alone for a while, then one request tries; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where the breaker stands."""

    CLOSED = "closed"
    """Kafka is used."""
    OPEN = "open"
    """Kafka failed; it is left alone until the pause is over."""
    PROBING = "probing"
    """One request is trying Kafka; the others still go to the spool."""


@dataclass(slots=True)
class Breaker:
    """Says who may try. Times are seconds of one monotonic clock, given by the caller."""

    pause_seconds: float
    state: State = State.CLOSED
    opened_at: float = 0.0

    def allows(self, now: float) -> bool:
        """Tell whether the caller may try; a caller that may must report `succeeded` or `failed`."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN and now - self.opened_at >= self.pause_seconds:
            self.state = State.PROBING
            return True
        return False

    def succeeded(self) -> None:
        """Note a success: everybody may try again."""
        self.state = State.CLOSED

    def failed(self, now: float) -> None:
        """Note a failure: nobody may try until the pause is over."""
        self.state = State.OPEN
        self.opened_at = now
