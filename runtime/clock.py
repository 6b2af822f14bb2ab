"""Time as an argument: production reads the system's clock, tests hold one still."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time in unix seconds."""

    def now(self) -> float:
        """Return the current unix time in seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the current unix time in seconds."""
        return time.time()
