"""How long a retry waits."""

from __future__ import annotations

from itertools import islice

import pytest

from runtime.retry import delays, pause_seconds

pytestmark = pytest.mark.unit


def test_delays_grow_from_the_initial_to_the_bound_with_full_jitter() -> None:
    seen: list[set[float]] = [set() for _ in range(12)]
    for _ in range(200):
        for number, delay in enumerate(islice(delays(0.1, 5.0), 12)):
            seen[number].add(delay)
    for number, values in enumerate(seen):
        whole = min(0.1 * 2**number, 5.0)
        assert whole / 10 <= min(values) < whole / 5
        assert max(values) <= whole
        assert len(values) > 50
        assert max(values) > whole / 2


def test_delays_never_end() -> None:
    assert len(list(islice(delays(0.001, 0.002), 5000))) == 5000


def test_pauses_grow_up_to_their_bound_however_many_tries_there_were() -> None:
    for tries, most in ((1, 1.0), (2, 2.0), (3, 4.0), (10, 10.0), (500, 10.0), (1 << 60, 10.0)):
        assert most / 10 <= pause_seconds(tries, 1.0, 10.0) <= most
