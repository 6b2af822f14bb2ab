"""What stands in the database of a load, and the wait until nothing is on the way any more."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from load.compare import Effects, lives_of, reconcile
from load.traffic import CLIENT
from ops import reconciliation
from ops.database import connected
from ops.run_sample import on_the_way

if TYPE_CHECKING:
    from collections.abc import Sequence

    from load.compare import Verdict
    from load.journal import Answer
    from load.traffic import Traffic
    from runtime.settings import Settings

POLL_SECONDS = 0.3
EVENTS = """
select payment_id::text, substr(event_type, 8) as command from payment_logs where source = $1
union all
select convert_from(value, 'UTF8')::jsonb ->> 'id', convert_from(value, 'UTF8')::jsonb ->> 'command'
from (
    select value from parked_events where source = $1
    union all
    select value from dead_letters where source = $1 and status = 'open'
) as waiting
"""
PAYMENTS = "select id::text, reference from payments where client = $1 and merged_into is null"


async def read_effects(settings: Settings) -> Effects:
    """Read the client's payments and the events of its intents, wherever they stand."""
    async with connected(settings) as connection:
        events = await connection.fetch(EVENTS, f"intents/{CLIENT}")
        payments = await connection.fetch(PAYMENTS, CLIENT)
    named: defaultdict[str, list[str]] = defaultdict(list)
    for row in payments:
        named[row["reference"]].append(row["id"])
    return Effects(Counter((row["payment_id"], row["command"]) for row in events), dict(named))


async def until_at_rest(settings: Settings, seconds_max: float) -> dict[str, int]:
    """Wait until lag, outbox and spool are empty, or the time is over; return what is left."""
    deadline = time.monotonic() + seconds_max
    while True:
        left = await on_the_way(settings)
        if not any(left.values()) or time.monotonic() > deadline:
            return left
        await asyncio.sleep(POLL_SECONDS)


async def verdict_of(
    settings: Settings, answers: Sequence[Answer], traffic: Traffic, *, rest_seconds_max: float
) -> Verdict:
    """Wait for the ledger to be at rest, read it, and compare."""
    left = await until_at_rest(settings, rest_seconds_max)
    lives = lives_of(answers, traffic)
    keys = {event.key for life in lives.values() for post in life.posts for event in post.events}
    stored = await reconciliation.read_stored(settings, keys, list(lives.values()))
    return reconcile(answers, traffic, stored, await read_effects(settings), left)
