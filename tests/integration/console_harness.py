"""What the console's tests share: a console that runs in this process, and a database with something to see in it."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import aiohttp
import asyncpg
import pytest
from consumer_harness import webhook
from pydantic import SecretStr

from ops.console.role import serve
from runtime.health import Probe
from runtime.settings import ConsoleSettings, KafkaSettings, PostgresSettings, Settings
from tests.conftest import Database, role_of, run_as_superuser, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from runtime.stack import Endpoints

PASSWORD = "open sesame, says Ali Baba"
PAYMENT_ID = UUID("0190abcd-0000-7000-8000-0000000000aa")
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
"""What a provider might send to whoever looks at it."""
CARD = "4111111111111111"
PHONE = "+254712345678"
SECRET = "whsec_0123456789abcdef"
HOSTILE_BODY = json.dumps({
    "id": "evt_bad",
    "type": HOSTILE,
    HOSTILE: "x",
    "card": {"number": CARD},
    "client_secret": "tell nobody",
    "customer": {"phone": "0712 345 678", "email": "ada@example.com"},
    "Item": [{"Name": "PhoneNumber", "Value": 254712345678}, {"Name": "Amount", "Value": 12}],
    "note": f"call {PHONE}, key {SECRET}, card {CARD}",
}).encode()  # fmt: skip

PAYMENT = """
insert into payments (id, provider, account, provider_ref, client, reference, status, refund_status, dispute_status,
    currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid, created_at,
    updated_at, phone)
values ($1, 'stripe', '', 'pi_1', 'shop', $2, 'captured', 'partial', 'none', 'EUR', 1250, 1250, 1250, 250, 0, 3, '{}',
    '', 0, now(), now(), $3)
"""
REFERENCE = """
insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
values ('stripe', '', '', true, $1, $2, $3)
"""
LEDGER = """
insert into payment_logs (payment_id, source, event_id, event_type, outcome, from_status, to_status, amount, version,
    facts, topic, partition, "offset", occurred_at, recorded_at, relay_xid, hash)
values ($1, 'stripe', $2, $3, $4, $5, $6, $7, $8, $9, 'payments.webhooks', 0, 7, now(), now() - $10::text::interval, 1,
    sha256($2::text::bytea))
"""
LETTER = """
insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values,
    source, event_id, event_type, payment_ref, reason, message, relay_xid, created_at)
values ('payments.webhooks', 0, $1, sha256($2), 1, 'pi_1', $2, '{ce_id,authorization}',
    array['evt'::bytea, 'Bearer abc123'], 'stripe', $3, $4, 'pi_1', $5, $6, 1, now())
returning id
"""
APPLICABLE = """
insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values,
    source, event_id, event_type, payment_ref, reason, message, relay_xid, created_at)
values ('payments.webhooks', 0, $1, sha256($3), 1, $2, $3, $4, $5, 'standard_webhooks', $6, 'payment.created',
    convert_from($2, 'UTF8'), $7, 'why', 1, now())
returning id
"""
PARKED = """
insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition, "offset",
    timestamp_ms, header_names, header_values, parked_at, deadline)
values ('stripe', 'evt_waits', 'charge.refunded', 'orphan', 'no payment is known by payment pi_later', '[]',
    'payments.webhooks', 0, 9, 1, '{}', '{}', now(), now() + interval '2 days')
