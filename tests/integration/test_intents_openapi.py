"""The served OpenAPI document against a running ingress: schemathesis, all checks, stateful links, bounded."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from profiles import EXAMPLES, REQUESTS, chosen
from running_intents import KEYS, open_api

if TYPE_CHECKING:
    from running_intents import Api

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SCHEMATHESIS = Path(sys.executable).with_name("st")


async def schemathesis(api: Api, folder: Path) -> tuple[int, str]:
    """Run it in a process of its own; return its exit status and what it wrote."""
    arguments = [
        *("run", f"{api.url}/openapi.json", "--url", api.url, "--header", f"Authorization: Bearer {KEYS['shop']}"),
        *("--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing,stateful"),
        *("--max-examples", str(EXAMPLES[chosen()][REQUESTS]), "--seed", "20261123", "--workers", "2"),
        *("--generation-database", "none"),
        *("--request-timeout", "10", "--warnings", "off", "--no-color", "--continue-on-failure"),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "intents_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    process = await asyncio.create_subprocess_exec(
        SCHEMATHESIS,
        *arguments,
        cwd=folder,
        env=os.environ | hooks,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    reported, _ = await process.communicate()
    return process.returncode or 0, reported.decode()


async def test_the_ingress_keeps_what_its_document_promises(stack: Any, database: Any, tmp_path: Path) -> None:
    async with open_api(stack.kafka, database.dsn) as api:
        status, reported = await schemathesis(api, tmp_path)
    assert status == 0, reported
    for phase in ("Coverage", "Fuzzing", "Stateful"):
        assert phase in reported, reported
