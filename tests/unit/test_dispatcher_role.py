"""What the dispatcher's role opens, what of it the probe shows, and what a term leaves behind at its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from consumer.dispatcher import role
from consumer.dispatcher.apis import open_apis
from consumer.dispatcher.role import WorkersHealth, _report, dispatch, open_jobs, watch_health
from consumer.dispatcher.worker import Health
from runtime import metrics
from runtime.health import Probe
from runtime.lease import Lease
from runtime.settings import DispatcherSettings, Settings
from schemas.errors import LeaseLostError

pytestmark = pytest.mark.unit

LEASE = Lease("dispatcher", "me", 1)
STRIPE = {"api_key": SecretStr("sk")}
TWILIO = {"account_sid": "AC1", "auth_token": SecretStr("token"), "from": "+15005550006"}
CLIENT, READER = object(), object()


def jobs_of(**groups: Any) -> dict[str, Any]:
    settings = Settings(public_url="https://pay.example", **groups)
    return open_jobs(settings, None, CLIENT, READER, open_apis(settings, CLIENT))  # type: ignore[arg-type]


def test_a_job_runs_for_what_is_configured_and_people_s_orders_always():
    assert sorted(jobs_of()) == ["recall-orders-0"]
    asked = sorted(jobs_of(providers={"stripe": STRIPE}, refetch={"workers": 2}))
    assert asked == ["recall-orders-0", "refetch-0", "refetch-1", "watch-0"]
    sent = sorted(jobs_of(sms={"workers": 3, "twilio": TWILIO}))
    assert sent == ["recall-orders-0", "sms-0", "sms-1", "sms-2"]
    assert "recall-0" in jobs_of(providers={"stripe": STRIPE | {"recall": True}})


def test_lists_are_read_by_the_client_that_takes_large_answers_and_once_for_all_who_ask():
    jobs = jobs_of(providers={"stripe": STRIPE | {"recall": True}, "paypal": STRIPE | {"api_secret": SecretStr("s")}})
    [(regularly, _, _)] = jobs["recall-0"]._lists
    for_orders = jobs["recall-orders-0"]._lists
    assert for_orders["stripe", ""] is regularly, "one rate limit and one breaker"
    assert [for_orders[name, ""]._calls._client for name in ("stripe", "paypal")] == [READER, READER]
    assert jobs["refetch-0"]._apis["stripe", ""]._calls._client is CLIENT


def test_all_messages_wait_behind_one_breaker_of_the_settings():
    jobs = jobs_of(sms={"twilio": TWILIO}, dispatcher={"breaker_seconds": 33.0, "breaker_failures_max": 4})
    breakers = {id(job._breaker): job._breaker for name, job in jobs.items() if name.startswith("sms-")}
    [breaker] = breakers.values()
    assert (breaker.pause_seconds, breaker.failures_max) == (33.0, 4)


def test_a_turn_may_last_for_its_part_of_a_claim_before_it_counts_as_stuck():
    """A worker that waits for a slow API is not ended in the middle of a call."""
    probe, watch = Probe("dispatcher"), WorkersHealth()
    settings = Settings(role={"stalled_after_seconds": 10.0}, dispatcher={"claim_seconds": 100.0})
    watch_health(probe, watch, settings)
    watch.workers = {name: Health(name) for name in ("a", "b", "c")}
    for late, stuck in ((60, None), (66, "no turn has ended: a for 66 s, c for 66 s")):
        for name in ("a", "c"):
            watch.workers[name].ended_at = time.monotonic() - late
        assert probe.stuck() == stuck


@pytest.mark.parametrize("is_lost", [False, True], ids=["that ends", "whose lease is lost"])
async def test_what_a_term_showed_is_not_shown_past_it(*, is_lost: bool) -> None:
    """Another dispatcher counts from then on; added to its figures the sums would be wrong."""
    ending, watch = asyncio.Event(), WorkersHealth()
    metrics.WEBHOOKS_RECALLED.read({"stripe": 3})
    metrics.WEBHOOKS_LOST.read({"stripe": 2})
    metrics.RECALL_BEHIND_SECONDS.labels("stripe").set(9.0)

    class Ends:
        name = "ends"

        async def turn(self, _lease: Lease) -> bool:
            await asyncio.sleep(0)
            assert set(watch.workers) == {"ends-0"}
            if is_lost:
                raise LeaseLostError("another dispatcher holds it")
            ending.set()
            return False

    settings = Settings(dispatcher=DispatcherSettings(poll_interval_seconds=0.01))
    with pytest.raises(LeaseLostError) if is_lost else contextlib.nullcontext():
        await asyncio.wait_for(dispatch({"ends-0": Ends()}, settings, watch, LEASE, ending), 5)
    assert watch.workers == {}
    for figure in (metrics.WEBHOOKS_RECALLED, metrics.WEBHOOKS_LOST, metrics.RECALL_BEHIND_SECONDS):
        assert [one for family in figure.collect() for one in family.samples if one.name[-7:] != "created"] == []


async def test_the_pool_has_a_connection_for_each_worker_and_for_what_runs_beside_them(monkeypatch: pytest.MonkeyPatch):
    """One less, and a worker waits for another one's transaction to end: with a slow statement for all of its time."""
    opened: list[dict[str, Any]] = []

    async def open_pool(_settings: object, **more: Any) -> str:
        await asyncio.sleep(0)
        opened.append(more)
        return "pool"

    async def bound(pool: str, prefix: str) -> str:
        await asyncio.sleep(0)
        return f"{pool} bound to {prefix}"

    monkeypatch.setattr(role, "open_pool", open_pool)
    monkeypatch.setattr(role, "bound", bound)
    settings = Settings(refetch={"workers": 7}, sms={"workers": 11}, kafka={"topic_prefix": "eu."})
    assert await role._open(settings) == "pool bound to eu."
    beside = 5  # the lease's, the watch's, the recall's, its orders' and the reporter's
    assert opened == [{"role": "dispatcher", "connections": 7 + 11 + beside}]