returning id
"""
CREATED = '[["terms","pi_1",["asked",1250]]]'
TAKEN = '[["authorization","pi_1",["authorized",1250]],["capture","pi_1",["succeeded",1250]]]'
AGAIN = '[["attempt","pi_1",["created"]]]'
RETURNED = '[["refund","re_1",["succeeded",250]]]'
TIMELINE = (
    ("evt_1", "payment_intent.created", "applied", None, "created", 1250, 1, CREATED, "3 s"),
    ("evt_2", "charge.succeeded", "applied", "created", "captured", 1250, 2, TAKEN, "2 s"),
    ("evt_0", "charge.pending", "late", "captured", "captured", None, None, AGAIN, "2 s"),
    ("evt_3", "charge.refunded", "applied", "captured", "captured", 250, 3, RETURNED, "1 s"),
)


@dataclass(slots=True)
class Console:
    """A console that runs."""

    settings: Settings
    probe: Probe
    stop: asyncio.Event
    task: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://{self.probe.facts['address']}"


class Browser:
    """A client that keeps cookies and knows a page's token."""

    def __init__(self, console: Console, **headers: str) -> None:
        jar = aiohttp.CookieJar(unsafe=True)
        self.url = console.url
        self.client = aiohttp.ClientSession(cookie_jar=jar, headers=headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.client.get(self.url + path, headers=headers, allow_redirects=False) as answer:
            self.headers = answer.headers
            return answer.status, await answer.text()

    async def token(self, path: str) -> str:
        _, text = await self.get(path)
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', text)
        assert found, text
        return found[1]

    async def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> tuple[int, str]:
        request = self.client.post(self.url + path, data=form, headers=headers, allow_redirects=False)
        async with request as answer:
            self.headers = answer.headers
            return answer.status, await answer.text()

    async def sign_in(self, password: str = PASSWORD, name: str = "") -> tuple[int, str]:
        self.client.cookie_jar.clear()
        token = await self.token("/login")
        return await self.post("/login", csrf=token, name=name, password=password, next="/ledger")


def console_settings(home: Path, bootstrap: str, dsn: str, **console: Any) -> Settings:
    patience = {"connect_timeout_seconds": 2.0}
    return Settings().model_copy(
        update={
            "home": home,
            "kafka": KafkaSettings(bootstrap=bootstrap, **patience),
            "postgres": PostgresSettings(dsn=SecretStr(dsn), **patience),
            "console": ConsoleSettings(**{"bind": "127.0.0.1:0", "look_seconds": 0.3, **console}),
        }
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Console]:
    """Run a console while the context lasts."""
    probe, stop = Probe("console"), asyncio.Event()
    task = asyncio.create_task(serve(settings, stop, probe))
    try:
        while "address" not in probe.facts:
            await asyncio.sleep(0.01)
            if task.done():
                task.result()
        yield Console(settings, probe, stop, task)
    finally:
        stop.set()
        await task


async def fill(connection: Any) -> list[int]:
    """Put a payment with its timeline, two letters and a parked event into the database; return the letters' ids."""
    async with connection.transaction():
        await connection.execute(PAYMENT, PAYMENT_ID, f"ORD-{HOSTILE}", PHONE)
        for kind, ref in (("payment", "pi_1"), ("charge", "ch_1"), ("reference", "ORD-1")):
            await connection.execute(REFERENCE, kind, ref, PAYMENT_ID)
        for event in TIMELINE:
            await connection.execute(LEDGER, PAYMENT_ID, *event)
        parked_id = await connection.fetchval(PARKED)
        await connection.execute(REFERENCE, "payment", "pi_later", None)
        await connection.execute(
            "insert into parked_refs (provider, account, merchant_account, livemode, kind, ref, parked_id)"
            " values ('stripe', '', '', true, 'payment', 'pi_later', $1)",
            parked_id,
        )
        return [
            await connection.fetchval(LETTER, 1, HOSTILE_BODY, "evt_bad", HOSTILE, "unknown_kind", f"{HOSTILE} is new"),
            await connection.fetchval(LETTER, 2, b"\xff\x00", "evt_worse", "unknown", "undecodable", "no JSON"),
        ]


async def add_letter(connection: Any, reason: str) -> int:
    """Put one more open letter into the database; return its id."""
    body = uuid.uuid4().hex.encode()
    offset = int(uuid.uuid4().int % 10**9) + 10
    letter_id = await connection.fetchval(LETTER, offset, body, body.decode(), "charge.succeeded", reason, "why")
    return int(letter_id)


async def add_applicable(connection: Any, reason: str) -> int:
    """Put an open letter into the database that would be applied now; return its id."""
    event = webhook("payment.created", f"pay_{uuid.uuid4().hex}")
    names, values = [name.encode() for name, _ in event.headers], [value for _, value in event.headers]
    letter_id = await connection.fetchval(APPLICABLE, int(uuid.uuid4().int % 10**9) + 10, event.key, event.value, names,
                                          values, event.event_id, reason)  # fmt: skip
    return int(letter_id)


async def status_of(connection: Any, letter_id: int) -> str:
    """Return the status of a letter."""
    return str(await connection.fetchval("select status from dead_letters where id = $1", letter_id))


async def process_one_more(connection: Any, number: int) -> None:
    """Let the ledger take in one more event of the payment."""
    event = (f"evt_more_{number}", "charge.updated", "noop", "captured", "captured", None, None, "[]", "0 s")
    await connection.execute(LEDGER, PAYMENT_ID, *event)


@pytest.fixture(scope="module")
async def place(stack: Endpoints, template_database: str) -> AsyncIterator[Database]:
    """Give all tests of a module one migrated database: they only look, or act on letters of their own."""
    name, role = f"test_{uuid.uuid4().hex[:12]}", role_of(stack.owner_dsn)
    await run_as_superuser(stack, f"create database {name} template {template_database} owner {role}")
    yield Database(with_database(stack.dsn, name), with_database(stack.owner_dsn, name))
    await run_as_superuser(stack, f"drop database if exists {name} with (force)")


@pytest.fixture(scope="module")
async def owner(place: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Give a connection of the owner to the module's database."""
    connection = await asyncpg.connect(place.owner_dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def letters(owner: Any) -> list[int]:
    """Fill the module's database; give the ids of its two letters."""
    return await fill(owner)
