"""The shapes of a load: how many users there are at each moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RAMP_SHARE: Final = 0.1
"""The part of a steady run in which its users come."""
STAIRS: Final = 5
SPIKE_BASE_SHARE: Final = 0.2
SPIKE: Final = (0.4, 0.6)
"""The part of a run in which all users of a spike are there."""
SPAWNED_WITHIN_SECONDS: Final = 1.0
"""How long the users of a step take to come."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A curve from the part of the run that is over (0 to 1) to the part of the users that are there (0 to 1).

    `copies` is how many times each delivery and each intent is posted at once.
    """

    share: Callable[[float], float]
    copies: int = 1


def _steady(done: float) -> float:
    return min(1.0, done / RAMP_SHARE)


def _stair(done: float) -> float:
    return (int(done * STAIRS) + 1) / STAIRS


def _spike(done: float) -> float:
    return 1.0 if SPIKE[0] <= done < SPIKE[1] else SPIKE_BASE_SHARE


SHAPES: Final = {
    "steady": Shape(_steady),
    "stair": Shape(_stair),
    "spike": Shape(_spike),
    "storm": Shape(_steady, copies=12),
}


def users_at(name: str, second: float, *, seconds: float, users: int) -> int | None:
    """Return how many users there are that many seconds after the start; None where the run is over.

    There is at least one from the start on, and never more than `users`.
    """
    if second >= seconds:
        return None
    return max(1, min(users, round(users * SHAPES[name].share(second / seconds))))


def spawn_rate(users: int) -> float:
    """Return how many users come or go a second, so that a step is a step."""
    return max(1.0, users / SPAWNED_WITHIN_SECONDS)
