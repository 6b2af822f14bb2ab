"""Live traffic with `kill -9` of either side: each client publishes the sample's payments and reads all there are.

The webhooks of a sample are posted to the running ingress, while a client publishes payments of the same sample as a
service's own on `payments.events`, out of order and some twice. Its publisher and its reader are killed in the middle,
and so are Ratchet's consumer, relay and ingress. In the end the reader's table equals `payments`, each version had one
effect, and every payment of either traffic is as its life ends.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import signal
import time
from dataclasses import asdict
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
from client_runs import effects, ended, published, readers_database, running, table
from consumer_harness import until

from ops.sample import standard
from ops.sample.plan import make_plan
from ops.sample.send import Progress, Sender
from ops.sample.signing import Signer
from runtime.settings import SampleSettings
from schemas.events import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from client_builds import Client
    from live import Live

    from ops.sample.post import Life, Post

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # aiohttp's word on the request that is too large on purpose.
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

OWN_LIVES: Final = 150
"""Payments that a client publishes; half of their events are more than a batch of any client."""
WEBHOOK_LIVES: Final = 60
TWICE: Final = 0.1
"""The share of a client's events that it publishes a second time."""
CHILD_IDS: Final = ("id", "capture_id", "refund_id")
"""Where the sample's events name a try, a capture, a refund or a dispute; `payments.events` has `id` alone."""
NAMING: Final = ("payment.created", "payment.authorized")
"""The events that name the merchant's reference: one that comes late may bring nothing else, yet readers see it."""
COLUMNS: Final = (
    "provider", "account", "merchant_account", "livemode", "provider_ref", "reference", "client", "status",
    "refund_status", "dispute_status", "currency", "amount", "authorized", "captured", "refunded", "disputed", "flags",
    "intent_id", "merged_into", "metadata", "version", "created_at",
)  # fmt: skip
ENDS: Final = (
    "status", "refund_status", "dispute_status", "currency", "amount", "authorized", "captured", "refunded", "disputed",
)  # fmt: skip
PATIENCE_SECONDS: Final = 180.0
"""On a machine under load; a group alone waits 10 s for a member that was killed."""


def line_of(post: Post, service: str) -> str:
    """Return a sample's event as a service publishes it: the same type, its data in the exported vocabulary."""
    event = json.loads(post.body)
    kind, data = event["type"], event["data"]
    named = next((data[name] for name in CHILD_IDS if name in data), None)
    fields = EVENTS[kind].model_fields.keys() - (set() if kind in NAMING else {"reference"})
    value = {name: data[name] for name in fields if name in data} | ({"id": named} if named else {})
    headers = {"ce_specversion": "1.0", "ce_id": post.message_id, "ce_source": service, "ce_type": kind}
    return json.dumps({"topic": "payments.events", "key": data["payment_id"], "headers": headers, "value": value})


def own_traffic(rng: Random, service: str) -> tuple[list[Life], list[str]]:
    """Invent payments of a service, some under one reference; return them, and their events shuffled and some twice."""
    plan = make_plan(rng.getrandbits(32), lives=OWN_LIVES, providers=(standard.NAME,), now=int(time.time()))
    lives = list(plan.lives)
    lines = [line_of(post, service) for life in lives for post in life.posts]
    lines += rng.sample(lines, int(len(lines) * TWICE))
    rng.shuffle(lines)
    return lives, lines


async def webhooks(live: Live, seed: int) -> tuple[Life, ...]:
    """Post a sample to the running ingress, a few at once, so that it lasts; return its payments."""
    secret = "whsec_" + base64.b64encode(b"of the clients' test alone").decode()
    signers = {name: Signer(secret) for name in ("stripe", standard.NAME)}
    plan = make_plan(seed, lives=WEBHOOK_LIVES, providers=tuple(signers), now=int(time.time()))
    limits = SampleSettings(requests_in_flight_max=4)
    address = json.loads((live.home / "run" / "ingress.json").read_text())["address"]
    sender = Sender(limits, signers, f"http://{address}", Progress(len(plan.posts)))
    await sender.send_all(plan.posts)
    assert [one.status for one in sender.progress.results if not one.taken and one.post.fault is None] == []
    return plan.lives


async def publish_until_killed(live: Live, client: Client, lines: Iterable[str], service: str) -> None:
    """Give a publisher lines and kill it once some of them have their effect; it waits for more."""
    async with running(client, "publish", "--bootstrap", live.endpoints.kafka) as publisher:
        assert publisher.stdin is not None
        publisher.stdin.write("\n".join(lines).encode() + b"\n")
        await publisher.stdin.drain()
        await until(lambda: _events_of(live, service), "some of what was published has its effect", 90.0)
        assert publisher.returncode is None
        publisher.send_signal(signal.SIGKILL)
        await publisher.wait()


