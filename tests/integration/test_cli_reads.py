"""The commands that read: what they print of a payment and of a dead letter that really stand in a database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.stack import Endpoints

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.integration

MAIN = UUID("0190abcd-0000-7000-8000-000000000001")
MERGED = UUID("0190abcd-0000-7000-8000-000000000002")
PAYMENT = """
insert into payments (id, provider, account, provider_ref, reference, merged_into, status, refund_status,
    dispute_status, currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid,
    created_at, updated_at)
values ($1, 'stripe', '', $2, $3, $4, 'captured', 'none', 'none', 'EUR', 1250, 1250, 1250, 0, 0, 1, '{}', '', 0,
    now(), now())
"""
REFERENCE = """
insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
values ('stripe', '', '', true, $1, $2, $3)
"""
LEDGER = """
insert into payment_logs (payment_id, source, event_id, event_type, outcome, from_status, to_status, amount, version,
    facts, topic, partition, "offset", occurred_at, recorded_at, relay_xid, hash)
values ($1, 'stripe', $2, $3, 'applied', $4, $5, 1250, $6, '[]', 'payments.webhooks', 0, 7, now(), now(), 1,
    sha256($2::text::bytea))
"""
LETTER = """
insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values,
    source, event_id, event_type, payment_ref, reason, message, status, relay_xid, created_at)
values ('payments.webhooks', 0, $1, sha256($2), 1, null, $2, '{ce_id}', '{evt}', $3, 'evt', 'x', 'pi_1', $4, 'why', $5,
    1, $6::text::timestamptz)
returning id
"""


@pytest.fixture
async def run(stack: Endpoints, database: Any, tmp_path: Any) -> Run:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    own = {
        "RATCHET_HOME": str(tmp_path),
        "RATCHET_KAFKA__BOOTSTRAP": stack.kafka,
        "RATCHET_POSTGRES__DSN": database.dsn,
        "RATCHET_REDIS__URL": stack.redis,
    }
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        await _fill(connection)
    finally:
        await connection.close()
    return lambda *words: subprocess.run(
        [sys.executable, "-P", "-m", "ops.cli", *words],
        env=kept | own, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def _fill(connection: Any) -> None:
    async with connection.transaction():
        await connection.execute(PAYMENT, MAIN, "pi_1", "ORD-1", None)
        await connection.execute(PAYMENT, MERGED, "pi_2", None, MAIN)
        names = (("payment", "pi_1"), ("charge", "ch_1"), ("reference", "ORD-1"))
        for kind, ref in names:
            await connection.execute(REFERENCE, kind, ref, MAIN)
        await connection.execute(REFERENCE, "payment", "pi_2", MERGED)
        await connection.execute(LEDGER, MERGED, "evt_1", "payment_intent.created", None, "created", 1)
        await connection.execute(LEDGER, MAIN, "evt_2", "charge.succeeded", "created", "captured", 1)
        letters = (
            (1, b"\xff", "stripe", "undecodable", "open", "2026-01-01T00:00Z"),
            (2, b"{}", "adyen/acme", "orphan", "redriven", "2026-02-01T00:00Z"),
            (3, b"{}", "stripe", "orphan", "open", "2026-03-01T00:00Z"),
        )
        for letter in letters:
            await connection.execute(LETTER, *letter)


@pytest.mark.parametrize("ref", [str(MAIN), str(MAIN).upper(), "pi_1", "ch_1", "ORD-1", "pi_2", str(MERGED)])
def test_a_payment_is_found_by_every_name_and_through_its_merge(run: Run, ref: str) -> None:
    result = run("payment", "show", ref, "--json")
    document = json.loads(result.stdout)
    assert result.returncode == 0
    assert document["payment"]["id"] == str(MAIN)
    assert document["payment"]["captured"] == 1250
    assert [row["event_id"] for row in document["timeline"]] == ["evt_1", "evt_2"]
    assert len(document["timeline"][0]["hash"]) == 64
    assert set(document) == {"payment", "timeline"}


def test_a_payment_as_people_read_it(run: Run) -> None:
    shown = run("payment", "show", "ch_1").stdout
    assert "12.50 EUR" in shown
    assert "created -> captured" in shown
    assert "charge.succeeded" in shown


def test_an_unknown_payment(run: Run) -> None:
    result = run("payment", "show", "pi_nobody", "--json")
    assert (result.returncode, result.stdout) == (1, "")
    assert "pi_nobody" in result.stderr


@pytest.mark.parametrize(
    ("words", "offsets"),
    [
        ((), [3, 2, 1]),
        (("--reason", "orphan"), [3, 2]),
        (("--provider", "adyen"), [2]),
        (("--payment", "pi_1", "--limit", "2"), [3, 2]),
        (("--since", "2026-02-01", "--until", "2026-03-01"), [2]),
        (("--status", "open"), [3, 1]),
        (("--id", "999"), []),
    ],
)
def test_dlq_list_filters(run: Run, words: tuple[str, ...], offsets: list[int]) -> None:
    document = json.loads(run("dlq", "list", "--json", *words).stdout)
    assert [letter["offset"] for letter in document["dead_letters"]] == offsets
    assert document["total"] == (3 if "--limit" in words else len(offsets))
    for letter in document["dead_letters"]:
        keys = {"id", "topic", "partition", "offset", "reason", "status", "redrive_count", "created_at"}
        assert set(letter) >= keys


def test_dlq_show(run: Run) -> None:
    letter_id = json.loads(run("dlq", "list", "--json", "--reason", "undecodable").stdout)["dead_letters"][0]["id"]
    document = json.loads(run("dlq", "show", str(letter_id), "--json").stdout)
    assert document["payload"] == {"form": "bytes", "text": "\ufffd", "bytes_total": 1, "cut": False}
    assert document["headers"] == [["ce_id", "evt"]]
    refused = run("dlq", "show", str(letter_id), "--raw", "--json")
    assert (refused.returncode, refused.stdout) == (2, "")
    raw = json.loads(run("dlq", "show", str(letter_id), "--raw", "--because", "ticket 7", "--json").stdout)
    assert raw["value_base64"] == "/w=="
    assert "undecodable" in run("dlq", "show", str(letter_id)).stdout
    assert run("dlq", "show", "99999").returncode == 1


def test_migrate_status(run: Run) -> None:
    result = run("migrate", "status", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["migrations"][0]["state"] == "applied"
    assert run("migrate", "up").returncode == 2, "the owner's DSN is not set here"
