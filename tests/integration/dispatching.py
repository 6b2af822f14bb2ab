"""What the dispatcher's tests share: rows to do, jobs that do them, and the role as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
from outside import SENDER, SID, TOKEN, Outside
from pydantic import SecretStr

from consumer.dispatcher.apis import open_apis
from consumer.dispatcher.role import LEASE_NAME, open_jobs, serve
from runtime.health import Probe
from runtime.http import HttpClient
from runtime.lease import PostgresLeases
from runtime.settings import Settings
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database

    from consumer.dispatcher.worker import Job
    from runtime.lease import Lease

NUMBER = "+4915112345678"
ENTRY = """
from consumer.dispatcher.lists import open_lists
from consumer.dispatcher.role import serve
from runtime.lifecycle import leave, run_role
from runtime.settings import load
leave(run_role("dispatcher", load(), serve))
"""


@dataclass
class Office:
    """A database, the outside world and what works between them."""

    dsn: str
    world: Outside
    pool: asyncpg.Pool[Any]

    def settings(self, **more: dict[str, Any]) -> Settings:
        """Return settings with short patience; `more` are fields of groups."""
        stripe = {"api_key": SecretStr("sk_test"), "api_base_url": self.world.url, "accounts": {"ACME": {
            "api_key": SecretStr("revoked"), "api_base_url": self.world.url}}}  # fmt: skip
        twilio = {"base_url": self.world.url, "account_sid": SID, "auth_token": SecretStr(TOKEN), "from": SENDER}
        groups: dict[str, dict[str, Any]] = {
            "postgres": {"dsn": SecretStr(self.dsn)},
            "http": {"total_timeout_seconds": 5.0},
            "dispatcher": {"lease_seconds": 5.0, "poll_interval_seconds": 0.02, "breaker_failures_max": 1000},
            "refetch": {
                "backoff_initial_seconds": 0.01,
                "backoff_max_seconds": 0.02,
                "requests_per_second_max": 1000,
                "same_payment_seconds": 1e-6,
            },
            "sms": {
                "backoff_initial_seconds": 0.01,
                "backoff_max_seconds": 0.02,
                "unsure_seconds": 0.01,
                "account_pause_seconds": 0.3,
            },
        }
        providers = {"stripe": stripe} | more.pop("providers", {})
        merged = {name: fields | more.pop(name, {}) for name, fields in groups.items()} | more
        merged["sms"]["twilio"] = twilio
        return Settings(
            providers=providers,  # type: ignore[arg-type]
            public_url="https://pay.example",
            **merged,  # type: ignore[arg-type]
        )

    @asynccontextmanager
    async def job(self, name: str, **more: dict[str, Any]) -> AsyncIterator[Job]:
        """Give one job to be turned by hand."""
        settings = self.settings(**more)
        async with HttpClient(settings.http) as client:
            jobs = open_jobs(settings, self.pool, client, client, open_apis(settings, client))
            yield jobs[f"{name}-0"]

    @asynccontextmanager
    async def recall_orders(self, **more: dict[str, Any]) -> AsyncIterator[Job]:
        """Give what carries out people's recalls, to be turned by hand."""
        async with self.job("recall-orders", **more) as orders:
            yield orders

    @asynccontextmanager
    async def role(self, **more: dict[str, Any]) -> AsyncIterator[Probe]:
        """Run the role inside this process until the context ends."""
        stop, probe = asyncio.Event(), Probe("dispatcher")
        task = asyncio.create_task(serve(self.settings(**more), stop, probe))
        try:
            yield probe
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    @asynccontextmanager
    async def process(self, home: Path, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the role as a process of its own; it is killed at the end."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")} | {
            "RATCHET_HOME": str(home),
            "RATCHET_POSTGRES__DSN": self.dsn,
            "RATCHET_PUBLIC_URL": "https://pay.example",
            "RATCHET_DISPATCHER__LEASE_SECONDS": "1",
            "RATCHET_DISPATCHER__CLAIM_SECONDS": "2",
            "RATCHET_SMS__UNSURE_SECONDS": "2",
            "RATCHET_HTTP__TOTAL_TIMEOUT_SECONDS": "30",
            "RATCHET_SMS__TWILIO__BASE_URL": self.world.url,
            "RATCHET_SMS__TWILIO__ACCOUNT_SID": SID,
            "RATCHET_SMS__TWILIO__AUTH_TOKEN": TOKEN,
            "RATCHET_SMS__TWILIO__FROM": SENDER,
            "RATCHET_PROVIDERS__STRIPE__API_KEY": "sk_test",
            "RATCHET_PROVIDERS__STRIPE__API_BASE_URL": self.world.url,
            **more,
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", ENTRY, env=environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def lease(self, seconds: float = 60) -> Lease:
        """Take the dispatcher's lease."""
        lease = await PostgresLeases(self.pool).acquire(LEASE_NAME, "test", seconds)
        assert lease
        return lease

    async def steal_lease(self) -> Lease:
        """Let the lease expire and take it for another holder."""
        await self.pool.execute("update leases set expires_at = clock_timestamp()")
        return await self.lease()

    async def ask_again(self, ref: str, provider: str = "stripe", account: str = "") -> None:
        """Queue a refetch as the consumer does."""
        await self.pool.execute(
            statement("consumer", "queue_refetches"), [provider], [account], [ref], ["contradiction"]
        )

    async def queue_sms(self, *templates: str, number: str = NUMBER) -> uuid.UUID:
        """Queue messages of a new payment, which is captured, or as its one message says."""
        payment, status = uuid.uuid4(), "failed" if templates == ("failed",) else "captured"
        await self.pool.execute(
            "insert into payments (id, provider, account, status, refund_status, dispute_status, currency, amount,"
            " authorized, captured, refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at)"
            " values ($1, 'stripe', '', $2, 'none', 'none', 'EUR', 1000, 1000, 1000, 0, 0, 1, '{}', '', 0,"
            " now(), now())",
            payment,
            status,
        )
        for template in templates:
            await self.pool.execute(
                "insert into sms_transactions (payment_id, to_number, template, status) values ($1, $2, $3, 'queued')",
                payment, number, template,
            )  # fmt: skip
        return payment

    async def rows(self, table: str) -> list[Any]:
        return await self.pool.fetch(f"select * from {table} order by id")

    async def make_due(self, table: str) -> None:
        """Let what waits be due now."""
        await self.pool.execute(f"update {table} set next_attempt_at = clock_timestamp()")


@asynccontextmanager
async def office(database: Database, world: Outside) -> AsyncIterator[Office]:
    async with asyncpg.create_pool(database.dsn, min_size=1, max_size=8) as pool:
        yield Office(database.dsn, world, pool)
