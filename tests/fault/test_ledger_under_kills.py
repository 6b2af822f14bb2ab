"""`kill -9` of every role and of the brokers while webhooks come in: the ledger balances afterwards."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

RATCHET = (sys.executable, "-P", "-m", "ops.cli")
SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
WAIT_SECONDS = 120.0
ROUNDS = 1
LINES_MAX = 20


def environment(home: Path, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    free = {"RATCHET_INGRESS__BIND": "127.0.0.1:0", "RATCHET_CONSOLE__BIND": "127.0.0.1:0"}
    return kept | free | {"RATCHET_HOME": str(home)} | changes


@contextmanager
def running(home: Path, *words: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*RATCHET, "up", *words],
        env=environment(home, **changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def pid_of(home: Path, role: str) -> int | None:
    """Return the pid of a role that serves, by its run file."""
    try:
        pid = int(json.loads((home / "run" / f"{role}.json").read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None
    return pid if psutil.pid_exists(pid) else None


def kill_and_await(process: subprocess.Popen[str], home: Path, role: str) -> bool:
    """Kill a role and wait for its successor; False where `up` is done meanwhile."""
    pid = wait_until(lambda: pid_of(home, role) or process.poll() is not None, within_seconds=WAIT_SECONDS)
    if process.poll() is not None:
        return False
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid_of(home, role) not in (None, pid) or process.poll() is not None, within_seconds=WAIT_SECONDS)
    return process.poll() is None


def posted(home: Path) -> int:
    """Return how many requests the ingress has answered, by its canonical lines."""
    log = home / "log" / "ingress.log"
    return log.read_text().count('"status":202') if log.exists() else 0


def balanced(process: subprocess.Popen[str], home: Path) -> dict[str, Any]:
    out, reported = process.communicate(timeout=240)
    document: dict[str, Any] = json.loads(out)
    assert document["problems"] == [], f"{document['problems']}\n{reported}\n{warnings(home)}"
    assert (document["balanced"], process.returncode) == (True, 0)
    return document


def warnings(home: Path) -> str:
    """Return the last warnings and errors that each role logged: why something still waits stands there."""
    found = []
    for path in sorted((home / "log").glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()
        lines = [line for line in lines if '"level":"info"' not in line and '"logger":"aiokafka"' not in line]
        found.append("\n".join([path.name, *lines[-LINES_MAX:]]))
    return "\n".join(found)


def test_every_role_killed_under_load(tmp_path: Path) -> None:
    with running(tmp_path, "--once", "--json", RATCHET_SAMPLE__LIVES="900") as process:
        wait_until(lambda: posted(tmp_path) > 50, within_seconds=WAIT_SECONDS)
        kills = sum(
            kill_and_await(process, tmp_path, role) for _ in range(ROUNDS) for role in ("ingress", "consumer", "relay")
        )
        document = balanced(process, tmp_path)
    assert kills >= 3
    assert document["outcome"]["applied"] > 1000


def test_the_brokers_killed_under_load(tmp_path: Path) -> None:
    with running(tmp_path, "--once", "--json", RATCHET_SAMPLE__LIVES="900") as process:
        wait_until(lambda: posted(tmp_path) > 50, within_seconds=WAIT_SECONDS)
        for broker in ("kafka", "postgres", "redis"):
            reported = subprocess.run(
                [*RATCHET, "stack", "status", "--json"], env=environment(tmp_path), capture_output=True, check=False
            )
            pid = json.loads(reported.stdout)[broker]["pid"]
            if pid:
                os.kill(pid, signal.SIGKILL)
        document = balanced(process, tmp_path)
    assert document["outcome"]["dead_letters"] < 60  # the sample's own poison; an outage makes none


def post(address: str, body: bytes) -> int:
    """Post a body signed as Standard Webhooks has it; return the status."""
    stamp = str(int(time.time()))
    signed = f"msg_mib.{stamp}.".encode() + body
    digest = hmac.new(base64.b64decode(SECRET), signed, hashlib.sha256).digest()
    headers = {
        "webhook-id": "msg_mib",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    request = urllib.request.Request(f"http://{address}/webhooks/standard_webhooks", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


async def letters_of(bootstrap: str) -> list[Any]:
    consumer = AIOKafkaConsumer(
        "payments.dlq", bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=8 * 1024**2
    )
    await consumer.start()
    try:
        found: list[Any] = []
        deadline = time.monotonic() + WAIT_SECONDS
        while not found and time.monotonic() < deadline:
            fetched = await consumer.getmany(timeout_ms=500)
            found = [one for messages in fetched.values() for one in messages]
        return found
    finally:
        await consumer.stop()


async def test_a_body_of_exactly_1_mib_goes_all_the_way_to_the_dlq(tmp_path: Path) -> None:
    body = b"\x00\xff no JSON " + os.urandom(1024 * 1024 - 11)
    assert len(body) == 1024 * 1024
    secrets = json.dumps([f"whsec_{SECRET}"])
    with running(tmp_path, "--no-sample", RATCHET_PROVIDERS__STANDARD_WEBHOOKS__SECRETS=secrets):
        run_file = tmp_path / "run" / "ingress.json"
        address = wait_until(
            lambda: run_file.exists() and json.loads(run_file.read_text()).get("address"), within_seconds=WAIT_SECONDS
        )
        assert post(address, body) == 202
        reported = await asyncio.to_thread(
            subprocess.run, [*RATCHET, "stack", "env"], env=environment(tmp_path), capture_output=True, check=True
        )
        line = next(line for line in reported.stdout.decode().splitlines() if "KAFKA__BOOTSTRAP" in line)
        (letter,) = await letters_of(line.partition("=")[2].strip("'\""))
    assert letter.value == body
    headers = dict(letter.headers)
    assert headers["ratchet-dlq-reason"] == b"undecodable"
    assert headers["ce_id"] == b"msg_mib"
