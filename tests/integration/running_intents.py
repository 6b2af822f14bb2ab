"""An ingress with API clients: requests of the intents API, its rows, and an ingress that dies where it is to."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import aiohttp
from pydantic import SecretStr
from running_ingress import SECRET, ingress_settings
from waiting import until

from producers.ingress.app import serve
from runtime.health import Probe
from runtime.settings import IntentsSettings
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from consumer_harness import BatchHarness

CHILD = Path(__file__).parent / "intents_child.py"
KEYS = {"shop": "sk_shop_0123456789abcdef", "rival": "sk_rival_0123456789abcdef"}
INTENT: dict[str, Any] = {"amount": 100, "currency": "EUR", "provider": "standard_webhooks"}


class Reply(NamedTuple):
    """One response."""

    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        """The problem's slug."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.json["status"] == self.status
        return str(self.json["type"]).rpartition(":")[2].rpartition("#")[2]


@dataclass
class Api:
    """A client of the API at one ingress."""

    url: str
    http: aiohttp.ClientSession
    client: str = "shop"

    def of(self, client: str) -> Api:
        return Api(self.url, self.http, client)

    async def call(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Reply:
        """Send a request; a header of None is left out."""
        reported = {"Authorization": f"Bearer {KEYS[self.client]}", "Content-Type": "application/json"}
        reported |= {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        dropped = {name.replace("_", "-") for name, value in headers.items() if value is None}
        kept = {name: value for name, value in reported.items() if name not in dropped}
        skip = ("Content-Type",) if "Content-Type" in dropped else ()
        request = self.http.request(
            method, self.url + path, data=io.BytesIO(body) if body else body, headers=kept, skip_auto_headers=skip
        )
        async with request as response:
            return Reply(response.status, await response.read(), response.headers)

    async def post(
        self, path: str = "/payment-intents", body: Any = None, *, key: str | None = "", **headers: str | None
    ) -> Reply:
        """Post a document under a key of its own, or under the one given; a key of None is left out."""
        headers["Idempotency_Key"] = str(uuid.uuid4()) if key == "" else key
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await self.call("POST", path, raw, **headers)

    async def create(self, *, key: str | None = "", **changes: Any) -> Reply:
        return await self.post(body={**INTENT, **changes}, key=key)

    async def get(self, payment_id: str, tail: str = "") -> Reply:
        return await self.call("GET", f"/payment-intents/{payment_id}{tail}")


def intents_settings(bootstrap: str, dsn: str, **bounds: Any) -> Any:
    clients = {client: (SecretStr(key),) for client, key in KEYS.items()}
    settings = ingress_settings(bootstrap, dsn)
    more = {"clients": bounds.pop("clients", {}), "providers": bounds.pop("providers", {})}
    return settings.model_copy(
        update={
            "api_keys": clients,
            "intents": IntentsSettings(**bounds),
            "clients": more["clients"],
            "providers": {**settings.providers, **more["providers"]},
        }
    )


@asynccontextmanager
async def open_api(bootstrap: str, dsn: str, **bounds: Any) -> AsyncIterator[Api]:
    """Run the ingress in this process and give its API to the client `shop`."""
    probe, stop = Probe("ingress"), asyncio.Event()
    task = asyncio.create_task(serve(intents_settings(bootstrap, dsn, **bounds), stop, probe))
    try:
        await until(lambda: probe.state == "running" or task.done())
        if task.done():
            task.result()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield Api(f"http://{probe.facts['address']}", http)
    finally:
        stop.set()
        await task


@dataclass
class IntentsProcess:
    """An ingress in a process of its own; `crash_at` is the point at which it kills itself (intents_child.py)."""

    bootstrap: str
    dsn: str
    crash_at: str = ""
    url: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    async def __aenter__(self) -> Self:
        self.url = f"http://{await asyncio.to_thread(self._start)}"
        return self

    def _start(self) -> str:
        """Start the child; return its address."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
        read, write = os.pipe()
        environment = kept | {
            "RATCHET_KAFKA__BOOTSTRAP": self.bootstrap,
            "RATCHET_POSTGRES__DSN": self.dsn,
            "RATCHET_INGRESS__BIND": "127.0.0.1:0",
            "RATCHET_API_KEYS": json.dumps(KEYS),
            "RATCHET_PROVIDERS__STRIPE__SECRETS": json.dumps([SECRET]),
            "RATCHET_PROVIDERS__STANDARD_WEBHOOKS__SECRETS": json.dumps(["whsec_" + "c2VjcmV0" * 4]),
            "CHILD_ADDRESS_FD": str(write),
            "CHILD_CRASH_AT": self.crash_at,
        }
        self.process = subprocess.Popen([sys.executable, str(CHILD)], env=environment, pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as pipe:
            address = pipe.readline().strip()
        assert address, "the child ended before it listened"
        return address

    async def __aexit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill()
        await asyncio.to_thread(self.process.wait, 20)


def record_of(row: Any, offset: int) -> Record:
    """Return a spooled row as the record that the relay makes of it."""
    headers = tuple(
        (name.decode(), value) for name, value in zip(row["header_names"], row["header_values"], strict=True)
    )
    return Record(row["topic"], 0, offset, int(time.time() * 1000), row["key"], row["value"], headers)


async def process(harness: BatchHarness) -> None:
    """Do what relay and consumer do with the spool."""
    rows = await harness.fetch("delete from spool returning *")
    await harness.process([record_of(row, row["id"]) for row in sorted(rows, key=lambda row: row["id"])])
