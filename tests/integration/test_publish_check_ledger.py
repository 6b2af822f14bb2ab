"""`ratchet publish --check --ledger`: what a record would do now, and that looking changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import BatchHarness, batch_harness, command, intent, intent_records
from typer.testing import CliRunner

from ops.cli import app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from conftest import Database
    from consumer_harness import Event

    Check = Callable[[Event], Awaitable[dict[str, Any]]]

pytestmark = pytest.mark.integration


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


@pytest.fixture
def check(stack: Any, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    for name in [name for name in os.environ if name.startswith("RATCHET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RATCHET_KAFKA__BOOTSTRAP", stack.kafka)
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", database.dsn)

    async def run(event: Event) -> dict[str, Any]:
        (tmp_path / "record").write_bytes(event.value or b"")
        words = ["publish", "--check", str(tmp_path / "record"), "--ledger", "--json"]
        headers = [f"{name}={(value or b'').decode()}" for name, value in event.headers]
        words += [word for header in headers for word in ("--header", header)]
        found = await asyncio.to_thread(CliRunner().invoke, app, words)
        return dict(json.loads(found.stdout))

    return run


async def test_it_says_what_the_record_would_do_now(harness: BatchHarness, check: Check) -> None:
    promised = uuid.uuid4()
    create, refund = intent(promised), command(promised, "refund", amount=5)
    before = await harness.tables()
    assert (await check(create))["would"] == "apply"
    waits = await check(refund)
    assert (waits["would"], waits["outcome"]) == ("orphan", "parked")
    assert await harness.tables() == before
    await harness.process(intent_records([create]))
    assert (await check(create))["would"] == "noop"
    assert (await check(refund))["would"] == "noop"
    stranger = await check(command(promised, "refund", client="mall"))
    assert (stranger["would"], stranger["outcome"]) == ("illegal", "conflict")
