"""Dead letters of three reasons, made by webhooks at the ingress and redriven while relay and command line are killed.

What the dry run says of each letter is what becomes of it; each letter is redriven once; the ledger balances; run again
it does nothing. REDRIVE_LETTERS (300) says how many: 10,000 take about two minutes, and then the pace is measured too.
"""

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
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import psutil
import pytest
from consumer_harness import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

RATCHET = (sys.executable, "-P", "-m", "ops.cli")
SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
LETTERS = int(os.environ.get("REDRIVE_LETTERS", "300"))
PART = LETTERS // 3
RATE = max(50.0, LETTERS / 20)
MEASURED_FROM = 3000
"""Letters from which on the pace is measured: fewer are through before a busy machine is quiet."""
SOURCE = "standard_webhooks"
PARKED_SECONDS = 3
POSTS_AT_ONCE = 48


def junk(number: int) -> tuple[str, bytes]:
    return f"junk-{number}", b"no JSON, however it is read: %d" % number


def body(kind: str, payment: str, **more: Any) -> bytes:
    data = {"payment_id": payment, "amount": 500, "currency": "EUR", **more}
    return json.dumps({"type": kind, "data": data}).encode()


def odd(number: int) -> tuple[str, bytes]:
    return f"odd-{number}", body("payment.teleported", f"odd-{number}")


def orphan(number: int) -> tuple[str, bytes]:
    """Return a refund whose payment nobody has seen."""
    return f"orphan-{number}", body("refund.succeeded", f"late-{number}", id=f"r-{number}", amount=100)


def arrival(number: int) -> tuple[str, bytes]:
    """Return the capture that such a refund waits for."""
    return f"arrival-{number}", body("payment.captured", f"late-{number}", id=f"c-{number}")


async def post(address: str, events: Iterable[tuple[str, bytes]]) -> None:
    """Post events, signed as Standard Webhooks has it, until each is taken."""
    left = iter(list(events))
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(_post_all(session, address, left) for _ in range(POSTS_AT_ONCE)))


