"""How often Python looks for cycles of garbage.

A role's objects go when nobody refers to them any more; the collector, which looks for cycles, finds next to nothing
and at Python's own thresholds takes a quarter of a busy consumer's time (120 us an event with it, 90 without).
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG_OBJECTS_MAX: Final = 100_000
"""Containers made and not yet gone, before the young ones are looked through; a batch of 1,000 holds some 30,000."""
YOUNGER_ROUNDS: Final = 20
"""Rounds of one generation before the next older one is looked through too."""


def tune_collector() -> None:
    """Look for cycles seldom, and never again through what the start of the process made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, YOUNGER_ROUNDS, YOUNGER_ROUNDS)
