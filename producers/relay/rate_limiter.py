"""The rate limiter of a redrive: a token bucket that begins empty, so that no redrive begins with a burst. Pure."""

from __future__ import annotations


class RateLimiter:
    """Allows `rate_per_second` steps; what a pause left unused is kept for `burst_seconds` of them and one step.

    Times are monotonic seconds. Raises ValueError for a rate that is not above zero.
    """

    def __init__(self, rate_per_second: float, burst_seconds: float, now: float) -> None:
        if rate_per_second <= 0:
            raise ValueError(f"a rate must be above zero, not {rate_per_second}")
        self.rate_per_second = rate_per_second
        self._room = rate_per_second * burst_seconds + 1.0
        self._left = 0.0
        self._seen_at = now

    def allowed(self, now: float) -> int:
        """Return how many steps may be taken now."""
        self._left = min(self._room, self._left + max(0.0, now - self._seen_at) * self.rate_per_second)
        self._seen_at = now
        return int(self._left)

    def take(self, steps: int) -> None:
        """Note that so many steps are taken."""
        self._left -= steps
