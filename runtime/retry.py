"""Retries: the one place that knows how long to wait. `backoff` is imported here and nowhere else."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import backoff

if TYPE_CHECKING:
    from collections.abc import Iterator

DOUBLINGS_MAX: Final = 64
"""From so many tries on every pause is the longest one, so further tries change nothing."""


def delays(initial_seconds: float, max_seconds: float) -> Iterator[float]:
    """Yield pauses in seconds without end: exponential from `initial_seconds`, capped, with full jitter.

    Full jitter (a random part of the whole delay) keeps many clients from coming back together. Never below a tenth
    of the delay, so that a retry is never a busy loop.
    """
    for delay in backoff.expo(base=2, factor=initial_seconds, max_value=max_seconds):
        if delay is not None:
            yield max(backoff.full_jitter(delay), delay / 10)


def pause_seconds(tries: int, initial_seconds: float, max_seconds: float) -> float:
    """Return how long to wait after so many tries (from 1 on): exponential, capped, jittered."""
    return next(islice(delays(initial_seconds, max_seconds), min(tries, DOUBLINGS_MAX) - 1, None))
