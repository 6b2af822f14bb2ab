"""The whole loop: an executor with a provider behind it, and both sides killed in the middle of it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from consumer_harness import Event, broken_chains, intent, until, webhook
from consumer_processes import ConsumerProcesses, consumer_processes
from local_http import served
from relay_rows import relaying
from relay_rows import settings_for as relay_settings

from schemas.topics import INTENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

CHILD = Path(__file__).parent / "executor_child.py"
PAYMENTS = 24
CALLS_BEFORE = 8
"""Calls of the provider after which both sides are killed."""
EXECUTORS = {"gateway": ["standard_webhooks"]}


@dataclass
class Provider:
    """A provider's API: the same key, the same answer; a second effect under one key would show."""

    url: str = ""
    answers: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    effects: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    calls: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """Carry out what is asked; every fifth is refused. Answers late, so that a kill falls between."""
        key, asked = request.headers["Idempotency-Key"], await request.json()
        self.calls += 1
        if key not in self.answers:
            if uuid.UUID(key).int % 5 == 0:
                self.answers[key] = 402, {"why": "the card is closed"}
            else:
                self.effects.append((key, asked))
                self.answers[key] = 200, {"ok": True}
        await asyncio.sleep(0.02)
        status, body = self.answers[key]
        return web.json_response(body, status=status)


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    found = Provider()
    application = web.Application()
    application.router.add_post("/", found.take)
    async with served(application) as url:
        found.url = f"{url}/"
        yield found


@asynccontextmanager
async def executors(kafka: str, url: str, client: str, folder: Path) -> AsyncIterator[Any]:
    """Give a function that starts an executor of one group; all end with the test."""
    running: list[subprocess.Popen[bytes]] = []
    environment = os.environ | {
        "EXECUTOR_KAFKA": kafka,
        "EXECUTOR_GROUP": f"gateway-{client}",
        "EXECUTOR_PROVIDER": url,
        "EXECUTOR_CLIENT": client,
    }

    def start() -> subprocess.Popen[bytes]:
        with (folder / f"executor-{len(running)}.log").open("wb") as log:
            running.append(subprocess.Popen([sys.executable, str(CHILD)], env=environment, stdout=log, stderr=log))
        return running[-1]

    try:
        yield start
    finally:
        for one in running:
            one.kill()
            one.wait()


def refund(payment_id: uuid.UUID, amount: int, client: str) -> Event:
    command_id = str(uuid.uuid4())
    body = {"id": str(payment_id), "client": client, "command": "refund", "body": {"amount": amount}}
    return Event(command_id, str(payment_id).encode(), json.dumps(body).encode(), (("ce_id", command_id.encode()),))


@pytest.fixture
async def harness(stack: Any, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as found:
        yield found


async def test_every_command_is_carried_out_once_with_kill_9_of_both_sides(
    harness: ConsumerProcesses, stack: Any, database: Database, tmp_path: Path
) -> None:
    """Of each payment of 1000: three refunds of 300 that fit, and one of 200 that does not unless one was refused."""
    client = f"loop-{uuid.uuid4().hex[:8]}"
    paid = {uuid.uuid4(): f"{client}-{number}" for number in range(PAYMENTS)}
    refunds = [[refund(one, amount, client) for amount in (300, 300, 300, 200)] for one in paid]
    random.Random(5).shuffle(refunds)
    half = PAYMENTS // 2
    async with provider() as bank, executors(harness.kafka, bank.url, client, tmp_path) as start:
        consumer = harness.spawn(executors=EXECUTORS)
        await harness.publish([intent(one, client=client, provider_ref=ref) for one, ref in paid.items()], INTENTS.name)
        await harness.publish([webhook("payment.captured", ref, amount=1000) for ref in paid.values()])
        await harness.until_applied(2 * PAYMENTS)
        settings = relay_settings(stack, database.dsn, batch_records_max=7)
        async with relaying(settings):
            executor = start()
            await harness.publish([one for found in refunds[:half] for one in found], INTENTS.name)

            async def called() -> bool:
                return bank.calls >= CALLS_BEFORE

            await until(called, "the provider was called", 60)
        executor.kill()
        consumer.kill()
        await harness.publish([one for found in refunds[half:] for one in found], INTENTS.name)
        harness.spawn(executors=EXECUTORS)
        start()
        async with relaying(settings):
            ended = "select count(*) from commands where state in ('done', 'refused')"

            async def all_ended() -> bool:
                return int(await harness.pool.fetchval(ended)) == 4 * PAYMENTS

            await until(all_ended, "every command has ended", 120)
    await check(harness, bank)


async def check(harness: ConsumerProcesses, bank: Provider) -> None:
    """Compare what the provider did with what the commands say."""
    found = [dict(row) for row in await harness.pool.fetch("select * from commands")]
    done = {row["command_id"]: row for row in found if row["state"] == "done"}
    refused = {row["command_id"]: row["refusal"] for row in found if row["state"] == "refused"}
    effects = dict(bank.effects)
    assert len(bank.effects) == len(effects), "no command had two effects"
    assert effects == {
        key: {"payment": row["provider_ref"], "amount": row["amount"], "command": "refund"} for key, row in done.items()
    }
    by_bank = {key for key, (status, _) in bank.answers.items() if status == 402}
    assert {key for key, why in refused.items() if why == "the card is closed"} == by_bank
    assert {key for key in refused if key not in by_bank}.isdisjoint(bank.answers), "what has no room reaches nobody"
    assert all("which leaves no" in why for key, why in refused.items() if key not in by_bank)
    tables = await harness.tables()
    assert (tables.letters, tables.parked, broken_chains(tables)) == ([], [], [])
    for payment in tables.payments:
        taken = [row["amount"] for row in done.values() if row["payment_id"] == payment["id"]]
        assert sum(taken) <= payment["captured"] == 1000
