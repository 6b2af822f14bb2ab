"""The Python client installed alone: a wheel in an environment of its own, where nothing of Ratchet can be imported."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from client_builds import ROOT, Client
from client_runs import ended, readers_database, running
from consumer_harness import until
from test_clients import everything, payment, send, topics

if TYPE_CHECKING:
    from runtime.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

OURS = {"schemas", "providers", "runtime", "producers", "consumer", "ops", "migrations"}
PAYMENTS, VERSIONS = 12, 4
BROKEN, FLAKY = 3, 5
"""Payments by number: one whose second change no handler takes, one whose second change is taken at the third try."""
HANDLERS = f"""
import asyncio, json, os, pathlib, uuid

SEEN = pathlib.Path(os.environ["SEEN"])
PAUSE = float(os.environ.get("PAUSE", "0"))


def note(kind, payment, **more):
    with SEEN.open("a") as file:
        file.write(json.dumps([kind, uuid.UUID(payment.payment_id).int, payment.version]) + "\\n")


async def on_captured(payment):
    number = uuid.UUID(payment.payment_id).int
    note("captured", payment)
    tries = SEEN.read_text().count(json.dumps(["captured", number, payment.version]))
    if (number, payment.version) == ({BROKEN}, 2) or (number == {FLAKY} and payment.version == 2 and tries < 3):
        raise RuntimeError("the shop is closed")


async def on_change(payment, connection=None):
    await asyncio.sleep(PAUSE)
    if connection is not None:
        await connection.execute("insert into effects values ($1, $2)", payment.payment_id, payment.version)
    note("change", payment)
"""


def run(*words: str | Path, cwd: Path, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RATCHET_", "PYTHON", "COV_"))}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd, env=kept | variables, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return the command of a client that was installed from its wheel, with its `postgres` extra and nothing else."""
    folder = tmp_path_factory.mktemp("größe")
    uv = next(iter(ROOT.glob(".ratchet/tools/uv-*/bin/uv")), None)
    if uv is None:
        pytest.skip("uv is not there: `make setup` installs it")
    words = ("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder / "dist")
    run(uv, *words, ROOT / "clients" / "python", cwd=folder, VIRTUAL_ENV=sys.prefix)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    run(uv, "pip", "install", "--quiet", f"{wheel}[postgres]", cwd=folder, VIRTUAL_ENV=str(folder / "venv"))
    return Client("python", (str(folder / "venv" / "bin" / "ratchet-client"),))


def handlers(folder: Path, **variables: str) -> tuple[Client, Path, Path]:
    """Write the handlers; return what a client's variables are made of: where they stand, and what they saw."""
    file, seen = folder / "handlers.py", folder / "seen.jsonl"
    file.write_text(HANDLERS)
    seen.touch()
    return Client("python", (), {"SEEN": str(seen), **variables}), file, seen


def saw(seen: Path) -> list[tuple[str, int, int]]:
    return [tuple(json.loads(line)) for line in seen.read_text().splitlines()]


def test_nothing_of_ratchet_is_installed_or_imported(alone: Client, tmp_path: Path) -> None:
    python = Path(alone.words[0]).with_name("python")
    probe = (
        "import importlib, pkgutil, sys, json; import ratchet_client;"
        "[importlib.import_module(m.name) for m in pkgutil.iter_modules(ratchet_client.__path__, 'ratchet_client.')];"
        "from importlib.metadata import distributions;"
        "print(json.dumps([sorted({n.split('.')[0] for n in sys.modules}), sorted(d.name for d in distributions())]))"
    )
    imported, installed = json.loads(run(python, "-c", probe, cwd=tmp_path))
    assert OURS & set(imported) == set()
    assert "ratchet-client" in installed
    assert "ratchet-payments" not in installed
    assert {"execute", "react", "read", "publish"} <= set(run(alone.words[0], "--help", cwd=tmp_path).replace(",", " ")
                                                          .replace("{", " ").replace("}", " ").split())  # fmt: skip


async def test_handlers_run_in_order_a_payment_with_retries_and_dead_letters(
    alone: Client, stack: Endpoints, topic_prefix: str, tmp_path: Path
) -> None:
    reported, file, seen = handlers(tmp_path)
    app = Client("python", alone.words, reported.variables)
    changes = [payment(number, version, from_status="authorized")
               for version in range(1, VERSIONS + 1) for number in range(1, PAYMENTS + 1)]  # fmt: skip
    dead = f"{topic_prefix}dead"
    words = ("react", "--bootstrap", stack.kafka, "--prefix", topic_prefix, "--group", f"{topic_prefix}shop",
             "--dead-letters", dead, str(file))  # fmt: skip
    async with topics(stack.kafka, f"{topic_prefix}changes", dead):
        await send(stack.kafka, f"{topic_prefix}changes", changes)
        async with running(app, *words) as reactor:

            async def all_seen() -> bool:
                handled = {one for one in saw(seen) if one[0] == "change"}
                return len(handled) == PAYMENTS * VERSIONS - 1

            await until(all_seen, "all but the broken one are handled", 90.0)
            assert (await ended(reactor))[0] == 0
        [letter] = await everything(stack.kafka, dead)
    tried = saw(seen)
    assert tried.count(("captured", BROKEN, 2)) == 5
    assert tried.count(("captured", FLAKY, 2)) == 3
    for number in range(1, PAYMENTS + 1):
        versions = [version for kind, one, version in tried if kind == "change" and one == number]
        assert versions == [v for v in range(1, VERSIONS + 1) if (number, v) != (BROKEN, 2)]
    assert json.loads(letter.value) == next(one for one in changes if one["event_id"] == f"evt_{BROKEN}_2")
    assert dict(letter.headers)["__dlq.errors.message"] == b"RuntimeError: the shop is closed"


async def test_with_a_database_handlers_write_once_whenever_they_are_killed(
    alone: Client, stack: Endpoints, topic_prefix: str, tmp_path: Path
) -> None:
    import asyncpg

    reported, file, seen = handlers(tmp_path, PAUSE="0.05")
    app = Client("python", alone.words, reported.variables)
    numbers = list(range(10, 50))
    changes = [payment(number, version, from_status="captured") for version in (1, 2, 3) for number in numbers]
    async with topics(stack.kafka, f"{topic_prefix}changes"), readers_database(stack) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("create table effects (payment uuid, version bigint)")
        words = ("react", "--bootstrap", stack.kafka, "--prefix", topic_prefix, "--group", f"{topic_prefix}shop",
                 "--dead-letters", f"{topic_prefix}dead", "--dsn", dsn, str(file))  # fmt: skip
        await send(stack.kafka, f"{topic_prefix}changes", changes)

        async def effects() -> int:
            return int(await connection.fetchval("select count(*) from effects"))

        for enough in (15, 60, len(changes)):
            async with running(app, *words) as reactor:
                await until(lambda enough=enough: _at_least(effects, enough), f"{enough} effects", 90.0)  # type: ignore[misc]
                reactor.send_signal(signal.SIGKILL)
                await reactor.wait()
        found = await connection.fetch("select payment, version, count(*) as n from effects group by 1, 2")
        await connection.close()
    assert len(found) == len(changes)
    assert {row["n"] for row in found} == {1}
    assert len(saw(seen)) >= len(changes)


async def _at_least(count: Any, enough: int) -> bool:
    await asyncio.sleep(0)
    return bool(await count() >= enough)
