"""How long the oldest open transaction has been seen, and what the probe shows of it."""

from __future__ import annotations

from typing import Any

import pytest

from producers.relay.holdups import Holdups
from runtime import metrics

pytestmark = pytest.mark.unit

THEIRS: dict[str, Any] = {"xid": "7", "pid": 12, "role": "report", "application": "psql", "seconds": None, "gid": None}


def seconds() -> float | None:
    return metrics.REGISTRY.get_sample_value("ratchet_oldest_transaction_seconds")


def test_one_that_stays_is_shown_and_one_that_goes_is_not() -> None:
    at, facts = 100.0, dict[str, object]()
    holdups = Holdups(facts, lambda: at)
    holdups.note(THEIRS)
    assert (seconds(), facts) == (0, {})
    at = 161.0
    holdups.note(THEIRS)
    assert seconds() == 61
    assert facts == {"held_up_by": {"pid": 12, "role": "report", "application": "psql", "seen_for_seconds": 61}}
    holdups.note(THEIRS | {"xid": "8"})
    assert (seconds(), facts) == (0, {}), "another one"
    at = 170.0
    holdups.note(THEIRS | {"xid": "8", "pid": None, "role": None, "application": None, "gid": "two-phase"})
    assert facts == {"held_up_by": {"gid": "two-phase", "seen_for_seconds": 9}}
    holdups.clear()
    assert (seconds(), facts) == (0, {})


def test_standbys_are_shown_while_there_are_some_or_one_is_waited_for() -> None:
    """A standby that commits wait for and that is away is the one that people have to see."""
    facts = dict[str, object]()
    holdups = Holdups(facts)
    away = {"names": "second", "standbys": 0, "furthest": None, "lag_bytes": None}
    for found in (away, {"names": "", "standbys": 1, "furthest": "second", "lag_bytes": 9}):
        holdups.note_standby(found | {"more": 1})
        assert facts == {"standby": found}
        assert metrics.REGISTRY.get_sample_value("ratchet_standby_lag_bytes") == (found["lag_bytes"] or 0)
    holdups.clear()
    assert (facts, metrics.REGISTRY.get_sample_value("ratchet_standby_lag_bytes")) == ({}, 0)
    holdups.note_standby(away)
    holdups.note_standby({"names": "", "standbys": 0, "furthest": None, "lag_bytes": None})
    assert facts == {}
