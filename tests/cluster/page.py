"""docs/faults.md, out of what the runs have seen. Pure but for the versions of this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster.watching import LATE_SECONDS
from runtime.stack.jars import kafka_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HEAD = """# Faults of a cluster, and how long they are felt

Written by `make cluster`, not by hand. Each row is one run on servers of its own: three Kafka nodes (Kafka {kafka};
replication 3, `min.insync.replicas` 2, `broker.session.timeout.ms` 6000), a Postgres 18 primary with a synchronous
standby, both in one DSN with `target_session_attrs=read-write`, two ingresses, two consumers (with instance ids, but
for one scenario), two relays, one dispatcher. Clients reach every server through a TCP proxy, through which the network
is broken. Load: 40 webhooks and 3 intents a second, what is refused is sent again.

Everything (servers, proxies, roles, load) runs on one machine with {cores} cores that other work shared, so times are
upper bounds; the load average at the end of each run stands in its row. No packet is lost for real: a broken way holds
bytes back. The promoted standby commits without a standby of its own.

- **wrong**: events lost, doubled, or payments that are not what their events say
- **letters**: dead letters that the fault made
- **gap**: the longest time in which no event at all reached the database
- **longest**: the longest time from a 202 to the row; **p50** of the same
- **back**: until no event waits longer than 2 s, from the fault and from its end (for a fail-over: from the promotion)
- **p99**: the slowest p99 of webhooks' answers in any 10 s, and refused requests by status
- **copies**: records in `payments.webhooks` beyond one an accepted event

| scenario | wrong | letters | gap s | longest s | p50 s | back s (fault / end) | p99 ms | refused | copies | load |
|---|---|---|---|---|---|---|---|---|---|---|
"""

WHY = {
    "broker_killed": """Nothing is applied for as long as the dead broker's session lasts
  (`broker.session.timeout.ms`, 6 s here), on no partition: a record counts as written, for `acks=all` and for readers
  alike, once every copy in step has it, and of each partition one copy lies on each of the three brokers. Until its
  session ends the dead one is in step. In a run of 2026-11-27 the last batch ended 1.6 s after the first refused
  connection, the session 4 s later, and the first batch came 1.2 s after that: three seconds from the new leader are
  kept, and what is before it is Kafka's. Webhooks meanwhile go to the spool, one a broker after
  `RATCHET_INGRESS__HEDGE_SECONDS` (0.2; with 0.4 the p99 of these three runs was 619 to 695 ms), the next ones at
  once.""",
    "broker_frozen": """As above until the others lead its partitions, after 6 to 8 s. Kafka's client would then wait
  for the frozen broker until its longest request, a rebalance, is over: 20 s, seen on 2026-11-28. Each role looks at
  every broker by itself each 3 s, and closes the connections on which a silent one owes an answer
  (`runtime/kafka_connections.py`); new ones to it are tried for half a second.""",
    "broker_cut_off": """The brokers reach each other, so its partitions stay where they are: what is in them can be
  read, and new records of them written, once the way is back. Webhooks go to the spool meanwhile, the other partitions
  go on. `broker_answers_lost` and `broker_resets` are the same. The p99 of `broker_cut_off` was
  304, 674 and 376 ms in three runs; in the last one the slowest webhooks came before the fault, in the first seconds of
  the load. The relay leaves a partition that did not answer alone for a while, 5 s until 2026-11-28: a run of
  `broker_resets` failed once more in the moment of healing, and what lay in the spool came 5 s later. It is 2 s now
  (`producers/relay/destination.py`), and both are back a second after the mending.""",
    "postgres_failover": """A consumer tried again after a pause that grew up to 5 s: it was back 4.3 s after the new
  primary answered. Pauses end at 1 s now (`RATCHET_CONSUMER__BACKOFF_MAX_SECONDS`), and it is back after 0.9 s to
  1.5 s.""",
    "consumer_killed_without_id": """The group waits for as long as a session may be silent, and brokers allow none
  under 6 s. With 10 s it was back 10.4 s after the kill; `RATCHET_CONSUMER__SESSION_TIMEOUT_SECONDS` is 8 now. With an
  instance id nobody waits (`consumer_killed`).""",
}
"""What is behind the figures, by scenario, as far as it was found out, from the logs of a run in .ratchet/cluster."""


SESSION_SECONDS = 6.0
"""`broker.session.timeout.ms` here: nobody leads a dead broker's partitions before."""
P99_SECONDS_MAX = 0.5


