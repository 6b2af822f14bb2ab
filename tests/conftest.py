"""What all tests share: the brokers, a database, names and a folder of their own, and the counts at the end.

The brokers are the embedded ones, started once a session: with pytest-xdist each worker is one, so it has brokers of
its own, which end with it. RATCHET_TEST_STACK=containers takes testcontainers instead;
TESTS_BROKERS_HOME names the folder of embedded ones that run already, as `make mutants` does, and
TESTS_TEMPLATE_DATABASE a migrated database there;
with endpoints configured (RATCHET_KAFKA__BOOTSTRAP, ...) neither starts, and the owner's role must be allowed to create
databases.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import profiles
import psutil
import pytest
import reaper
import structlog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from runtime.settings import Settings
    from runtime.stack import Endpoints

HOMES = Path(__file__).parent.parent / ".ratchet-test"
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2**31
"""What must be free there for each worker. Brokers of three workers were seen to write 0.5 GiB in all."""
SCRATCHES = f"ratchet-test-of-{os.getuid()}-"
"""How the name of a run's temporary folder begins; the time of its start and its process follow."""
SCRATCHES_KEPT = 3
SCRATCH = Path(tempfile.gettempdir()) / f"{SCRATCHES}{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
WORLDS = ("unit", "process", "integration")
OUTCOMES: Counter[tuple[str, str]] = Counter()
HEAVY_FIRST = ("attack", "fault", "integration", "process", "contract")

