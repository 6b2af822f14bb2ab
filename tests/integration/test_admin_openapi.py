"""The description of /admin/v1 against a running console: schemathesis, few examples of each operation."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from profiles import EXAMPLES, REQUESTS, chosen

from ops import people, tokens
from ops.operators import Operator
from ops.people import PersonRole
from tests.integration.console_harness import PASSWORD, console_settings, fill, serving

if TYPE_CHECKING:
    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SCHEMATHESIS = Path(sys.executable).with_name("st")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"
FAR = 987_654_321_012
"""The number of the token that asks: none that is made up, so that it does not take itself back."""


async def schemathesis(url: str, token: str, folder: Path) -> tuple[int, str]:
    """Run it in a process of its own; return its exit status and what it wrote."""
    arguments = [
        *("run", f"{url}/admin/v1/openapi.json", "--url", url, "--header", f"Authorization: Bearer {token}"),
        *("--checks", CHECKS, "--mode", "all", "--phases", "examples,fuzzing"),
        *("--max-examples", str(EXAMPLES[chosen()][REQUESTS]), "--seed", "20261123", "--workers", "2"),
        *("--generation-database", "none", "--request-timeout", "30", "--warnings", "off", "--no-color"),
        "--continue-on-failure",
        "--suppress-health-check=too_slow",  # a body without other fields is drawn more slowly, also on a full machine
    ]
    process = await asyncio.create_subprocess_exec(
        SCHEMATHESIS,
        *arguments,
        cwd=folder,
        env=os.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    reported, _ = await process.communicate()
    return process.returncode or 0, reported.decode()


async def test_it_keeps_what_its_description_promises(stack: Endpoints, database: Database, tmp_path: Path) -> None:
    owner, terminal = await asyncpg.connect(database.owner_dsn), await asyncpg.connect(database.dsn)
    await fill(owner)
    await owner.execute(f"alter table operator_tokens alter column id restart with {FAR}")
    boss = Operator("boss@host")
    await people.add(terminal, boss, "ada", PersonRole.ADMIN, 1)
    await terminal.execute("update operators set one_time_until = null")
    token = (await tokens.issue(terminal, boss, "ada", PersonRole.ADMIN, 1)).token
    async with serving(console_settings(tmp_path, stack.kafka, database.dsn, password=PASSWORD)) as console:
        status, reported = await schemathesis(console.url, token, tmp_path)
    assert status == 0, reported
    assert "Fuzzing" in reported, reported
    await owner.close()
    await terminal.close()