async def kill_once_it_reads(reader: asyncio.subprocess.Process, dsn: str) -> None:
    await until(lambda: table(dsn), "the reader has kept something", 90.0)
    reader.send_signal(signal.SIGKILL)
    await reader.wait()


async def _events_of(live: Live, service: str) -> int:
    [found] = await live.fetch("select count(*) as n from payment_logs where source = $1", f"events/{service}")
    return int(found["n"])


def plain(payment: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that are compared; Postgres and Ratchet write the same moment in two ways."""
    shown = {name: payment[name] for name in COLUMNS}
    return shown | {"created_at": dt.datetime.fromisoformat(shown["created_at"])}


async def differences(live: Live, dsn: str) -> list[str]:
    """Return what a reader's table has otherwise than `payments`."""
    rows, model = await live.payments(), await table(dsn)
    found = [f"{key} stands in one alone" for key in rows.keys() ^ model.keys()]
    for key in rows.keys() & model.keys():
        wanted, held = plain(rows[key]), plain(model[key])
        found += [f"{key}: {name} is {held[name]!r}, not {wanted[name]!r}" for name in COLUMNS
                  if held[name] != wanted[name]]  # fmt: skip
    return found


async def catch_up(live: Live, dsn: str, reader: asyncio.subprocess.Process) -> None:
    """Wait until a reader's table equals `payments`."""
    left: list[str] = []

    async def equal() -> bool:
        if reader.returncode is not None:
            assert reader.stderr is not None
            raise AssertionError(f"the reader ended: {(await reader.stderr.read()).decode()[-2000:]}")
        left[:] = await differences(live, dsn)
        return not left

    try:
        await until(equal, "the reader's table equals payments", PATIENCE_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}; {len(left)} differences: {left[:5]}") from error


async def test_live_traffic_is_published_and_read_with_kill_9_of_either_side(live: Live, client: Client) -> None:
    service = f"billing-{client.language}"
    rng = Random(service)
    lives, lines = own_traffic(rng, service)
    kafka = live.endpoints.kafka
    async with readers_database(live.endpoints) as dsn:
        words = ("read", "--bootstrap", kafka, "--group", service, "--dsn", dsn, "--effects", "--topics", "changes")
        async with running(client, *words) as reader:
            posted, *_ = await asyncio.gather(
                webhooks(live, rng.getrandbits(32)),
                publish_until_killed(live, client, lines[: len(lines) // 2], service),
                kill_once_it_reads(reader, dsn),
            )
        async with running(client, *words) as reader:
            posted_too, *_ = await asyncio.gather(
                webhooks(live, rng.getrandbits(32)),
                published(client, lines, "--bootstrap", kafka),
                asyncio.to_thread(live.kill, "consumer", "relay", "ingress", "consumer"),
            )
            await asyncio.to_thread(live.await_rest)
            await catch_up(live, dsn, reader)
            assert (await ended(reader))[0] == client.ended_status
        await check_effects(live, dsn)
    await check_payments(live, service, lives)
    await check_webhooks(live, [*posted, *posted_too])
    async with readers_database(live.endpoints) as dsn:
        fresh = ("read", "--bootstrap", kafka, "--group", f"{service}-anew", "--dsn", dsn)
        async with running(client, *fresh) as reader:
            await catch_up(live, dsn, reader)
            assert (await ended(reader))[0] == client.ended_status


async def check_effects(live: Live, dsn: str) -> None:
    """Hold that each version of each payment had one effect, and none was left out."""
    noted = await effects(dsn)
    epochs = {epoch for _, epoch, _ in noted}
    assert len(epochs) == 1, epochs
    rows = await live.payments()
    wanted = sorted((key, *epochs, version) for key, row in rows.items() for version in range(1, row["version"] + 1))
    assert noted == wanted


async def check_payments(live: Live, service: str, lives: Iterable[Life]) -> None:
    """Compare the service's payments with how their lives end; none of its events is a dead letter or waits."""
    rows = {row["provider_ref"]: row for row in (await live.payments()).values() if row["provider"] == service}
    assert {ref: _end(row) for ref, row in rows.items()} == {life.provider_ref: _wanted(life) for life in lives}
    [letters] = await live.fetch("select count(*) as n from dead_letters where topic = 'payments.events'")
    assert letters["n"] == 0
    assert await _events_of(live, service) == sum(len(life.posts) for life in lives), "a copy has no row of its own"


async def check_webhooks(live: Live, lives: Iterable[Life]) -> None:
    """Compare what came by webhook with how its life ends too, whatever was killed meanwhile."""
    alive = [row for row in (await live.payments()).values() if row["merged_into"] is None]
    rows = {(row["provider"], row["provider_ref"]): row for row in alive}
    for life in lives:
        assert _end(rows[life.provider, life.provider_ref]) == _wanted(life), life.provider_ref


def _wanted(life: Life) -> dict[str, Any]:
    return asdict(life.end) | {"flags": list(life.end.flags)}


def _end(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in (*ENDS, "flags")}
