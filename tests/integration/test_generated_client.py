"""A client made from the served OpenAPI document by openapi-python-client, in an environment of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from running_ingress import signature
from running_intents import KEYS, open_api

if TYPE_CHECKING:
    from running_intents import Api

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).parent / "generated_client_child.py"
GENERATOR = "openapi-python-client==0.29.1"
NEEDED = ("httpx", "attrs", "python-dateutil")
"""What generated packages import."""
EVENT = {
    "id": "evt_9",
    "type": "payment_intent.succeeded",
    "data": {"object": {"id": "pi_9", "object": "payment_intent"}},
}


def uv(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run uv, with nothing of this checkout to be found by what it runs."""
    found = next(iter(ROOT.glob(".ratchet/tools/uv-*/bin/uv")), None)
    if found is None:
        pytest.skip("uv is not there: `make setup` installs it")
    dropped = ("RATCHET_", "PYTHON", "COV_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return subprocess.run(
        [found, *words], cwd=cwd, env=kept | variables, capture_output=True, text=True, check=False, timeout=200
    )


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the generator once it can be run; skips where no package index has it."""
    done = uv("tool", "run", GENERATOR, "--version", cwd=tmp_path_factory.mktemp("generator"))
    if done.returncode:
        pytest.skip(f"the package index gives no {GENERATOR}: {done.stderr[-300:]}")
    return GENERATOR


def generated(generator: str, document: bytes, folder: Path) -> None:
    (folder / "openapi.json").write_bytes(document)
    words = ("generate", "--path", "openapi.json", "--meta", "none", "--output-path", "ratchet_ingress_client")
    done = uv("tool", "run", generator, *words, "--fail-on-warning", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_exported_document_makes_a_client_without_a_warning(generator: str, tmp_path: Path) -> None:
    generated(generator, (ROOT / "schemas" / "exported" / "openapi.json").read_bytes(), tmp_path)
    made = {path.stem for path in (tmp_path / "ratchet_ingress_client" / "api" / "default").glob("[a-z]*.py")}
    assert {"create_intent", "get_intent", "post_webhook", "post_mpesa_account_webhook"} <= made


async def test_a_generated_client_makes_an_intent_reads_the_payment_and_posts_a_webhook(
    generator: str, stack: Any, database: Any, tmp_path: Path
) -> None:
    async with open_api(stack.kafka, database.dsn) as api:
        reported = await asyncio.to_thread(played, generator, api, tmp_path)
    made = reported["made"]
    assert (made["status"], made["amount"], made["reference"]) == ("created", 1250, "ORD-9")
    assert reported["replayed"] == [made, "true"]
    assert (reported["read"]["id"], reported["read"]["amount"], reported["read"]["status"]) == (
        made["id"],
        1250,
        "created",
    )
    assert [one["id"] for one in reported["found"]] == [made["id"]]
    assert (reported["refund"][0], reported["refund"][1]["type"]) == (409, "urn:ratchet:problem:state-forbids")
    assert (reported["stranger"]["status"], reported["stranger"]["type"]) == (
        401,
        "urn:ratchet:problem:unauthenticated",
    )
    assert reported["webhook"] == [202, {"accepted": 1}]
    assert (reported["forged"][0], reported["forged"][1]["type"]) == (401, "urn:ratchet:problem:signature-rejected")


def played(generator: str, api: Api, folder: Path) -> dict[str, Any]:
    """Make the client of what the ingress serves; return what the child was answered."""
    with urllib.request.urlopen(f"{api.url}/openapi.json", timeout=30) as answer:
        generated(generator, answer.read(), folder)
    event = json.dumps(EVENT)
    proof = signature(event.encode())["Stripe-Signature"]
    words = ("run", "--no-project", "--isolated", "--python", sys.executable, *(f"--with={one}" for one in NEEDED))
    done = uv(*words, "python", CHILD, api.url, KEYS["shop"], proof, event, cwd=folder, PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr
    reported: dict[str, Any] = json.loads(done.stdout)
    return reported