async def test_a_term_with_nothing_to_do_lasts_until_its_end():
    ending, watch = asyncio.Event(), WorkersHealth()
    term = asyncio.ensure_future(dispatch({}, Settings(), watch, LEASE, ending))
    await asyncio.wait([term], timeout=0.02)
    assert not term.done()
    ending.set()
    await asyncio.wait_for(term, 5)


async def test_what_waits_is_shown_through_an_outage_and_a_key_that_is_missing_is_named_once():
    """At a third look there is another one missing; it is named too."""
    row = {"refetches": 2, "sms": 5, "without_key": []}
    script: list[Any] = [
        row,
        OSError("Postgres is away"),
        row | {"sms": 0, "without_key": ["mollie"]},
        row | {"sms": 1, "without_key": ["mollie"]},
        row | {"sms": 7, "without_key": ["mollie", "square"]},
    ]
    probe, seen, asked = Probe("dispatcher"), [], []

    class Pool:
        async def fetchrow(self, _sql: str, *sources: object) -> Any:
            await asyncio.sleep(0)
            asked.append(sources)
            seen.append((dict(probe.facts), probe.state))
            if not script:
                raise asyncio.CancelledError
            step = script.pop(0)
            if isinstance(step, Exception):
                raise step
            if len(script) == 0:
                probe.state = "stopping"
            return step

    leader = SimpleNamespace(leading=False)
    settings = Settings(dispatcher={"report_interval_seconds": 0.001})
    apis = {("stripe", ""): None, ("adyen", "acme"): None}
    with structlog.testing.capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(_report(probe, Pool(), leader, apis, settings), 5)  # type: ignore[arg-type]
    assert asked[0] == (["stripe", "adyen"], ["", "acme"])
    shown = [facts.get("waiting") for facts, _ in seen]
    first = {"refetches": 2, "sms": 5}
    assert shown == [None, first, first, first | {"sms": 0}, first | {"sms": 1}, first | {"sms": 7}]
    assert {facts["leading"] for facts, _ in seen} == {False}
    assert [state for _, state in seen] == ["running"] * 5 + ["stopping"]
    assert metrics.DISPATCHER_WAITING.labels("sms")._value.get() == 7
    assert metrics.DISPATCHER_WAITING.labels("refetches")._value.get() == 2
    assert [line["sources"] for line in lines] == [["mollie"], ["mollie", "square"]]