# Tests start some hundred processes. Without compiled files each compiles all that it imports, pytest every test file.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A rich traceback with every local takes seconds on a busy machine, in which the loop stands and leases run out. What
# runs for others writes plain JSON lines.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)
# Look for cycles of garbage seldom, from the first import on: 7 % of all CPU.
gc.set_threshold(50_000, 50, 100)
profiles.load()
REAPER = reaper.start()
"""Held until this process ends, and with it the pipe that the reaper waits for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the heavy files first: workers that share out files end together when the last ones are small."""
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return HEAVY_FIRST.index(folder) if folder in HEAVY_FIRST else len(HEAVY_FIRST)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Never look for cycles of garbage through what stays: ten thousand tests and all that they import."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    import scheduling

    return scheduling.make(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give this run a temporary folder of its own, unless --basetemp names one; drop old ones as pytest would.

    The folder that pytest's runs share is closed (mode 0700) by each that starts. As root, the embedded Postgres is
    another user, and would lose the way to its files.
    """
    if config.option.basetemp is None:
        config.option.basetemp = SCRATCH  # made by pytest when a test first asks for it
        found = sorted(SCRATCH.parent.glob(f"{SCRATCHES}*-[0-9]*"))
        ended = [one for one in found if not psutil.pid_exists(int(one.name.rpartition("-")[2]))]
        for old in ended[:-SCRATCHES_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        for home in (*HOMES.glob("*[0-9]"), *MEMORY.glob(f"{SCRATCHES}*[0-9]")):  # of a run that was killed
            if not psutil.pid_exists(int(home.name.rpartition("-")[2])):
                shutil.rmtree(home, ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    """Remove what tests left that all passed; what failed stays to be looked at."""
    if exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(SCRATCH, ignore_errors=True)


def pytest_unconfigure() -> None:
    reaper.release(REAPER)


class Database(NamedTuple):
    """A fresh, migrated database: the application's DSN and the owner's."""

    dsn: str
    owner_dsn: str


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Endpoints]:
    """Give the brokers of the session: `kafka`, `dsn`, `owner_dsn`, `superuser_dsn`, `redis`."""
    from runtime.settings import load

    settings = load()
    if not settings.embedded():
        yield configured(settings)
    elif kept := os.environ.get("TESTS_BROKERS_HOME"):
        yield running_in(Path(kept))
    elif settings.test_stack == "containers":
        async with containers() as endpoints:
            yield endpoints
    else:
        async with embedded() as endpoints:
            yield endpoints


def configured(settings: Settings) -> Endpoints:
    """Return the endpoints of the environment; the owner stands for the superuser."""
    from runtime.stack import Endpoints

    if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
        pytest.exit("configured brokers are one set, whose topics two workers cannot share: make test WORKERS=1", 2)
    secrets = (settings.postgres.dsn, settings.postgres.owner_dsn, settings.redis.url)
    if settings.kafka.bootstrap is None or None in secrets:
        pytest.exit("configure all of RATCHET_KAFKA__BOOTSTRAP, _POSTGRES__DSN, _POSTGRES__OWNER_DSN, _REDIS__URL", 2)
    dsn, owner_dsn, redis = (secret.get_secret_value() for secret in secrets if secret)
    return Endpoints(settings.kafka.bootstrap, dsn, owner_dsn, owner_dsn, redis)


def running_in(home: Path) -> Endpoints:
    """Return the endpoints of embedded brokers that another process started for many runs."""
    from runtime.stack import read_state

    found = read_state(home)
    if found is None:
        pytest.exit(f"no brokers run in {home}, which TESTS_BROKERS_HOME names", 2)
    return found.endpoints


@asynccontextmanager
async def embedded() -> AsyncIterator[Endpoints]:
    """Run the embedded brokers in a home of this session."""
    from runtime.stack import Stack

    home = home_of_brokers()
    brokers = Stack(home)
    try:
        yield await brokers.start()
    finally:
        await brokers.stop()
        shutil.rmtree(home, ignore_errors=True)


def home_of_brokers() -> Path:
    """Return where the session's brokers keep their files: in memory where that has room, else in the checkout.

    A database for each test is 350 files made and removed, which a disk takes three times as long for. `fsync` is asked
    for all the same. What a disk must keep is proved by tests with homes of their own.
    """
    wanted = MEMORY_BYTES_MIN * int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > wanted:
        return MEMORY / f"{SCRATCHES}brokers-{os.getpid()}"
    return HOMES / str(os.getpid())


@asynccontextmanager
async def containers() -> AsyncIterator[Endpoints]:  # pragma: no cover - needs a container engine
    """Run the brokers that compose.yaml names in containers, published on loopback alone."""
    from dataclasses import replace

    import broker_containers

    from runtime.stack import postgres
    from runtime.stack.ports import Kept
    from runtime.stack.supervisor import endpoints_of

    with broker_containers.started() as ports:
        kept = Kept(ports, "app", "owner", "")
        await postgres.make_roles(kept)
        yield replace(endpoints_of(kept), kafka=f"127.0.0.1:{ports['kafka']}")


def with_database(dsn: str, name: str) -> str:
    """Return the DSN of another database of the same server and role."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def run_as_superuser(endpoints: Endpoints, *statements: str) -> None:
    """Run statements, each in its own transaction."""
    connection = await asyncpg.connect(endpoints.superuser_dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def role_of(dsn: str) -> str:
    """Return the role that a DSN logs in as."""
    role = urlsplit(dsn).username
    assert role, "a DSN names its role"
    return role


@pytest.fixture(scope="session")
async def template_database(stack: Endpoints) -> AsyncIterator[str]:
    """Name a migrated database that nobody is connected to, of which each test gets a copy."""
    from runtime.migrations import migrate_up

    if kept := os.environ.get("TESTS_TEMPLATE_DATABASE"):
        yield kept
        return
    name = f"template_{uuid.uuid4().hex[:12]}"
    await run_as_superuser(stack, f"create database {name} owner {role_of(stack.owner_dsn)}")
    await migrate_up(with_database(stack.owner_dsn, name), role_of(stack.dsn))
    yield name
    await run_as_superuser(stack, f"drop database if exists {name} with (force)")


@pytest.fixture
async def database(stack: Endpoints, template_database: str) -> AsyncIterator[Database]:
    """Give a test a migrated database of its own: `dsn, owner_dsn = database`.

    It is no copy of another test's: what those committed to Kafka is not its own.
    """
    name, owner = f"test_{uuid.uuid4().hex[:12]}", role_of(stack.owner_dsn)
    await run_as_superuser(stack, f"create database {name} template {template_database} owner {owner}")
    made = Database(with_database(stack.dsn, name), with_database(stack.owner_dsn, name))
    connection = await asyncpg.connect(made.owner_dsn)
    await connection.execute("update epochs set began_at = clock_timestamp()")
    await connection.close()
    yield made
    await run_as_superuser(stack, f"drop database if exists {name} with (force)")


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Give a connection of the schema's owner to the test's database."""
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def heap_of_module(stack: Endpoints, template_database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Give a superuser's session on an empty database of the module's, which reads tables as they lie."""
    from plain_rows import lying_database

    async with lying_database(stack, template_database) as connection:
        yield connection


@pytest.fixture
async def heap(
    heap_of_module: asyncpg.Connection[asyncpg.Record],
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Give the same; what a test does in it is undone."""
    from filled_database import undone

    async with undone(heap_of_module):
        yield heap_of_module


@pytest.fixture
async def other(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Give a second one, for what two sessions do to each other."""
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def topic_prefix() -> str:
    """Give a test a prefix for the names of its topics, groups and Redis keys that nobody else uses."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def unique(topic_prefix: str) -> Callable[[str], str]:
    """Give a test a function that makes a name its own: `unique("payments.webhooks")`."""
    return lambda name: f"{topic_prefix}{name}"


def world_of(keywords: object) -> str:
    """Return the mark of a test, by which it is counted."""
    return next((world for world in WORLDS if world in keywords), "unmarked")  # type: ignore[operator]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or (report.when == "setup" and not report.passed):
        OUTCOMES[world_of(report.keywords), report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for world in (*WORLDS, "unmarked"):
        counts = [f"{count} {outcome}" for (of, outcome), count in sorted(OUTCOMES.items()) if of == world]
        if counts:
            terminalreporter.write_line(f"{world} tests: {', '.join(counts)}")
