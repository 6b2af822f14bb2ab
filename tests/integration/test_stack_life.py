"""The embedded brokers die, hang, lose their starter, and come back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import psutil
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from freezing import freeze
from waiting import until

from runtime.settings import StackSettings
from runtime.stack import Endpoints, Stack, guard, jars, kafka, read_state, read_status, request_stop, serve, watch
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from runtime.stack import StackState

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NAMES = ("kafka", "postgres", "redis")
REVIVE_SECONDS = 30.0
OUTLIVE_SECONDS = 20.0
STARTER = """
import asyncio, signal, sys
from pathlib import Path
from runtime.stack import serve

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(Path(sys.argv[1]), stop, on_ready=lambda _: print("ready", flush=True))

asyncio.run(main())
"""


def starter(home: Path) -> subprocess.Popen[str]:
    """Start a process that serves the home, and return when it is ready."""
    process = subprocess.Popen([sys.executable, "-c", STARTER, str(home)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def state_of(home: Path) -> StackState:
    found = read_state(home)
    assert found is not None
    return found


async def until_back(home: Path, name: str, old_pid: int) -> None:
    """Wait until another server of that name answers."""
    deadline = time.monotonic() + REVIVE_SECONDS
    while True:
        row = (await read_status(home))[name]
        if row["state"] == "running" and row["pid"] not in (None, old_pid):
            return
        assert time.monotonic() < deadline, f"{name} is not back: {row}"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def publish(endpoints: Endpoints, topic: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=endpoints.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=endpoints.kafka, acks="all", max_request_size=1 << 23) as producer:
        await producer.send_and_wait(topic, value)


async def first_value(endpoints: Endpoints, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=endpoints.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 20.0)
    finally:
        await consumer.stop()
    return bytes(record.value)


def new_home(name: str) -> Path:
    return Path(__file__).parent.parent.parent / ".ratchet-test" / f"{os.getpid()}-{name}"


@pytest.fixture(scope="module")
def own() -> Iterator[Path]:
    """Give this module a home of its own, for the starters that it kills."""
    path = new_home("own")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def served() -> Iterator[subprocess.Popen[str]]:
    """Serve another home from another process, for the tests that leave it running."""
    with starter(new_home("served")) as process:
        yield process
        process.terminate()
    shutil.rmtree(new_home("served"), ignore_errors=True)


@pytest.fixture
def home(served: subprocess.Popen[str]) -> Path:
    """Name the home that is served."""
    return new_home("served")


async def test_all_answer_at_loopback_as_distinct_roles(home: Path) -> None:
    status = await read_status(home)
    assert {name: row["state"] for name, row in status.items()} == dict.fromkeys(NAMES, "running")
    assert all(str(row["address"]).startswith("127.0.0.1:") for row in status.values())
    commands = {name: " ".join(psutil.Process(row["pid"]).cmdline()) for name, row in status.items()}
    assert "kafka.Kafka" in commands["kafka"]
    assert "postgres" in commands["postgres"]
    assert "valkey-server" in commands["redis"]
    endpoints = state_of(home).endpoints
    who = "select concat_ws(' ', current_user, current_database(), rolsuper) from pg_roles where rolname = current_user"
    for dsn, expected in (
        (endpoints.dsn, "ratchet ratchet f"),
        (endpoints.owner_dsn, "ratchet_owner ratchet f"),
        (endpoints.superuser_dsn, "postgres postgres t"),
    ):
        async with connected(dsn) as connection:
            assert await connection.fetchval(who) == expected
    async with connected(endpoints.dsn) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("create table intruder ()")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(endpoints.dsn.replace("ratchet:", "ratchet:not-"))


async def test_the_largest_dead_letter_fits(home: Path, topic_prefix: str) -> None:
    endpoints, value = state_of(home).endpoints, b"x" * (4 * 1024 * 1024)
    await publish(endpoints, f"{topic_prefix}large", value)
    consumer = AIOKafkaConsumer(
        f"{topic_prefix}large",
        bootstrap_servers=endpoints.kafka,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=1 << 23,
    )
    await consumer.start()
    try:
        assert (await asyncio.wait_for(consumer.getone(), 20.0)).value == value
    finally:
        await consumer.stop()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_a_killed_broker_comes_back_at_its_address_with_its_data(
    home: Path, name: str, topic_prefix: str
) -> None:
    before, topic = state_of(home), f"{topic_prefix}kept"
    await publish(before.endpoints, topic, b"kept")
    async with connected(before.endpoints.superuser_dsn) as connection:
        await connection.execute(f"create table kept_{name} as select 7 as seven")
    pid = before.servers[name].pid
    os.kill(pid, signal.SIGKILL)
    await until_back(home, name, pid)
    assert state_of(home).endpoints == before.endpoints
    async with connected(before.endpoints.superuser_dsn) as connection:
        assert await connection.fetchval(f"select seven from kept_{name}") == 7
    assert await first_value(before.endpoints, topic) == b"kept"
    others = {other: server for other, server in before.servers.items() if other != name}
    assert {other: state_of(home).servers[other] for other in others} == others, "a living broker was touched"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_a_killed_reaper_takes_its_broker_along_and_both_come_back(home: Path, name: str) -> None:
    server = state_of(home).servers[name]
    reaper = psutil.Process(server.pid).parent()
    assert reaper is not None
    assert "reaper.py" in " ".join(reaper.cmdline())
    reaper.kill()
    await until(lambda: not server.alive(), within_seconds=OUTLIVE_SECONDS)
    await until_back(home, name, server.pid)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_a_hanging_broker_is_unresponsive_within_seconds(home: Path, name: str) -> None:
    server = state_of(home).servers[name]
    freeze(psutil.Process(server.pid))
    try:
        started = time.monotonic()
        status = await read_status(home)
        assert time.monotonic() - started < 5.0
        assert status[name]["state"] == "unresponsive"
        assert status[name]["pid"] == server.pid
        assert all(row["state"] == "running" for other, row in status.items() if other != name)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert state_of(home).servers[name] == server, "a hanging broker is not a dead one"


async def test_a_second_starter_refuses_and_names_the_first(home: Path, served: subprocess.Popen[str]) -> None:
    before = state_of(home)
    with pytest.raises(StackError, match=rf"already runs in .*pid {served.pid}.*ratchet stack down"):
        await Stack(home).start()
    assert state_of(home) == before
    assert all(server.alive() for server in before.servers.values())


@pytest.mark.slow
@pytest.mark.parametrize("hanging", [pytest.param((), id="answering"), pytest.param(NAMES, id="hanging")])
async def test_nothing_outlives_a_killed_starter_and_the_next_start_finds_the_data(
    own: Path, hanging: tuple[str, ...], topic_prefix: str
) -> None:
    with starter(own) as process:
        before = state_of(own)
        await publish(before.endpoints, f"{topic_prefix}kept", b"kept")
        brood = psutil.Process(process.pid).children(recursive=True)
        assert len(brood) > 2 * len(NAMES)
        for name in hanging:
            os.kill(before.servers[name].pid, signal.SIGSTOP)
        process.kill()
    await until(lambda: not any(one.is_running() for one in brood), within_seconds=OUTLIVE_SECONDS)
    assert read_state(own) is None
    assert {row["state"] for row in (await read_status(own)).values()} == {"stopped"}
    with starter(own):
        assert state_of(own).endpoints == before.endpoints
        assert await first_value(before.endpoints, f"{topic_prefix}kept") == b"kept"
        assert await request_stop(own)


@pytest.mark.slow
async def test_a_start_right_after_a_kill_waits_for_the_leftovers(own: Path) -> None:
    with starter(own) as process:
        before = state_of(own)
        process.kill()
    with starter(own):
        after = state_of(own)
        assert after.endpoints == before.endpoints
        assert not any(server.alive() for server in before.servers.values())
        assert await request_stop(own)
    assert not await request_stop(own)


@pytest.mark.slow
async def test_a_stack_in_this_process_restarts_and_stops(own: Path) -> None:
    stack = Stack(own)
    with pytest.raises(StackError, match="not started"):
        stack.endpoints()
    with pytest.raises(StackError, match="not started"):
        await stack.restart("redis")
    with pytest.raises(StackError, match="no broker zookeeper"):
        await stack.restart("zookeeper")
    endpoints = await stack.start()
    try:
        before = state_of(own).servers
        await stack.restart("redis")
        assert stack.endpoints() == endpoints
        assert state_of(own).servers["redis"] != before["redis"]
        os.kill(before["postgres"].pid, signal.SIGKILL)
        await until(lambda: stack.dead() == ["postgres"], within_seconds=10.0)
        assert await stack.revive() == ["postgres"]
        assert {row["state"] for row in (await stack.status()).values()} == {"running"}
    finally:
        await stack.stop()
    await stack.stop()
    assert {row["state"] for row in (await stack.status()).values()} == {"stopped"}
    assert not any(server.alive() for server in before.values())


async def test_nobody_logs_in_without_the_homes_passwords(home: Path) -> None:
    endpoints = state_of(home).endpoints
    for role in ("postgres", "ratchet"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://{role}@{endpoints.dsn.rpartition('@')[2]}", password="")
    async with redis.asyncio.Redis.from_url(f"redis://{str(endpoints.redis).rpartition('@')[2]}") as client:
        with pytest.raises(redis.exceptions.AuthenticationError):
            await client.ping()
    async with redis.asyncio.Redis.from_url(str(endpoints.redis)) as client:
        assert await client.eval("return redis.call('ping')", 0)


def readable_by_others(folder: Path) -> list[Path]:
    """Return what another user of the machine can list or read, having come as far as the folder."""
    found = []
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        if mode & (stat.S_IRGRP | stat.S_IROTH | stat.S_IWOTH):
            found.append(path)
        if stat.S_ISDIR(mode) and mode & (stat.S_IXGRP | stat.S_IXOTH):
            found += readable_by_others(path)
    return found


def test_no_other_user_reads_or_lists_anything_of_a_home(home: Path) -> None:
    assert not stat.S_IMODE(home.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO) & ~(stat.S_IXGRP | stat.S_IXOTH)
    open_ones = [path for path in readable_by_others(home) if not path.name.endswith(".jar")]
    assert open_ones == []


@pytest.mark.slow
async def test_a_cluster_whose_superuser_had_no_password_gets_one(own: Path) -> None:
    with starter(own):
        assert await request_stop(own)
    data = own / "postgres" / "data"
    (data / "superuser-has-password").unlink()
    kept = json.loads((own / "stack-kept.json").read_text())
    (own / "stack-kept.json").write_text(json.dumps(kept | {"superuser_password": ""}))
    with starter(own):
        dsn = state_of(own).endpoints.superuser_dsn
        async with connected(dsn) as connection:
            assert await connection.fetchval("select rolpassword like 'SCRAM-%' from pg_authid where oid = 10")
        assert await request_stop(own)
    assert kept["superuser_password"] not in dsn


async def test_where_no_package_has_a_redis_the_rest_runs_and_it_is_reported_once(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runtime.stack.redis.find", lambda: None)
    stack = Stack(own)
    endpoints = await stack.start()
    try:
        assert endpoints.redis is None
        status = await stack.status()
        assert status["redis"] == {"state": "absent", "pid": None, "address": None}
        assert {status[name]["state"] for name in ("kafka", "postgres")} == {"running"}
        assert capsys.readouterr().err.count("no package has a Redis") == 1
    finally:
        await stack.stop()


@pytest.mark.slow
async def test_watching_brings_back_what_dies_and_says_so(own: Path) -> None:
    reported: list[str] = []
    stop, stack = asyncio.Event(), Stack(own)
    await stack.start()
    try:
        watching = asyncio.ensure_future(watch(stack, stop, StackSettings(), reported.append))
        os.kill(state_of(own).servers["redis"].pid, signal.SIGKILL)
        await until(lambda: "redis is back" in reported, within_seconds=REVIVE_SECONDS)
        stop.set()
        await watching
    finally:
        await stack.stop()
    assert reported == ["redis has died; starting it again at the same address", "redis is back"]


@pytest.mark.slow
async def test_serving_can_be_stopped_while_it_starts(own: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    await serve(own, stop)
    assert read_state(own) is None
    assert {row["state"] for row in (await read_status(own)).values()} == {"stopped"}


@pytest.mark.slow
async def test_serving_stops_when_reported_and_failing_to_start_is_reported(own: Path) -> None:
    stop = asyncio.Event()
    ready: list[Endpoints] = []

    def on_ready(endpoints: Endpoints) -> None:
        ready.append(endpoints)
        stop.set()

    await serve(own, stop, on_ready=on_ready)
    assert len(ready) == 1
    assert read_state(own) is None
    impatient = StackSettings(start_timeout_seconds=0.001, probe_timeout_seconds=0.001)
    with pytest.raises(StackError, match="does not answer"):
        await serve(own, asyncio.Event(), settings=impatient)
    assert {row["state"] for row in (await read_status(own)).values()} == {"stopped"}


@pytest.mark.slow
async def test_a_broker_that_cannot_start_says_why_and_nothing_stays(own: Path) -> None:
    configuration = own / "kafka" / "data" / "meta.properties"
    good = configuration.read_text()
    configuration.write_text(good.replace("node.id=1", "node.id=2"))
    try:
        with pytest.raises(StackError, match="kafka ended at its start"):
            await Stack(own).start()
    finally:
        configuration.write_text(good)
    assert {row["state"] for row in (await read_status(own)).values()} == {"stopped"}


@pytest.mark.slow
async def test_a_start_is_prepared_once_and_goes_on_without_if_that_fails(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = jars.fetch(jars.default_cache(own), StackSettings())
    linked = jars.install(folder, tmp_path / "jars")
    assert await asyncio.to_thread(kafka.train, linked[:1], tmp_path, StackSettings()) is None
    assert "without a prepared cache" in capsys.readouterr().err
    made = await asyncio.to_thread(kafka.train, linked, tmp_path, StackSettings())
    assert made is not None
    assert made.stat().st_size > 1 << 20
    modified = made.stat().st_mtime_ns
    assert kafka.train(linked, tmp_path, StackSettings()) == made
    assert made.stat().st_mtime_ns == modified
    assert not [name for name in os.listdir(tmp_path) if name.startswith("training-")]  # noqa: PTH208


@pytest.mark.slow
async def test_a_stopped_reaper_does_not_keep_its_broker(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MARGIN_SECONDS", 0.5)
    stack = Stack(own, StackSettings(stop_grace_seconds=0.5))
    await stack.start()
    servers = state_of(own).servers
    reapers = [psutil.Process(server.pid).parent() for server in servers.values()]
    for reaper in reapers:
        assert reaper is not None
        reaper.suspend()
    await stack.stop()
    await until(lambda: not any(server.alive() for server in servers.values()), within_seconds=OUTLIVE_SECONDS)
