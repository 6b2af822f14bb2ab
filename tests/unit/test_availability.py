"""What `doctor` tells of brokers, copies, hosts, standbys and transactions that hold up others."""

from __future__ import annotations

from typing import Any

import pytest

from ops import availability
from runtime.postgres_hosts import hosts_of

pytestmark = pytest.mark.unit


def topic(*parts: tuple[int, list[int], list[int]]) -> dict[str, Any]:
    named = [
        {"partition": number, "leader": leader, "replicas": replicas, "isr": isr}
        for number, (leader, replicas, isr) in enumerate(parts)
    ]
    return {"topic": "payments.webhooks", "partitions": named}


def test_the_broker_that_is_away_is_named() -> None:
    assert availability.away_finding("kafka brokers", [], "start it").ok
    found = availability.away_finding("kafka brokers", ["broker 2 (kafka-2:9092) does not answer"], "start it")
    assert (found.ok, found.found) == (False, "broker 2 (kafka-2:9092) does not answer")
    assert found.advice == "start it (RUNBOOK: A broker is away)"


def test_what_takes_no_writes_is_named() -> None:
    whole = topic((1, [1, 2, 3], [1, 2, 3]))
    assert availability.copies_finding([whole], {"payments.webhooks": 2}).ok
    parts = topic((-1, [1, 2, 3], []), (1, [1, 2, 3], [1]), (2, [1, 2, 3], [1, 2]))
    found = availability.copies_finding([parts], {"payments.webhooks": 2})
    assert found.found == (
        "no leader: payments.webhooks/0; takes no writes, too few copies in step: payments.webhooks/1; "
        "3 partitions have copies that lag"
    )
    lag = availability.copies_finding([topic((2, [1, 2, 3], [1, 2]))], {"payments.webhooks": 2})
    assert (lag.ok, lag.advice) == (False, "wait for the copies, or bring their broker back")


@pytest.mark.parametrize(
    ("names", "standbys", "waiting", "ok", "expected"),
    [
        ("", 0, 0, True, "none"),
        ("", 1, 0, True, "1 standby(s), none synchronous: a fail-over may lose what was committed last"),
        ("FIRST 1 (b)", 1, 0, True, "synchronous (FIRST 1 (b))"),
        ("FIRST 1 (b)", 0, 0, False, "commits wait for FIRST 1 (b): 0 there, 0 sessions wait for long"),
        ("FIRST 1 (b)", 1, 3, False, "commits wait for FIRST 1 (b): 1 there, 3 sessions wait for long"),
    ],
)
def test_a_standby_for_which_commits_wait(names: str, standbys: int, waiting: int, ok: bool, expected: str) -> None:  # noqa: FBT001
    found = availability.standby_finding({"names": names, "standbys": standbys, "waiting": waiting})
    assert (found.ok, found.found) == (ok, expected)


def test_clocks_that_are_apart_are_named() -> None:
    assert availability.skew_finding(1.9, 2.0).ok
    found = availability.skew_finding(600.0, 2.0)
    assert (found.ok, found.found) == (False, "600.00 s apart from Postgres's")


@pytest.mark.parametrize(
    ("lag_bytes", "ok", "expected"),
    [
        (None, True, "not shown to us"),
        (10, True, "b lacks 0.0 MB of the WAL"),
        (11, False, "b lacks 0.0 MB of the WAL"),
    ],
)
def test_a_standby_that_lags_is_named(lag_bytes: int | None, ok: bool, expected: str) -> None:  # noqa: FBT001
    found = availability.lag_finding({"furthest": "b", "lag_bytes": lag_bytes}, 10)
    assert (found.ok, found.found) == (ok, expected)


def test_who_holds_up_the_relay_is_named() -> None:
    row = {"xid": "7", "pid": 12, "role": "report", "application": "psql", "seconds": 61.0, "gid": None}
    found = availability.open_transaction_finding(row)
    assert (found.ok, found.found) == (False, "process 12 of role report (psql) has one open for 61 s")
    assert not availability.open_transaction_finding(row | {"seconds": None, "application": None}).ok
    assert availability.open_transaction_finding(row | {"seconds": 2.0}).ok
    prepared = availability.open_transaction_finding(row | {"seconds": None, "application": None, "gid": "two-phase"})
    assert prepared.found.startswith("prepared transaction two-phase has one open")
    assert "ROLLBACK PREPARED" in prepared.advice


def test_a_pooler_that_takes_sessions_away_is_reported() -> None:
    assert availability.own_sessions_finding(shared=False).ok
    found = availability.own_sessions_finding(shared=True)
    assert "transaction mode" in found.found
    assert found.advice.startswith("set pool_mode = session")


def test_a_dsn_is_taken_apart_by_its_hosts() -> None:
    assert hosts_of("postgresql://u:p@a:1,b:2/d?target_session_attrs=read-write") == [
        "postgresql://u:p@a:1/d?target_session_attrs=read-write",
        "postgresql://u:p@b:2/d?target_session_attrs=read-write",
    ]
    assert hosts_of("postgresql://[::1]:5/d") == ["postgresql://[::1]:5/d"]
    assert hosts_of("postgresql:///d?host=/run/postgresql") == ["postgresql:///d?host=/run/postgresql"]
