"""What strangers write into every free text field: none of it is obeyed, by whatever command or page it is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from console_harness import console_settings, place, serving
from test_console_pages import Browser

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.stack import Endpoints
    from tests.conftest import Database

__all__ = ["place"]
pytestmark = pytest.mark.integration

OBEYED = "\x1b[2J|\x1b]0;mine\x07|\x1bP1$q\x1b\\\\|\x9b31m|\x9d8;;http://evil.example\x9c|\x7f|\x08|\r|\u202egnp.exe|\u2066|\u061c"
"""ESC with CSI, OSC and DCS; the same as one C1 character; DEL, BS, CR; marks that turn the direction of text."""
FORBIDDEN = set("\x1b\x07\x08\r\x7f\x9b\x9c\x9d\u202e\u2066\u061c")
MARKUP = "[red]x[/red] [link=http://evil.example]y[/link]"
PAYMENT_ID = UUID("0190abcd-0000-7000-8000-0000000000ab")


def hostile(name: str) -> str:
    return f"{name}{OBEYED}{MARKUP}"


async def fill(dsn: str) -> int:
    """Fill every free text field with what a terminal obeys; return the dead letter's id."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(
                """insert into payments (id, provider, account, merchant_account, provider_ref, client, reference,
                status, refund_status, dispute_status, currency, amount, authorized, captured, refunded, disputed,
                version, facts, metadata, head_hash, head_xid, created_at, updated_at, phone)
                values ($1, 'stripe', '', $2, $3, 'shop', $4, 'captured', 'none', 'none', 'EUR', 1250, 1250, 1250, 0, 0,
                1, '{}', jsonb_build_object($2::text, $4::text), '', 0, now(), now(), null)""",
                PAYMENT_ID, hostile("merchant"), hostile("pi"), hostile("ORD"),
            )  # fmt: skip
            for kind, ref in (("payment", hostile("pi")), ("reference", hostile("ORD")), ("charge", "ch_1")):
                await connection.execute(
                    """insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
                    values ('stripe', '', $4, true, $1, $2, $3)""", kind, ref, PAYMENT_ID, hostile("merchant"),
                )  # fmt: skip
            await connection.execute(
                """insert into payment_logs (payment_id, source, event_id, event_type, outcome, from_status, to_status,
                amount, version, facts, topic, partition, "offset", occurred_at, recorded_at, relay_xid, hash)
                values ($1, 'stripe', $2, $3, 'applied', 'created', 'captured', 1250, 1, $4::text::jsonb,
                'payments.webhooks', 0, 7, now(), now(), 1, sha256('x'))""",
                PAYMENT_ID, hostile("evt"), hostile("charge.succeeded"),
                '[["capture","pi_1",["succeeded",1250]]]',
            )  # fmt: skip
            await connection.execute(
                """insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition,
                "offset", timestamp_ms, header_names, header_values, parked_at, deadline)
                values ('stripe', $1, $2, 'orphan', $3, '[]', 'payments.webhooks', 0, 9, 1, '{}', '{}', now(),
                now() + interval '2 days')""",
                hostile("evt"), hostile("charge.refunded"), hostile("no payment"),
            )  # fmt: skip
            found = await connection.fetchval(
                """insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, key, value, header_names,
                header_values, source, event_id, event_type, payment_ref, reason, message, relay_xid, created_at)
                values ('payments.webhooks', 0, 1, sha256($1), 1, $1, $1, array[$1::bytea], array[$1::bytea], 'stripe',
                $2, $3, $4, 'undecodable', $5, 1, now()) returning id""",
                hostile("value").encode(), hostile("evt"), hostile("kind"), hostile("pi"), hostile("why"),
            )  # fmt: skip
            return int(found)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def letter(place: Database) -> int:
    return await fill(place.owner_dsn)


@pytest.fixture
def run(stack: Endpoints, place: Database, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    own = {
        "RATCHET_HOME": str(tmp_path),
        "RATCHET_KAFKA__BOOTSTRAP": stack.kafka,
        "RATCHET_POSTGRES__DSN": place.dsn,
        "COLUMNS": "1000",
    }

    def call(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "ops.cli", *words],
            env=kept | own,
            capture_output=True,
            timeout=60,
            check=False,
        )

    return call


@pytest.mark.slow
@pytest.mark.timeout(300)  # 18 processes, one after the other
async def test_no_command_lets_a_terminal_obey_what_was_sent(letter: int, run: Any) -> None:
    commands = (
        ("payment", "show", "ch_1"),
        ("payment", "show", hostile("ORD")),
        ("payment", "show", hostile("nobody")),
        ("dlq", "list"),
        ("dlq", "show", str(letter)),
        ("dlq", "show", str(letter), "--raw", "--because", "a test"),
        ("dlq", "redrive", "--dry-run"),
        ("audit", "verify"),
        ("status",),
    )
    for words in commands:
        for more in ((), ("--json",)):
            done = run(*words, *more)
            shown = (done.stdout + done.stderr).decode()
            assert not set(shown) & FORBIDDEN, (words, more)
            assert b"Traceback" not in done.stderr, (words, more)
            if words[:2] in {("payment", "show"), ("dlq", "show")} and not more:
                assert "[link=http://evil.example]" in shown, (words, "markup is text")


async def test_no_page_of_the_console_holds_one(stack: Endpoints, place: Database, letter: int, tmp_path: Path) -> None:
    settings = console_settings(tmp_path, stack.kafka, place.dsn)
    paths = (
        "/", "/payments", f"/payments/{PAYMENT_ID}", "/payments?q=%1b%5b2J%c2%9b%e2%80%ae", "/dead-letters",
        f"/dead-letters/{letter}", "/parked", "/redrives", "/ledger",
    )  # fmt: skip
    async with serving(settings) as console, Browser(console) as browser:
        for path in paths:
            status, text = await browser.get(path)
            assert status == (404 if "?q=" in path else 200), path
            assert not set(text) & FORBIDDEN, path