class Goal(NamedTuple):
    """What is wanted of some scenarios: `figure` takes a scenario's figures, and may be `most` at most."""

    wanted: str
    names: tuple[str, ...]
    figure: Callable[[Mapping[str, Any]], float]
    most: float


GOALS = (
    Goal(
        "a broker away: webhooks' p99 in any 10 s, seconds",
        ("broker_killed", "broker_frozen", "broker_cut_off", "broker_answers_lost", "broker_resets"),
        lambda figures: float(figures["ingress_p99_worst"]),
        P99_SECONDS_MAX,
    ),
    Goal(
        "a broker killed or frozen: back after its session has ended",
        ("broker_killed", "broker_frozen"),
        lambda figures: max(0.0, figures["back_from_fault"] - SESSION_SECONDS),
        3.0,
    ),
    Goal(
        "a broker cut off, which nobody replaces: back after the way is open",
        ("broker_cut_off", "broker_answers_lost", "broker_resets"),
        lambda figures: float(figures["back_from_heal"]),
        3.0,
    ),
    Goal("min ISR lost: back after its return", ("min_isr_lost",), lambda figures: figures["back_from_heal"], 3.0),
    Goal(
        "fail-over: back after the new primary answers",
        ("postgres_failover",),
        lambda figures: float(figures["back_from_heal"]),
        3.0,
    ),
    Goal(
        "primary frozen, another one promoted: back after the fault",
        ("primary_frozen",),
        lambda figures: float(figures["back_from_fault"]),
        10.0,
    ),
    Goal(
        "primary cut off, nobody promoted: back after the way is open",
        ("primary_cut_off", "primary_answers_lost", "primary_resets"),
        lambda figures: float(figures["back_from_heal"]),
        10.0,
    ),
    Goal(
        "a consumer killed: back",
        ("consumer_killed", "consumer_killed_without_id"),
        lambda figures: figures["back_from_fault"],
        10.0,
    ),
    Goal("consumers rolled: longest gap", ("consumers_rolled",), lambda figures: figures["gap"], 1.0),
    Goal(
        "no fault: longest wait, without PgBouncer and with it in session mode",
        ("baseline", "pooled"),
        lambda figures: figures["longest"],
        LATE_SECONDS,
    ),
    Goal(
        "PgBouncer in session mode, fail-over: back after the new primary answers",
        ("pooled_failover",),
        lambda figures: figures["back_from_heal"],
        3.0,
    ),
)
BY_TESTS = (
    (
        "PgBouncer in transaction mode: a refusal at the start, and by `doctor`, that says why",
        "tests/integration/test_pooler.py",
    ),
    (
        "commits that wait for a dead standby take no more sessions than their pools have, and make nobody stuck",
        "tests/integration/test_standby.py",
    ),
    (
        "a standby that lags is named by `doctor`, `status`, the console, `/readyz?verbose` and the alert",
        "tests/integration/test_standby.py",
    ),
    ("a former leader is ready again without a restart", "tests/integration/test_no_place.py"),
    ("a consumer, a relay or a dispatcher whose clock is off says so", "tests/integration/test_postgres_looks.py"),
    ("an ingress whose clock is off refuses nothing genuine for good", "tests/integration/test_ingress_clock.py"),
    ("code that meets another schema waits and says so", "tests/integration/test_schema_at_start.py"),
    ("migrations beside live batches hold no lock for a second", "tests/integration/test_migrations_live.py"),
    ("two versions of the code on one schema", "tests/fault/test_rolling_upgrade.py"),
    ("a full disk: nothing lost, all back within a minute of room being made", "tests/fault/test_disk_full.py"),
    ("batches do not deadlock with each other", "tests/integration/test_batch_deadlocks.py"),
)
"""What is wanted of faults that no scenario plays."""
BEHIND_A_POOLER = """
PgBouncer answers while the Postgres behind it is dead, so `/readyz?verbose` names no host as away then; the consumers
say that they can't use Postgres, and why.
"""
BY_TESTS_HEAD = "\nTests of their own, and no scenario, hold these:\n\n| goal | test |\n|---|---|\n"


