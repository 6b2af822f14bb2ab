"""A full disk, of the whole home or of one part of it: named before it is full, nothing lost, back without a hand.

The disk is a small tmpfs, so it takes a root of Linux. The goal is a minute from when there is room again.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest
from load.effects import verdict_of
from load.journal import NO_ANSWER, WEBHOOK
from load.posting import LoadedIngress
from load.run import product
from load.traffic import CLIENT, Traffic

from ops.run_sample import choose_signers
from runtime.settings import Settings
from runtime.stack import postgres, read_state
from runtime.stack.layout import let_others_pass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

MIB = 1024 * 1024
FREE_BYTES_MIN = 100 * MIB
"""From here on it is named: an idle home leaves more."""
FULL_SECONDS = 15.0
BACK_SECONDS_MAX = 60.0
API_KEY = "sk_disk_0123456789abcdef"
CHUNK = bytes(MIB)
TAKEN = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED})


class Wal(Enum):
    """Where Postgres' WAL lies: with the rest of it, on another disk that has room, or alone on the small one."""

    WITHIN = 0
    ELSEWHERE = 1
    ALONE = 2


class Part(NamedTuple):
    """What of a home lies on the small disk: `folder` within it, and how large that is."""

    folder: str
    bytes: int
    statuses: frozenset[int] = TAKEN | {HTTPStatus.SERVICE_UNAVAILABLE, NO_ANSWER}
    """How requests may be answered meanwhile."""
    only_intents: bool = False
    """Whether intents are refused meanwhile, and every webhook is taken."""
    wal: Wal = Wal.WITHIN
    besides: tuple[tuple[str, int], ...] = ()
    """What else lies on a small disk of its own, which is full at the same time."""


PARTS = {
    "all": Part(".", 1_200 * MIB),
    "kafka": Part("kafka", 500 * MIB),
    "postgres": Part("postgres", 700 * MIB, only_intents=True),
    "postgres without its WAL": Part("postgres", 400 * MIB, only_intents=True, wal=Wal.ELSEWHERE),
    "WAL of postgres": Part("postgres/data/pg_wal", 400 * MIB, only_intents=True, wal=Wal.ALONE),
    "kafka and postgres": Part("kafka", 500 * MIB, besides=(("postgres", 700 * MIB),)),
    "logs": Part("log", 200 * MIB, TAKEN),
}


class Small(NamedTuple):
    """A home, and the small disks that parts of it lie on."""

    home: Path
    disks: tuple[Path, ...]
    part: Part


@pytest.fixture(params=PARTS.values(), ids=PARTS.keys())
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Small]:
    """Give a home of which a part lies on a small disk."""
    part: Part = request.param
    home = tmp_path / "home"
    disk = home / part.folder
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only a root of Linux may mount a small disk")
    if part.wal is Wal.ALONE:
        disk.parents[1].mkdir(parents=True, mode=0o700)
        move_wal(home / "postgres" / "data", tmp_path / "wal")
        disk.unlink()
    sizes = {disk: part.bytes} | {home / folder: size for folder, size in part.besides}
    mounted: list[Path] = []
    try:
        for place, size in sizes.items():
            mount(place, size, 0o700 if part.wal is Wal.ALONE else 0o755)
            mounted.append(place)
        if part.wal is Wal.ELSEWHERE:
            move_wal(home / "postgres" / "data", tmp_path / "wal")
        if part.wal is Wal.ALONE:
            subprocess.run(["cp", "--archive", f"{tmp_path}/wal/.", disk], check=True)
        yield Small(home, tuple(sizes), part)
    finally:
        for place in mounted:
            subprocess.run(["umount", "--lazy", place], check=True)


def mount(place: Path, size: int, mode: int) -> None:
    """Mount a small disk there, or skip the test."""
    place.mkdir(parents=True, mode=0o700)
    options = f"size={size},mode={mode:o}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "ratchet-disk", place], check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")


def move_wal(data: Path, wal: Path) -> None:
    """Make Postgres' files with the WAL on another disk."""
    user = postgres.server_user()
    postgres.initialize(data, postgres.programs(), user)
    shutil.move(data / "pg_wal", wal)
    (data / "pg_wal").symlink_to(wal)
    if user is not None:
        let_others_pass(wal)
        for path in (wal, *wal.rglob("*")):
            os.chown(path, user.uid, user.gid)


