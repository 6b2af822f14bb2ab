"""A history is imported by `ratchet recall` beside live traffic: each event has one effect, whichever way it came.

HISTORY_EVENTS says how many events the list holds (2,000; 100,000 for the measurement).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from local_http import served
from outside import intent, stripe_event
from test_ledger_under_kills import RATCHET, environment, running
from waiting import wait_until

from runtime.stack import read_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

EVENTS: Final = int(os.environ.get("HISTORY_EVENTS", "2000"))
LIVE_EVERY: Final = 10
"""Of so many payments of the history one also comes by webhook while it is imported, and as many new ones do."""
REFUND_EVERY: Final = 4
"""Of so many events one is a refund of the payment before it."""
SECRET: Final = "whsec_history_0123456789abcdef"
KEY: Final = "sk_history"
SPAN_SECONDS: Final = 20 * 86_400.0
PAGE_MAX: Final = 100
REST_SECONDS: Final = 900.0
MEMORY_MIB_MAX: Final = 100
"""What `ratchet recall` may hold, however long the list is: a page, and a Python process with what it imports."""


def event(number: int, created: float) -> dict[str, Any]:
    """Return one event of the history: a payment of 1000 and its number, or a refund of its number."""
    if number % REFUND_EVERY == 0:
        thing = {
            "id": f"re_{number}", "object": "refund", "amount": number, "currency": "eur", "status": "succeeded",
            "payment_intent": f"pi_{number - 1}", "charge": f"ch_{number - 1}", "created": int(created),
        }  # fmt: skip
        return stripe_event(number, "refund.created", thing, created)
    amount = 1000 + number
    paid = intent(f"pi_{number}", status="succeeded", amount=amount, amount_received=amount)
    return stripe_event(number, "payment_intent.succeeded", paid, created)


@dataclass
class Stripe:
    """Stripe's list of events, newest first, as its API pages it."""

    events: list[dict[str, Any]]
    url: str = ""
    pages: int = 0
    places: dict[str, int] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "Invalid API Key provided"}}, status=401)
        self.pages += 1
        query, start = request.query, 0
        if "starting_after" in query:
            start = self.places[query["starting_after"]] + 1
        first, last, limit = (int(query[name]) for name in ("created[gte]", "created[lt]", "limit"))
        found: list[dict[str, Any]] = []
        while start < len(self.events) and len(found) <= limit:
            if first <= self.events[start]["created"] < last:
                found.append(self.events[start])
            start += 1
        assert limit <= PAGE_MAX
        return web.json_response({"object": "list", "has_more": len(found) > limit, "data": found[:limit]})


@asynccontextmanager
async def stripe(events: Sequence[dict[str, Any]]) -> AsyncIterator[Stripe]:
    found = Stripe(sorted(events, key=lambda one: -one["created"]))
    found.places = {one["id"]: place for place, one in enumerate(found.events)}
    app = web.Application()
    app.router.add_get("/v1/events", found.answer)
    async with served(app) as found.url:
        yield found


async def post(http: aiohttp.ClientSession, url: str, one: dict[str, Any]) -> float:
    """Post an event as its webhook; return how many seconds its answer took."""
    body, stamp = json.dumps(one).encode(), int(time.time())
    digest = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    begun = time.monotonic()
    async with http.post(url, data=body, headers={"Stripe-Signature": f"t={stamp},v1={digest}"}) as answer:
        assert answer.status == 202
    return time.monotonic() - begun


async def live(url: str, events: Sequence[dict[str, Any]], over: asyncio.Event) -> list[float]:
    """Post events one after another, quickly at the end; `over` tells that the import is done."""
    async with aiohttp.ClientSession() as http:
        took = []
        for one in events:
            took.append(await post(http, url, one))
            if not over.is_set():
                await asyncio.sleep(0.01)
        return sorted(took)