def goals_of(rows: Sequence[dict[str, Any]]) -> str:
    """Return the goals, and whether they were held in the runs that there are."""
    by_name = {seen["name"]: seen for seen in rows}
    lines = []
    for goal in GOALS:
        for name in goal.names:
            if name in by_name:
                found = goal.figure(by_name[name]["figures"])
                held = "yes" if found <= goal.most else "no, see below"
                lines.append(f"| {goal.wanted} | {name} | {goal.most:g} | {found:.2f} | {held} |\n")
    head = "\n## Goals\n\nIn seconds, of the rows above.\n\n"
    head += "| goal | scenario | at most | seen | held |\n|---|---|---|---|---|\n"
    return (
        head
        + "".join(lines)
        + BY_TESTS_HEAD
        + "".join(f"| {goal} | `{test}` |\n" for goal, test in BY_TESTS)
        + BEHIND_A_POOLER
    )


def row_of(seen: dict[str, Any]) -> str:
    """Return a scenario's row."""
    figures = seen["figures"]
    refused = ", ".join(f"{number} x {status}" for status, number in seen["refused"].items()) or "0"
    return (
        f"| {seen['told']} | {len(seen['problems'])} | {seen['letters']} | {figures['gap']:.1f} "
        f"| {figures['longest']:.1f} | {figures['p50']:.2f} "
        f"| {figures['back_from_fault']:.1f} / {figures['back_from_heal']:.1f} "
        f"| {figures['ingress_p99_worst'] * 1000:.0f} | {refused} | {seen['copies']} | {seen['load_average']:.0f} |\n"
    )


def shown_of(seen: dict[str, Any]) -> str:
    """Return what an operator saw, and when.

    Runs without `asked_seconds` asked after 12 s, and the commands started so slowly that they looked after the fault.
    """
    unready = "; ".join(f"{name}: {why}" for name, why in seen["unready"].items()) or "nobody is unready"
    away = "; ".join(seen["away"]) or "nothing" if "away" in seen else "not asked"
    when = (
        f"answered {seen['asked_seconds']:.0f} s after the fault"
        if "asked_seconds" in seen
        else "looked when it was over"
    )
    return (
        f"- **{seen['name']}**, {when}. doctor: {seen['doctor']}. status: {seen.get('status') or 'not asked'}. "
        f"Away by `/readyz?verbose`: {away}. Not ready: {unready}.\n"
    )


def why_of(rows: Sequence[dict[str, Any]]) -> str:
    """Return what is behind the figures of the scenarios that were played."""
    found = "".join(f"- **{seen['name']}**: {WHY[seen['name']]}\n" for seen in rows if seen["name"] in WHY)
    return f"\n## What is behind these figures\n\n{found}" if found else ""


def page_of(rows: Sequence[dict[str, Any]]) -> str:
    """Return the page."""
    head = HEAD.format(kafka=kafka_version(), cores=os.cpu_count())
    days = sorted({seen["at"][:10] for seen in rows})
    webhooks, intents = sum(seen["webhooks"] for seen in rows), sum(seen["intents"] for seen in rows)
    total = f"\n{webhooks:,} webhooks and {intents:,} intents were taken in these runs ({', '.join(days)}).\n"
    reported = "\n## What an operator is shown, asked 12 s after the fault\n\n" + "".join(map(shown_of, rows))
    return head + "".join(map(row_of, rows)) + total + goals_of(rows) + why_of(rows) + reported