def fill(disk: Path, leave_bytes: int) -> None:
    """Fill the disk but for so much; to the last byte where that is none."""
    with (disk / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while shutil.disk_usage(disk).free > leave_bytes:
            file.write(CHUNK)
    assert shutil.disk_usage(disk).free <= leave_bytes + len(CHUNK)


async def ratchet(home: Path, word: str) -> dict[str, Any]:
    """Return what a command prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "ops.cli", word, "--json",
        env=os.environ | {"RATCHET_HOME": str(home), "RATCHET_OPS__DISK_FREE_BYTES_MIN": str(FREE_BYTES_MIN)},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    document: dict[str, Any] = json.loads(out)
    return document


async def named(small: Small) -> tuple[list[str], list[str]]:
    """Return which of the small disks `doctor` and `status` have something against."""
    checks, status = (await ratchet(small.home, "doctor"))["checks"], await ratchet(small.home, "status")
    wrong = [f"{one['check']}: {one['found']}" for one in checks if not one["ok"]]
    return naming(small, wrong), naming(small, status["problems"])


def naming(small: Small, lines: list[str]) -> list[str]:
    """Return the small disks that one of these lines names."""
    return [str(disk) for disk in small.disks if any(f"GB free at {disk}" in line for line in lines)]


async def feels_full(small: Small) -> None:
    """Have Postgres need room that is not there, and see what it does by itself."""
    state, log = read_state(small.home), small.home / "postgres" / "server.log"
    assert state is not None
    connection = await asyncpg.connect(state.endpoints.superuser_dsn)
    started = await connection.fetchval("select pg_postmaster_start_time()")
    if small.part.wal is Wal.ELSEWHERE:
        with pytest.raises(asyncpg.DiskFullError) as refused:
            await connection.execute(
                "create unlogged table filler as select repeat(md5(n::text), 200) from generate_series(1, 10000) n"
            )
        assert refused.value.sqlstate == "53100"
        await asyncio.sleep(FULL_SECONDS)
        assert await connection.fetchval("select pg_postmaster_start_time()") == started, "it refuses, and goes on"
        await connection.close()
        assert "PANIC" not in log.read_text()
    if small.part.wal is Wal.ALONE:
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, ConnectionError)):  # noqa: PT012 - the one that needs a new file
            for _ in range(1000):
                await connection.execute("select pg_logical_emit_message(true, 'filler', repeat('x', 1000000))")
        await asyncio.sleep(FULL_SECONDS)
        panic = [line for line in log.read_text().splitlines() if " PANIC:  could not write to file " in line]
        assert panic, "it ended by itself"
        assert "No space left on device" in panic[0]
        with pytest.raises((OSError, asyncpg.CannotConnectNowError)):
            await asyncpg.connect(state.endpoints.superuser_dsn)


async def test_a_full_disk_loses_nothing_and_all_is_back_within_a_minute(small: Small) -> None:
    signers, secrets = choose_signers(Settings())
    more = secrets | {"RATCHET_API_KEYS": json.dumps({CLIENT: API_KEY})}
    traffic = Traffic(seed=16, now=int(time.time()))
    with product(small.home, more) as (settings, url):
        assert await named(small) == ([], []), "there is room"
        ingress = LoadedIngress(url, traffic, signers, API_KEY)
        async with ingress.under_load(20.0, 2.0):
            await asyncio.sleep(3)
            for disk in small.disks:
                fill(disk, FREE_BYTES_MIN // 2)
            each = [str(disk) for disk in small.disks]
            by_doctor, by_status = await named(small)
            assert by_doctor == each, "doctor names each disk before it is full"
            assert by_status == each, "status names each disk before it is full"
            for disk in small.disks:
                fill(disk, 0)
            if small.part.wal is Wal.WITHIN:
                await asyncio.sleep(FULL_SECONDS)
            else:
                await feels_full(small)
            for disk in small.disks:
                (disk / "filler").unlink()
            room = time.monotonic()
            await asyncio.sleep(5)
        await ingress.send_again()
        assert not ingress.waiting, "what was refused is taken in the end"
        verdict = await verdict_of(settings, ingress.answers, traffic, rest_seconds_max=120.0)
        back_seconds = time.monotonic() - room
        assert verdict.problems == []
        assert back_seconds < BACK_SECONDS_MAX
    webhooks = {answer.status for answer in ingress.answers if answer.what == WEBHOOK}
    intents = {answer.status for answer in ingress.answers if answer.what != WEBHOOK}
    assert webhooks | intents <= small.part.statuses
    if small.part.besides:
        assert HTTPStatus.SERVICE_UNAVAILABLE in webhooks, "neither Kafka nor the spool had room"
    if small.part.only_intents:
        assert webhooks <= TAKEN, "webhooks go to Kafka, which has room"
        assert HTTPStatus.SERVICE_UNAVAILABLE in intents, "the disk was not felt to be full"
