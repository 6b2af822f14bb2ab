"""Our clock against Postgres's: one that is wrong refuses genuine webhooks, whose signatures hold for minutes.

Which of the two clocks is wrong nobody can tell by comparing them. A webhook can: its signature is genuine, too old or
too early by our clock, and in time by Postgres's. It is asked to come again, instead of being called a forgery, and the
ingress is not ready until the clocks agree. Where Postgres's clock is the wrong one, that never happens.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from producers.ingress.answers import Refusal
from providers.core.contract import TOLERANCE_SECONDS
from runtime import metrics
from runtime.postgres_looks import ahead_seconds
from schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.clock import Clock

APART_SECONDS: Final = TOLERANCE_SECONDS / 10
"""From here on a clock may be why a webhook was out of its time: less is lost among late deliveries."""
KNOWN_SECONDS: Final = 60.0
"""How long a look is believed."""
OUT_OF_TIME: Final = frozenset({"stale_timestamp", "future_timestamp"})
CLOCK_WRONG: Final = Refusal(problems.INTERRUPTED, "clock_wrong")


@dataclass(slots=True)
class ClockCheck:
    """What the last look at Postgres's clock found, and whether a webhook has proven ours wrong since."""

    clock: Clock
    monotonic: Callable[[], float] = time.monotonic
    _ahead: float = 0.0
    _looked_at: float | None = None
    _proven: bool = False

    def look(self, before: float, theirs: float, after: float) -> None:
        """Note Postgres's time, and ours before it was asked and after it answered; a slow answer proves little."""
        ahead = ahead_seconds(before, theirs, after)
        self._ahead, self._looked_at = ahead, self.monotonic()
        self._proven = self._proven and abs(ahead) > APART_SECONDS
        metrics.CLOCK_AHEAD.set(ahead)

    @property
    def ahead(self) -> float | None:
        """Return how many seconds Postgres's clock is surely ahead of ours; None where they agree or nobody knows."""
        if self._looked_at is None or self.monotonic() - self._looked_at > KNOWN_SECONDS:
            return None
        return self._ahead if abs(self._ahead) > APART_SECONDS else None

    def prove_wrong(self) -> None:
        """Note that a genuine webhook is in time by Postgres's clock, and not by ours."""
        self._proven = True

    def unready(self) -> str | None:
        """Return why genuine webhooks would be refused, or None."""
        if not self._proven or (ahead := self.ahead) is None:
            return None
        word = "behind" if ahead > 0 else "ahead of"
        return (
            f"the clock of this machine is {abs(ahead):.0f} s {word} Postgres's, and genuine webhooks are out of their "
            "time by it: synchronise it (RUNBOOK: RatchetClockWrong)"
        )
