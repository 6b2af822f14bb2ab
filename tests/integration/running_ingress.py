"""What tests of the ingress share: one on real brokers, signed Stripe requests, raw sockets, a tail of the topic."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import io
import json
import os
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr
from waiting import until

from producers.ingress.app import serve
from runtime.health import Probe
from runtime.settings import (
    AccountSettings,
    IngressSettings,
    KafkaSettings,
    PostgresSettings,
    ProviderSettings,
    Settings,
)
from schemas import topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from broker_containers import BrokerContainer

SECRET = "whsec_0123456789abcdef"
PUBLIC_URL = "https://pay.example"


@dataclass(slots=True)
class RunningIngress:
    """A running ingress."""

    settings: Settings
    probe: Probe
    stop: asyncio.Event
    task: asyncio.Task[None]
    client: aiohttp.ClientSession

    @property
    def address(self) -> str:
        return str(self.probe.facts["address"])

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def post(self, body: bytes, path: str = "/webhooks/stripe", **headers: str) -> tuple[int, bytes, Any]:
        request = self.client.post(self.url + path, data=io.BytesIO(body), headers={**signature(body), **headers})
        async with request as response:
            return response.status, await response.read(), response.headers

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.client.get(self.url + path) as response:
            return response.status, await response.json(content_type=None)


def ingress_settings(bootstrap: str, dsn: str, **ingress: Any) -> Settings:
    stripe = ProviderSettings(
        secrets=(SecretStr(SECRET),), accounts={"acme": AccountSettings(secrets=(SecretStr(SECRET),))}
    )
    secret = SecretStr("whsec_" + "c2VjcmV0" * 4)
    standard = ProviderSettings(secrets=(secret,), accounts={"other": AccountSettings(secrets=(secret,))})
    return Settings().model_copy(
        update={
            "kafka": KafkaSettings(bootstrap=bootstrap, connect_timeout_seconds=1.0, close_timeout_seconds=0.5),
            "postgres": PostgresSettings(dsn=SecretStr(dsn), connect_timeout_seconds=1.0),
            "ingress": IngressSettings(**{"bind": "127.0.0.1:0", "keep_alive_seconds": 2.0, **ingress}),
            "public_url": PUBLIC_URL,
            "providers": {"stripe": stripe, "standard_webhooks": standard},
        }
    )


@asynccontextmanager
async def open_ingress(
    bootstrap: str, dsn: str, *, connected: bool = True, changes: dict[str, Any] | None = None, **ingress: Any
) -> AsyncIterator[RunningIngress]:
    """Run the role in this process until the context ends; `connected` waits until it says that it is ready.

    `changes` are other settings than those of the ingress.
    """
    settings = ingress_settings(bootstrap, dsn, **ingress).model_copy(update=changes or {})
    probe, stop = Probe("ingress"), asyncio.Event()
    task = asyncio.create_task(serve(settings, stop, probe))
    try:
        await until(lambda: probe.state == "running" or task.done())
        if task.done():
            task.result()
        if connected:
            await until(lambda: probe.unready() is None)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            yield RunningIngress(settings, probe, stop, task, client)
    finally:
        stop.set()
        await task


def signature(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """Sign as Stripe does."""
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={digest}"}


def event(event_id: str | None = None, size: int = 0) -> tuple[str, bytes]:
    """Return an id and a Stripe-shaped body, of `size` bytes if that is more than it needs."""
    event_id = event_id or f"evt_{uuid.uuid4().hex}"
    document = {
        "id": event_id,
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": f"pi_{event_id[4:]}", "object": "payment_intent", "amount": 100, "currency": "eur"}},
        "pad": "",
    }
    bare = json.dumps(document).encode()
    document["pad"] = "x" * max(0, size - len(bare))
    return event_id, json.dumps(document).encode()


def raw_request(body: bytes, *extra: str, path: str = "/webhooks/stripe", length: bool = True) -> bytes:
    """Return a signed request as it goes over the wire."""
    head = [f"POST {path} HTTP/1.1", "Host: pay.example", "Content-Type: application/json"]
    head += [f"{name}: {value}" for name, value in signature(body).items()]
    head += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*head, *extra, "", ""]).encode() + body


@asynccontextmanager
async def connection(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def exchange(address: str, *chunks: bytes, seconds: float = 10.0) -> bytes:
    """Send the chunks and return everything that comes back until the other side closes."""
    async with asyncio.timeout(seconds), connection(address) as (reader, writer):
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        return await reader.read()


def statuses(answers: bytes) -> list[int]:
    """Return the status of every response in the bytes."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


class Tail:
    """The records that come to `payments.webhooks` from now on."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.records: list[Any] = []

    async def poll(self) -> None:
        batches = await self._consumer.getmany(timeout_ms=100)
        self.records += [record for batch in batches.values() for record in batch]

    def ids(self) -> list[str]:
        return [dict(record.headers)["ce_id"].decode() for record in self.records]

    async def drain(self) -> list[Any]:
        """Return all records that are in the topic now and were not returned before."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        while any([await self._consumer.position(partition) < end for partition, end in ends.items()]):
            await self.poll()
        fresh, self.records = self.records, []
        return fresh

    async def find(self, event_id: str) -> Any:
        """Return the first record with that event id once it is there."""

        async def there() -> bool:
            if event_id not in self.ids():
                await self.poll()
            return event_id in self.ids()

        await until(there)
        return self.records[self.ids().index(event_id)]


@asynccontextmanager
async def tail(bootstrap: str) -> AsyncIterator[Tail]:
    from runtime.kafka import ensure_topics

    await ensure_topics(KafkaSettings(bootstrap=bootstrap))
    consumer = AIOKafkaConsumer(
        topics.WEBHOOKS.name, bootstrap_servers=bootstrap, max_partition_fetch_bytes=4 * 1024 * 1024
    )
    await consumer.start()
    try:
        await until(consumer.assignment)
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)
        yield Tail(consumer)
    finally:
        await consumer.stop()


def server_process(bootstrap: str) -> psutil.Process | BrokerContainer:
    """Return who serves at that address, to suspend and resume: the process of our broker, or its container."""
    port = int(bootstrap.rpartition(":")[2])
    if os.environ.get("RATCHET_TEST_STACK") == "containers":  # who listens there is the engine's proxy
        import broker_containers

        return broker_containers.STARTED[port]
    for found in psutil.net_connections(kind="tcp"):
        if found.status == psutil.CONN_LISTEN and found.laddr.port == port and found.pid:
            return psutil.Process(found.pid)
    raise LookupError(f"nobody listens at {bootstrap}")
