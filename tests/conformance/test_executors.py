"""The executor's loop of each client with the real relay and consumer: each command has one effect, whoever dies."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from client_runs import ended, running
from consumer_harness import Event, until
from local_http import served

from schemas.record import Attributes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from client_builds import Client
    from live import Live

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

PAYMENTS: Final = 16
CALLS_BEFORE: Final = 6
"""Calls of the provider after which both sides are killed."""
CLOSED: Final = "the card is closed"
ANSWER: Final = "the card\r\n\t is\x00 closed\ufffd\n"
"""The same as the provider writes it: what has no place in a reason must not cost the answer."""


@dataclass
class Provider:
    """A service in front of a provider's API: the same key, the same answer; a second effect under a key would show."""

    url: str = ""
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    effects: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is set, what is done is not answered: the client is in the middle of its commands."""
    calls: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """Carry out what is asked; every fifth is refused, every third is done at once and answered with 503 first."""
        key, asked = request.headers["Idempotency-Key"], await request.json()
        self.calls += 1
        if key not in self.answers:
            refused = uuid.UUID(key).int % 5 == 0
            self.answers[key] = (402, ANSWER) if refused else (200, "{}")
            if not refused:
                self.effects.append((key, asked))
            if uuid.UUID(key).int % 3 == 0:
                self.away.add(key)
                return web.Response(status=503)
        status, text = self.answers[key]
        while self.hold.is_set():
            self.held.add(key)
            await asyncio.sleep(0.02)
        return web.Response(status=status, text=text)


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    found = Provider()
    application = web.Application()
    application.router.add_post("/", found.take)
    async with served(application) as url:
        found.url = f"{url}/"
        yield found


async def send(kafka: str, topic: str, events: Iterable[Event]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True) as producer:
        for event in events:
            await producer.send_and_wait(topic, event.value, key=event.key, headers=list(event.headers))


def captured(account: str, payment: str) -> Event:
    """Make the webhook of a payment of 1000 that was captured, as the ingress publishes it."""
    data = {"payment_id": payment, "id": "cap", "amount": 1000, "currency": "EUR"}
    body = json.dumps({"type": "payment.captured", "data": data}).encode()
    source = f"standard_webhooks/{account}"
    attributes = Attributes(source=source, event_id=f"{payment}-c", kind="payment.captured", received_at=1.79e9)
    return Event(f"{payment}-c", payment.encode(), body, attributes.to_headers())


def command(payment_id: uuid.UUID, client: str, name: str, command_id: str, **body: Any) -> Event:
    value = json.dumps({"id": str(payment_id), "client": client, "command": name, "body": body}).encode()
    return Event(command_id, str(payment_id).encode(), value, (("ce_id", command_id.encode()),))


async def test_every_command_is_carried_out_once_with_kill_9_of_both_sides(live: Live, client: Client) -> None:
    """Of each payment of 1000: three refunds of 300 that fit, and one of 200 that does not unless one was refused."""
    account = f"loop{client.language}"
    paid = {uuid.uuid4(): f"{account}-{number}-{uuid.uuid4().hex[:6]}" for number in range(PAYMENTS)}
    creates = [
        command(one, account, "create", str(one), amount=1000, currency="EUR", provider="standard_webhooks",
                account=account, provider_ref=ref)
        for one, ref in paid.items()
    ]  # fmt: skip
    refunds = [
        command(one, account, "refund", str(uuid.uuid4()), amount=amount)
        for one in paid
        for amount in (300, 300, 300, 200)
    ]
    random.Random(5).shuffle(refunds)
    half, kafka = len(refunds) // 2, live.endpoints.kafka
    async with provider() as bank:
        reported = ("execute", "--bootstrap", kafka, "--group", account, "--source", f"gateway-{client.language}",
                "--accounts", f"standard_webhooks/{account}", "--url", bank.url)  # fmt: skip
        await send(kafka, "payments.intents", creates)
        await send(kafka, "payments.webhooks", [captured(account, ref) for ref in paid.values()])
        await until(_all(live, "payments", "captured = 1000", account, PAYMENTS), "the payments are captured", 90.0)
        async with running(client, *reported) as first:
            await send(kafka, "payments.intents", refunds[:half])

            async def called() -> bool:
                if bank.calls >= CALLS_BEFORE:
                    bank.hold.set()
                return len(bank.held) > 1

            await until(called, "the provider has done some commands, and has not answered", 90.0)
            first.send_signal(signal.SIGKILL)
            await asyncio.gather(first.wait(), asyncio.to_thread(live.kill, "consumer"))
            bank.hold.clear()
        async with running(client, *reported) as second:
            await send(kafka, "payments.intents", refunds[half:])
            await asyncio.to_thread(live.kill, "relay")
            over = _all(live, "commands", "state in ('done', 'refused')", account, 4 * PAYMENTS)

            async def ended_or_broken() -> bool:
                if second.returncode is not None:
                    assert second.stderr is not None
                    raise AssertionError((await second.stderr.read()).decode())
                return bool(await over())

            await until(ended_or_broken, "every command has ended", 180.0)
            assert (await ended(second))[0] == client.ended_status
    await check(live, bank, account)


def _all(live: Live, relation: str, condition: str, client: str, count: int) -> Callable[[], Any]:
    async def ask() -> bool:
        found = await live.fetch(f"select count(*) as n from {relation} where client = $1 and {condition}", client)
        return bool(found[0]["n"] == count)

    return ask


async def check(live: Live, bank: Provider, client: str) -> None:
    """Compare what the provider did with what the commands say."""
    found = await live.fetch("select * from commands where client = $1", client)
    done = {row["command_id"]: row for row in found if row["state"] == "done"}
    refused = {row["command_id"]: row["refusal"] for row in found if row["state"] == "refused"}
    effects = dict(bank.effects)
    assert len(bank.effects) == len(effects), "no command had two effects"
    assert bank.away, "some were asked again"
    assert bank.calls > len(bank.answers) + len(bank.away), "and so were those that were begun when it was killed"
    assert effects.keys() == done.keys()
    for key, row in done.items():
        asked = effects[key]
        assert (asked["command"], asked["amount"], asked["provider_ref"], asked["attempt_id"]) == (
            "refund", row["amount"], row["provider_ref"], str(row["attempt_id"]),
        )  # fmt: skip
    by_bank = {key for key, (status, _) in bank.answers.items() if status == 402}
    assert {key for key, why in refused.items() if why == CLOSED} == by_bank
    assert {key for key in refused if key not in by_bank}.isdisjoint(bank.answers), "what has no room reaches nobody"
    assert all("which leaves no" in why for key, why in refused.items() if key not in by_bank)
    letters = await live.fetch("select reason, message from dead_letters where topic in"
                               " ('payments.events', 'payments.intents')")  # fmt: skip
    assert letters == []
