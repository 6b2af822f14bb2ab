from __future__ import annotations

import pytest

from producers.relay.rate_limiter import RateLimiter

pytestmark = pytest.mark.unit


def played(limiter: RateLimiter, moments: list[float]) -> int:
    """Take all that is allowed at each moment; return the sum."""
    total = 0
    for moment in moments:
        allowed = limiter.allowed(moment)
        limiter.take(allowed)
        total += allowed
    return total


@pytest.mark.parametrize("rate", [0.5, 3.0, 50.0, 500.0, 12_345.0])
@pytest.mark.parametrize("turn", [0.02, 0.1, 0.7])
def test_rate_is_exact_whatever_the_turns(rate: float, turn: float):
    moments = [turn * number for number in range(1, int(60 / turn) + 1)]
    assert played(RateLimiter(rate, 1.0, 0.0), moments) == pytest.approx(rate * moments[-1], rel=0.02, abs=1)


def test_begins_empty_and_a_pause_is_caught_up_within_the_bound():
    limiter = RateLimiter(100.0, 1.0, 10.0)
    assert limiter.allowed(10.0) == 0
    assert limiter.allowed(10.5) == 50
    limiter.take(50)
    assert limiter.allowed(20.0) == 101, "ten seconds of silence are worth one"
    limiter.take(101)
    assert limiter.allowed(19.0) == 0, "a clock that goes back gives nothing"


def test_slow_rate_lets_one_through():
    limiter = RateLimiter(0.1, 1.0, 0.0)
    assert [limiter.allowed(moment) for moment in (1.0, 9.0, 10.0, 30.0)] == [0, 0, 1, 1]


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_rate_of_nothing_is_refused(rate: float):
    with pytest.raises(ValueError, match="above zero"):
        RateLimiter(rate, 1.0, 0.0)
