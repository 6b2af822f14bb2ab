"""What the commands really print, held against the exported schemas of their answers."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import jsonschema_rs
import pytest
from typer.testing import CliRunner

from ops.audit import Audit, Broken
from ops.cli import app
from ops.documents import plain
from ops.payment_timeline import PaymentTimeline, answer
from ops.reconciliation import Reconciliation
from ops.status import RoleStatus, StatusReport
from schemas.cli_answers import ANSWERS, PaymentRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Run = Callable[..., Awaitable[tuple[int, Any]]]

EXPORTED = Path(__file__).parents[2] / "schemas" / "exported" / "json-schema"
PAYMENT = UUID("0190abcd-0000-7000-8000-000000000001")
ROWS = (
    """insert into payments (id, provider, account, provider_ref, reference, status, refund_status, dispute_status,
        currency, amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid, created_at,
        updated_at)
    values ($1, 'stripe', '', 'pi_1', null, 'captured', 'none', 'none', 'EUR', 1250, 1250, 1250, 0, 0, 1, '{}', '', 0,
        now(), now())""",
    """insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
    values ('stripe', '', '', true, 'payment', 'pi_1', $1)""",
    """insert into payment_logs (payment_id, source, event_id, event_type, outcome, from_status, to_status, amount,
        version, facts, topic, partition, "offset", occurred_at, recorded_at, relay_xid, hash)
    values ($1, 'stripe', 'evt_1', 'charge.captured', 'applied', null, 'captured', 1250, 1, '[]', 'payments.webhooks',
        0, 7, null, now(), 1, sha256('x'::bytea))""",
    """insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, key, value, header_names,
        header_values, source, event_id, event_type, payment_ref, reason, message, status, relay_xid, created_at)
    select 'payments.webhooks', 0, 1, sha256($1::uuid::text::bytea), 1, null, 'x'::bytea, '{}', '{}', null, null, null,
        null, 'undecodable', 'no JSON', 'open', 1, now()""",
)


def check(words: str, document: Any) -> None:
    name = words.replace(" --", "-").replace(" ", "-")
    schema = json.loads((EXPORTED / f"cli-{name}.json").read_text())
    errors = [
        f"{error.instance_path}: {error.message}" for error in jsonschema_rs.validator_for(schema).iter_errors(document)
    ]
    assert errors == [], words


@pytest.fixture
async def answers(stack: Any, database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        for statement in ROWS:
            await connection.execute(statement, PAYMENT)
    finally:
        await connection.close()
    for name in [name for name in os.environ if name.startswith("RATCHET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.setenv("RATCHET_KAFKA__BOOTSTRAP", stack.kafka)
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", database.dsn)
    monkeypatch.setenv("RATCHET_REDIS__URL", stack.redis)

    async def run(words: str, *more: str) -> tuple[int, Any]:
        """Run a command in a thread: it has a loop of its own."""
        found = await asyncio.to_thread(CliRunner().invoke, app, [*words.split(), *more, "--json"])
        return found.exit_code, json.loads(found.stdout)

    return run


@pytest.mark.integration
async def test_what_the_commands_print_fits_their_schemas(answers: Run) -> None:
    asked = ("status",), ("stack status",), ("payment show", "pi_1"), ("dlq list",), ("dlq redrive", "--dry-run")
    for words, *more in asked:
        _, document = await answers(words, *more)
        check(words, document)
    status, verified = await answers("audit verify")
    check("audit verify", verified)
    assert (status, verified["ok"]) == (1, False), "the row above has no true hash"
    assert verified["broken"]


@pytest.mark.unit
def test_answers_that_need_more_than_a_database() -> None:
    outcome = dict.fromkeys(("applied", "noop", "late", "conflict", "parked", "dead_letters", "hints"), 1)
    reconciliation = Reconciliation(
        posted=6, requests=6, outcome=outcome, duplicates=0, refused={"forged": 1}, problems=[]
    )
    check("up --once", reconciliation.document(seconds=1.0, problems_max=1))
    check("up --detach", {"pid": 7, "ingress": "http://127.0.0.1:8080", "console": None, "log": "/h/log/up.log"})
    check("down", {"stopped": False})
    noted = {"topic": "payments.intents", "would": "illegal", "outcome": "undecodable", "why": "no JSON", "says": None}
    check("publish --check", {**noted, "notes": []})
    absent = {"state": "absent", "pid": None, "address": None}
    stopped = {"state": "stopped", "pid": None, "address": "127.0.0.1:1"}
    check("stack status", {"kafka": stopped, "postgres": stopped, "redis": absent})
    counts = dict.fromkeys(("payments", "ledger", "parked", "dead_letters_open", "outbox", "spool"), 0)
    known = StatusReport([RoleStatus("ingress", 7)], {"payments.webhooks": 0}, {}, counts, [])
    check("status", json.loads(json.dumps(known.document())))
    check("status", json.loads(json.dumps(StatusReport([], {}, {}, {}, ["Postgres is away"]).document())))
    audit = Audit(broken_max=1, rows=1, ok=False, broken=[Broken(None, PAYMENT, "a hole")])
    check("audit verify", {"ok": audit.ok, "rows": audit.rows, "broken": [plain(asdict(one)) for one in audit.broken]})


@pytest.mark.unit
def test_half_known_counts_do_not_fit() -> None:
    with pytest.raises(AssertionError):
        check("status", {"roles": [], "lag": {}, "counts": {"payments": 1}})


@pytest.mark.unit
def test_every_answer_is_exported() -> None:
    assert len(list(EXPORTED.glob("cli-*.json"))) == len(ANSWERS)


@pytest.mark.unit
def test_one_payment_and_several_are_shown_alike() -> None:
    """A reference may name one payment or more: each is a payment and its timeline, an intent's with its attempts."""
    moment, hashed = "2026-01-01T00:00:00+00:00", "0" * 64
    row = dict.fromkeys(PaymentRow.model_fields) | {
        "id": str(PAYMENT), "provider": "stripe", "account": "", "merchant_account": "", "livemode": True,
        "status": "captured", "refund_status": "none", "dispute_status": "none", "amount": 1, "authorized": 1,
        "captured": 1, "refunded": 0, "disputed": 0, "flags": [], "version": 1, "created_at": moment,
        "updated_at": moment,
    }  # fmt: skip
    logged = {
        "id": 1, "payment_id": str(PAYMENT), "source": "stripe", "event_id": "evt_1", "event_type": "charge.captured",
        "outcome": "applied", "from_status": None, "to_status": "captured", "amount": 1, "version": 1,
        "occurred_at": None, "recorded_at": moment, "hash": hashed,
    }  # fmt: skip
    one, intent = PaymentTimeline(row, [logged]), PaymentTimeline(row, [logged], [row])
    for found in ([one], [intent], [one, intent]):
        check("payment show", answer(found))
    assert set(answer([one])) == {"payment", "timeline"}
    assert set(answer([intent])) == {"payment", "timeline", "attempts"}
    assert [set(shown) for shown in answer([one, intent])["payments"]] == [
        {"payment", "timeline"},
        {"payment", "timeline", "attempts"},
    ]
    with pytest.raises(AssertionError):
        check("payment show", {"payments": [row]})
