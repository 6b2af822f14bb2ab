"""Rows as a test wants them, and a session that reads tables as they lie.

An order that an index gives by itself is no statement's: there rows come as they were written, unless they are sorted.
"""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from filled_database import AS_THEY_LIE, filled_database
from written_rows import insert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOMENT = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
NUMBERS = itertools.count(1)
PLACE = {"topic": "payments.webhooks", "partition": 0, "offset": lambda: next(NUMBERS)}
RECORD = PLACE | {"timestamp_ms": 1, "key": b"key", "value": b"value", "header_names": [b"a"], "header_values": [b"b"]}
WHOLE: dict[str, dict[str, Any]] = {
    "payments": {
        "id": uuid.uuid4,
        "provider": "stripe",
        "account": "",
        "status": "created",
        "refund_status": "none",
        "dispute_status": "none",
        **dict.fromkeys(("amount", "authorized", "captured", "refunded", "disputed", "version", "head_xid"), 0),
        "facts": "{}",
        "head_hash": b"",
        "created_at": MOMENT,
        "updated_at": MOMENT + 400 * DAY,
    },
    "payment_logs": PLACE
    | {
        "source": "stripe",
        "event_id": lambda: f"evt_{next(NUMBERS)}",
        "event_type": "charge.captured",
        "outcome": "noop",
        "facts": "[]",
        "recorded_at": MOMENT,
        "relay_xid": 5,
        "hash": b"h" * 32,
    },
    "payment_refs": {"provider": "stripe", "account": "", "merchant_account": "", "livemode": True, "kind": "payment"},
    "reference_payments": {"provider": "stripe", "account": "", "livemode": True, "kind": "reference"},
    "parked_events": RECORD
    | {
        "source": "stripe",
        "event_id": lambda: f"evt_{next(NUMBERS)}",
        "event_type": "charge.captured",
        "reason": "orphan",
        "detail": "why",
        "facts": "[]",
        "parked_at": MOMENT,
        "deadline": MOMENT + DAY,
    },
    "parked_refs": {"provider": "stripe", "account": "", "merchant_account": "", "livemode": True, "kind": "payment"},
    "dead_letters": RECORD
    | {
        "digest": b"d" * 32,
        "source": "stripe",
        "event_id": "evt_1",
        "event_type": "charge.captured",
        "reason": "conflict",
        "message": "why",
        "relay_xid": 7,
        "created_at": MOMENT,
    },
    "discards": {"discarded_by": "alice", "because": "why"},
    "erased_letters": PLACE | {"digest": b"d" * 32},
    "redrives": {
        "requested_by": "alice",
        "filter": "{}",
        "rate_per_second": 1.0,
        "policy": "keep_going",
        "failure_ratio_max": 0.5,
        "failures_min": 1,
        "forced": False,
        "matched": 9,
        "selected": 9,
    },
    "redrive_messages": {"would": "apply"},
    "sms_transactions": {"to_number": "+491511234567", "template": "captured", "status": "delivered"},
    "commands": {
        "payment_id": uuid.uuid4,
        "attempt_id": uuid.uuid4,
        "command_id": lambda: f"command-{next(NUMBERS)}",
        "client": "shop",
        "command": "refund",
        "provider": "stripe",
        "account": "",
        "merchant_account": "",
        "livemode": True,
        "amount": 100,
        "currency": "EUR",
        "asked_at": MOMENT,
        "expires_at": MOMENT + DAY,
        "relay_xid": 5,
    },
    "spool": {"topic": "payments.intents", "value": b"value", "header_names": [], "header_values": []},
}
"""What a row of a table has where a test does not say otherwise: some that the table asks for are left to it."""
FIRST_ID = 1000
"""Of rows to which a table gives a number itself: below it each test has numbers of its own."""
BEGIN = f"""
select setval(pg_get_serial_sequence('public.' || table_name, column_name), {FIRST_ID})
from information_schema.columns where table_schema = 'public' and is_identity = 'YES';
{"".join(f"set {name} = {value};" for name, value in AS_THEY_LIE.items())}
"""


async def add(connection: asyncpg.Connection[Any], table: str, *, returning: str | None = "id", **chosen: Any) -> Any:
    """Make a row, also with an id of its own; return one of its columns."""
    row = {name: one() if callable(one) else one for name, one in (WHOLE.get(table, {}) | chosen).items()}
    written = await insert(connection, table, **row)
    return written[returning] if returning else None


@asynccontextmanager
async def lying_database(stack: Any, template: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Give a superuser's session on a database of its own that reads tables as they lie."""
    async with filled_database(stack, template, BEGIN) as connection:
        yield connection


@asynccontextmanager
async def lying(dsn: str, **settings: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Give a session that reads tables as they lie."""
    connection = await asyncpg.connect(dsn, server_settings=AS_THEY_LIE | settings)
    try:
        yield connection
    finally:
        connection.terminate()
