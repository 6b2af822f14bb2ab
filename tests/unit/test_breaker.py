from __future__ import annotations

import pytest

from runtime.breaker import Breaker, BreakerState

pytestmark = pytest.mark.unit


def test_one_failure_opens_and_one_probe_closes_it():
    breaker = Breaker(pause_seconds=10)
    assert breaker.allows(0)
    breaker.failed(0)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allows(9.9)
    assert breaker.would_allow(10)
    assert breaker.would_allow(10), "asking takes nothing"
    assert breaker.allows(10)
    assert not breaker.allows(10), "one probe at a time"
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.allows(10)


def test_a_failed_probe_opens_it_again_at_once():
    breaker = Breaker(pause_seconds=10, failures_max=3)
    for _ in range(3):
        breaker.failed(0)
    assert breaker.allows(10)
    breaker.failed(12)
    assert not breaker.allows(21.9)
    assert breaker.allows(22)


def test_only_failures_in_a_row_count():
    breaker = Breaker(pause_seconds=10, failures_max=3)
    for _ in range(5):
        breaker.failed(0)
        breaker.failed(0)
        breaker.succeeded()
    assert breaker.allows(0)
    breaker.failed(0)
    breaker.failed(0)
    breaker.failed(0)
    assert not breaker.allows(1)


def test_service_that_asks_for_rest_gets_it_whatever_else_succeeds_meanwhile():
    breaker = Breaker(pause_seconds=1, failures_max=5)
    breaker.rest(0, 30)
    breaker.succeeded()
    assert not breaker.allows(29)
    breaker.failed(1)
    assert breaker.allows(30)
    breaker.rest(30, 5)
    breaker.rest(30, 2)
    assert not breaker.allows(34), "the longer rest stands"


def test_abandoned_probe_gives_its_place_back():
    breaker = Breaker(pause_seconds=10)
    breaker.abandoned(0)
    assert breaker.state is BreakerState.CLOSED
    breaker.failed(0)
    assert breaker.allows(10)
    breaker.abandoned(11)
    assert breaker.state is BreakerState.OPEN
    assert breaker.allows(11)


def test_after_a_probe_that_succeeded_it_takes_as_many_failures_as_ever():
    breaker = Breaker(pause_seconds=10, failures_max=3)
    for _ in range(3):
        breaker.failed(0)
    assert breaker.allows(10)
    breaker.succeeded()
    breaker.failed(11)
    breaker.failed(11)
    assert breaker.allows(11), "two failures are no run of three"
    breaker.failed(11)
    assert not breaker.allows(11)
