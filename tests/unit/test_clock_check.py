"""Our clock against Postgres's: only a genuine webhook proves which of the two is wrong."""

from __future__ import annotations

import pytest

from producers.ingress.clock_check import APART_SECONDS, KNOWN_SECONDS, ClockCheck

pytestmark = pytest.mark.unit


class Held:
    """A clock that is held still."""

    at = 1000.0

    def now(self) -> float:
        return self.at


@pytest.mark.parametrize(
    ("before", "theirs", "after", "ahead"),
    [
        (1000.0, 1000.1, 1000.2, None),
        (1000.0, 1600.0, 1000.2, 599.8),
        (1000.0, 400.0, 1000.2, -600.0),
        (1000.0, 1060.0, 1055.0, None),  # an answer that took 55 s proves 5 s
        (1000.0, 1000.0 + APART_SECONDS, 1000.0, None),
        (1000.0, 1000.5 + APART_SECONDS, 1000.0, APART_SECONDS + 0.5),
    ],
)
def test_how_far_they_are_surely_apart(before: float, theirs: float, after: float, ahead: float | None) -> None:
    clocks = ClockCheck(Held(), lambda: 0.0)
    assert clocks.ahead is None, "nobody has looked"
    clocks.look(before, theirs, after)
    assert clocks.ahead == (None if ahead is None else pytest.approx(ahead))


def test_it_is_unready_once_a_webhook_has_proven_it_until_the_clocks_agree() -> None:
    clocks = ClockCheck(Held(), lambda: 0.0)
    clocks.look(1000, 400, 1000)
    assert clocks.unready() is None, "it may be Postgres's clock"
    clocks.prove_wrong()
    assert clocks.unready() == (
        "the clock of this machine is 600 s ahead of Postgres's, and genuine webhooks are out of their time by it: "
        "synchronise it (RUNBOOK: RatchetClockWrong)"
    )
    clocks.look(1000, 1700, 1000)
    assert "700 s behind" in str(clocks.unready())
    clocks.look(1000, 1000, 1000)
    assert clocks.unready() is None
    clocks.look(1000, 400, 1000)
    assert clocks.unready() is None, "what was proven is of the time before"


def test_an_old_look_is_not_believed() -> None:
    at = 0.0
    clocks = ClockCheck(Held(), lambda: at)
    clocks.look(1000, 400, 1000)
    clocks.prove_wrong()
    at = KNOWN_SECONDS + 1
    assert (clocks.ahead, clocks.unready()) == (None, None)