async def _post_all(session: aiohttp.ClientSession, address: str, left: Iterator[tuple[str, bytes]]) -> None:
    for event_id, value in left:
        stamp = str(int(time.time()))
        signed = f"{event_id}.{stamp}.".encode() + value
        digest = hmac.new(base64.b64decode(SECRET), signed, hashlib.sha256).digest()
        headers = {
            "webhook-id": event_id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
        async with session.post(f"http://{address}/webhooks/{SOURCE}", data=value, headers=headers) as answer:
            assert answer.status == 202, await answer.text()


class House:
    """The product as `ratchet up` runs it, and a connection to its database."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
        self._environment = kept | {
            "RATCHET_HOME": str(home),
            "RATCHET_INGRESS__BIND": "127.0.0.1:0",
            "RATCHET_CONSOLE__BIND": "127.0.0.1:0",
            "RATCHET_PARKING__DEADLINE_SECONDS": str(PARKED_SECONDS),
            "RATCHET_INGRESS__TWINS_KEPT_SECONDS": "0.1",
            "RATCHET_PROVIDERS__STANDARD_WEBHOOKS__SECRETS": json.dumps([f"whsec_{SECRET}"]),
        }
        self.connection: Any = None

    def begin(self, *words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen([*RATCHET, *words], env=self._environment, stdout=pipe, stderr=pipe, text=True)

    async def run(self, *words: str) -> tuple[int, Any]:
        """Run a command to its end; return its status and its document."""
        process = self.begin(*words, "--json")
        out, reported = await asyncio.to_thread(process.communicate, timeout=600)
        assert out, reported
        return process.returncode, json.loads(out)

    def run_file(self, role: str) -> dict[str, Any]:
        try:
            return dict(json.loads((self.home / "run" / f"{role}.json").read_text()))
        except (OSError, ValueError):
            return {}

    async def address(self) -> str:
        async def served() -> Any:
            return self.run_file("ingress").get("address") and self.run_file("relay")

        await until(served, "the roles serve", 120)
        return str(self.run_file("ingress")["address"])

    async def connect(self) -> None:
        process = self.begin("stack", "env")
        out, _ = await asyncio.to_thread(process.communicate, timeout=60)
        line = next(line for line in out.splitlines() if "POSTGRES__DSN" in line)
        self.connection = await asyncpg.connect(line.partition("=")[2].strip("'\""))

    async def count(self, query: str) -> int:
        return int(await self.connection.fetchval(f"select count(*) from {query}"))

    async def until_count(self, query: str, count: int) -> None:
        async def enough() -> bool:
            return await self.count(query) == count

        await until(enough, f"{count} of {query}", 60 + LETTERS / 50)

    async def kill_relay(self) -> None:
        pid = int(self.run_file("relay")["pid"])
        os.kill(pid, signal.SIGKILL)

        async def another() -> bool:
            found = self.run_file("relay").get("pid")
            return found not in (None, pid) and psutil.pid_exists(int(found))

        await until(another, "another relay", 60)

    async def fates(self) -> dict[int, str]:
        """Return what became of each letter that was redriven, read from the tables alone."""
        rows = await self.connection.fetch(
            """select d.id, r.reason, l.outcome, l.recorded_at < m.claimed_at as before
            from redrive_messages m join dead_letters d on d.id = m.dead_letter_id
            left join redrive_returns r using (redrive_id, dead_letter_id)
            left join payment_logs l using (source, event_id)
            where m.status = 'published'"""
        )
        return {row["id"]: fate(row) for row in rows}


def fate(row: Any) -> str:
    """Name what became of a letter; a refund that waited in vain came back as an orphan, for its deadline is short."""
    if row["reason"] is not None:
        return "orphan" if row["reason"] == "orphan" else "illegal"
    return "nothing" if row["outcome"] is None else "noop" if row["before"] or row["outcome"] == "noop" else "apply"


@pytest.fixture
async def house(tmp_path: Path) -> Any:
    made = House(tmp_path)
    process = made.begin("up", "--no-sample")
    try:
        yield made
    finally:
        if made.connection is not None:
            await made.connection.close()
        process.terminate()
        await asyncio.to_thread(process.communicate, timeout=90)


async def test_redrive_of_real_letters_killed_on_the_way(house: House) -> None:
    address = await house.address()
    await house.connect()
    events = [make(number) for make in (junk, odd, orphan) for number in range(PART)]
    await post(address, events)
    await house.until_count("dead_letters", 3 * PART)
    found = await house.connection.fetch("select reason, count(*) from dead_letters group by reason order by reason")
    assert [tuple(row) for row in found] == [("orphan", PART), ("undecodable", PART), ("unknown_kind", PART)]

    # As `dlq rebuild` takes them in: those that the consumer buried would be applied when their payments come.
    await house.connection.execute("delete from orphan_refs")
    arrived, delivered_again = range(PART * 2 // 3), range(PART // 3)
    await post(address, [arrival(number) for number in arrived])
    await house.until_count("payment_logs", len(arrived))
    await post(address, [orphan(number) for number in delivered_again])
    await house.until_count("payment_logs", len(arrived) + len(delivered_again))
    events += [arrival(number) for number in arrived]

    began = time.monotonic()
    status, seen = await house.run("dlq", "redrive", "--dry-run")
    print(f"dry run of {len(seen['messages'])} letters: {time.monotonic() - began:.1f} s, {seen['would']}")  # noqa: T201
    assert (status, seen["matched"], len(seen["messages"]), seen["published"]) == (0, 3 * PART, 3 * PART, 0)
    applied = len(arrived) - len(delivered_again)
    orphans = PART - len(arrived)
    assert seen["would"] == {
        "apply": applied, "noop": len(delivered_again), "illegal": 2 * PART, "orphan": orphans,
    }  # fmt: skip
    foreseen = {one["id"]: one["would"] for one in seen["messages"]}

    await keeps_its_pace(house)
    await survives_kills(house)

    await house.until_count("parked_events", 0)
    await house.until_count("redrive_returns", 2 * PART + orphans)
    fates = await house.fates()
    different = {letter: (fates.get(letter), would) for letter, would in foreseen.items() if fates.get(letter) != would}
    assert (different, len(fates)) == ({}, 3 * PART)
    await balances(house, events)

    status, again = await house.run("dlq", "redrive", "--yes", "--reason", "unknown_kind")
    assert (status, again["published"], again["redrive_id"]) == (0, 0, None)
    by_id = [word for letter in list(foreseen)[:50] for word in ("--id", str(letter))]
    status, again = await house.run("dlq", "redrive", "--yes", *by_id)
    assert (again["matched"], again["published"]) == (0, 0)


async def keeps_its_pace(house: House) -> None:
    """Redrive a third of the letters without any disturbance."""
    status, done = await house.run("dlq", "redrive", "--reason", "undecodable", "--yes", "--rate", str(RATE))
    assert (status, done["published"], done["status"]) == (0, PART, "done")
    seconds = await house.connection.fetchval(
        "select extract(epoch from max(m.published_at) - min(r.started_at))::float8 "
        "from redrive_messages m join redrives r on r.id = m.redrive_id where r.id = $1",
        done["redrive_id"],
    )
    print(f"pace: {PART} letters in {seconds:.2f} s, {PART / seconds:.1f} a second, asked for {RATE:g}")  # noqa: T201
    assert PART / seconds < 1.1 * RATE
    if LETTERS >= MEASURED_FROM:
        assert PART / seconds > 0.9 * RATE


async def survives_kills(house: House) -> None:
    """Redrive the others, and kill the relay twice and the command line once on the way."""
    cli = house.begin("dlq", "redrive", "--yes", "--rate", str(RATE), "--until", "2999-01-01", "--json")

    async def published() -> int:
        return await house.count("redrive_messages where status = 'published'")

    async def more_than(count: int) -> None:
        async def enough() -> bool:
            return await published() > count

        await until(enough, f"more than {count} are published", 120)

    await more_than(PART + PART // 4)
    await house.kill_relay()
    cli.kill()
    await asyncio.to_thread(cli.communicate)
    await more_than(PART + PART)
    await house.kill_relay()
    redrive_id = await house.connection.fetchval("select max(id) from redrives")
    began = await published()
    status, done = await house.run("dlq", "redrive", "--resume", str(redrive_id))
    assert (status, done["status"], done["published"], done["skipped"]) == (0, "done", 2 * PART, 0)
    print(f"killed at {began - PART} of {2 * PART}; resumed to the end")  # noqa: T201


async def balances(house: House, events: list[tuple[str, bytes]]) -> None:
    """Every event that was taken is exactly one of a ledger row, a parked event or a letter; the chains are whole."""
    ids = [event_id for event_id, _ in events]
    rows = await house.connection.fetch(
        """select e.id, (select count(*) from payment_logs where source = $2 and event_id = e.id) as processed,
            (select count(*) from parked_events where source = $2 and event_id = e.id) as parked,
            (select count(*) from dead_letters where source = $2 and event_id = e.id and status <> 'redriven') as dead
        from unnest($1::text[]) as e (id)""",
        ids,
        SOURCE,
    )
    assert [tuple(row) for row in rows if row["processed"] + row["parked"] + row["dead"] != 1] == []
    assert len(rows) == len(ids)
    assert await house.count("dead_letters where status = 'redriven'") == 3 * PART
    found = await house.connection.fetch(
        "select dead_letter_id from redrive_messages where status = 'published' group by 1 having count(*) > 1"
    )
    assert list(found) == []
    status, reported = await house.run("audit", "verify")
    assert (status, reported["ok"]) == (0, True)

    async def at_rest() -> bool:
        _, answered = await house.run("status")
        return not answered["counts"]["outbox"] and not any(answered["lag"].values())

    await until(at_rest, "nothing is on the way", 60)