async def test_a_history_has_no_doubled_effect_beside_live_traffic(tmp_path: Path) -> None:
    now = time.time()
    history = [event(number, now - SPAN_SECONDS * (1 - number / (EVENTS + 1)) - 60) for number in range(1, EVENTS + 1)]
    also = [one for one in history if int(one["id"].removeprefix("evt_")) % LIVE_EVERY == 1]
    fresh = [event(10_000_000 + LIVE_EVERY * number + 1, now) for number in range(len(also))]
    async with stripe(history) as api:
        reported = {
            "RATCHET_PROVIDERS__STRIPE__SECRETS": json.dumps([SECRET]),
            "RATCHET_PROVIDERS__STRIPE__API_KEY": KEY,
            "RATCHET_PROVIDERS__STRIPE__API_BASE_URL": api.url,
            "RATCHET_RECALL__REQUESTS_PER_SECOND_MAX": "1000",
        }
        with running(tmp_path, "--no-sample", **reported):
            run_file = tmp_path / "run" / "ingress.json"
            address = await asyncio.to_thread(
                wait_until, lambda: run_file.exists() and json.loads(run_file.read_text()).get("address")
            )
            over, url = asyncio.Event(), f"http://{address}/webhooks/stripe"
            traffic = asyncio.create_task(
                live(url, [one for two in zip(also, fresh, strict=True) for one in two], over)
            )
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - SPAN_SECONDS - 3600))
            begun = time.monotonic()
            brought = await asyncio.to_thread(recall, tmp_path, reported, since)
            asked_seconds = time.monotonic() - begun
            over.set()
            took = await traffic
            state = read_state(tmp_path)
            assert state is not None
            connection = await asyncpg.connect(state.endpoints.dsn)
            try:
                await at_rest(connection, EVENTS + len(fresh))
                seconds = time.monotonic() - begun
                applied_seconds = await history_seconds(connection, history)
                peaks = memory_peaks(tmp_path)
                await check(connection, history, fresh)
                assert (await asyncio.to_thread(recall, tmp_path, reported, since))["new"] == 0, (
                    "asked again: all is known"
                )
                await check(connection, history, fresh)
            finally:
                await connection.close()
    print(  # noqa: T201 - the measurement
        f"{EVENTS:,} events of history and {len(took):,} webhooks beside them: read in {asked_seconds:.0f} s, applied"
        f" in {applied_seconds:.0f} s, all at rest after {seconds:.0f} s; {brought['new']:,} new, {brought['known']:,}"
        f" known; a webhook was answered within"
        f" {took[len(took) // 2] * 1000:.0f} ms (median), {took[int(len(took) * 0.99)] * 1000:.0f} ms (99 of 100);"
        f" most memory, MiB: recall {brought['memory_mib']}, {', '.join(f'{name} {peak}' for name, peak in peaks)}"
    )


def memory_peaks(home: Path) -> list[tuple[str, int]]:
    """Return how much memory each role has held at most, in MiB."""
    pids = {file.stem: json.loads(file.read_text())["pid"] for file in sorted((home / "run").glob("*.json"))}
    return [(name, peak) for name, pid in pids.items() if (peak := peak_mib(pid))]


def peak_mib(pid: int) -> int:
    """Return how much memory a process has held at most since its program began, in MiB; 0 where it has ended.

    Not ru_maxrss: Linux counts there what the process held before exec too, which was a copy of this one with its list.
    """
    try:
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(peak[1]) // 1024 if peak else 0


def recall(home: Path, reported: dict[str, str], since: str) -> dict[str, Any]:
    """Run the command; return its document, with the most memory that it held."""
    answer = home / "recall.json"
    with answer.open("w") as out, (home / "recall.log").open("w") as log:
        process = subprocess.Popen(
            [*RATCHET, "recall", "--provider", "stripe", "--since", since, "--json"],
            env=environment(home, **reported), stdout=out, stderr=log,
        )  # fmt: skip
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_mib(process.pid))
            time.sleep(0.05)
    assert process.returncode == 0, (home / "recall.log").read_text()[-2000:]
    assert peak <= MEMORY_MIB_MAX, "what recall holds does not grow with the list"
    document: dict[str, Any] = json.loads(answer.read_text())
    return document | {"memory_mib": peak}


async def at_rest(connection: Any, events: int) -> None:
    """Wait until each event has its ledger row, and nothing waits in the spool."""
    deadline = time.monotonic() + REST_SECONDS
    ask = "select (select count(*) from payment_logs where source = 'stripe'), (select count(*) from spool)"
    while tuple(await connection.fetchrow(ask)) != (events, 0):
        assert time.monotonic() < deadline, tuple(await connection.fetchrow(ask))
        await asyncio.sleep(0.5)


async def history_seconds(connection: Any, history: Sequence[dict[str, Any]]) -> float:
    """Return how long it took from the first ledger row of the history to its last."""
    ask = "select extract(epoch from max(recorded_at) - min(recorded_at)) from payment_logs where event_id = any($1)"
    return float(await connection.fetchval(ask, [one["id"] for one in history]))


async def check(connection: Any, history: Sequence[dict[str, Any]], fresh: Sequence[dict[str, Any]]) -> None:
    """Hold the rows against plain arithmetic."""
    rows = await connection.fetch("select event_id, count(*) as n from payment_logs where source = 'stripe' group by 1")
    assert {row["event_id"]: row["n"] for row in rows} == {one["id"]: 1 for one in (*history, *fresh)}
    things = [one["data"]["object"] for one in (*history, *fresh)]
    captured = {one["id"]: one["amount"] for one in things if one["object"] == "payment_intent"}
    refunded = {one["payment_intent"]: one["amount"] for one in things if one["object"] == "refund"}
    found = await connection.fetch("select provider_ref, captured, refunded from payments")
    assert {row["provider_ref"]: (row["captured"], row["refunded"]) for row in found} == {
        key: (amount, refunded.get(key, 0)) for key, amount in captured.items()
    }
    for table in ("dead_letters", "parked_events"):
        assert await connection.fetchval(f"select count(*) from {table}") == 0, table
