"""Three Kafka nodes and two Postgres servers of one run, in its folder; each can be killed, frozen, started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import asyncpg
import psutil
from waiting import until

from runtime.settings import StackSettings
from runtime.stack import guard, jars, kafka, postgres
from runtime.stack.broker import BrokerServer, last_words
from runtime.stack.layout import write_private
from runtime.stack.ports import LOOPBACK, Kept, choose

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from runtime.stack.guard import Guard

NODES = 3
START_SECONDS_MAX = 60.0
PASSWORD = "cluster-only-on-loopback"
STANDBY = "node_b"
SETTINGS = StackSettings(stop_grace_seconds=4.0)


async def until_up(true: Callable[[], Awaitable[object]], what: str) -> None:
    """Wait for what is asked of a server that may not answer yet: an error of the asking is a no."""

    async def asked() -> bool:
        with suppress(OSError, EOFError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return bool(await asyncio.wait_for(true(), 3.0))
        return False

    await until(asked, what, START_SECONDS_MAX)


@dataclass
class Server:
    """One server process under its reaper."""

    broker: BrokerServer
    held: Guard | None = None
    frozen: list[psutil.Process] = field(default_factory=list)

    def start(self) -> None:
        self.held = guard.start(self.broker, SETTINGS)

    def process(self) -> psutil.Process:
        assert self.held is not None
        return psutil.Process(self.held.server.pid)

    def everybody(self) -> list[psutil.Process]:
        """Return the server and what it started."""
        return [self.process(), *self.process().children(recursive=True)]

    def kill(self) -> None:
        """End all its processes at once, and wait until they are gone."""
        everybody = self.everybody()
        for one in everybody:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(everybody, 10)
        self.stop()

    def freeze(self) -> None:
        self.frozen = self.everybody()
        for one in self.frozen:
            with suppress(psutil.NoSuchProcess):
                one.suspend()

    def thaw(self) -> None:
        frozen, self.frozen = self.frozen, []
        for one in frozen:
            with suppress(psutil.NoSuchProcess):
                one.resume()

    def stop(self) -> None:
        self.thaw()
        if self.held is not None:
            self.held.stop()
            self.held = None


def node_configuration(number: int, ports: dict[str, int]) -> str:
    """Return server.properties of one of three: the embedded stack's, and what differs; the last of a name counts."""
    voters = ",".join(f"{one}@{LOOPBACK}:{ports[f'controller{one}']}" for one in range(1, NODES + 1))
    replicated = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    lines = {
        "node.id": str(number),
        "controller.quorum.voters": voters,
        "listeners": (
            f"CLIENTS://{LOOPBACK}:{ports[f'kafka{number}']},BROKERS://{LOOPBACK}:{ports[f'broker{number}']}"
            f",CONTROLLER://{LOOPBACK}:{ports[f'controller{number}']}"
        ),
        "advertised.listeners": (
            f"CLIENTS://{LOOPBACK}:{ports[f'proxy_kafka{number}']},BROKERS://{LOOPBACK}:{ports[f'broker{number}']}"
        ),
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKERS",
        "default.replication.factor": str(NODES),
        "min.insync.replicas": "2",
        **{f"{name}.replication.factor": str(NODES) for name in replicated},
        "transaction.state.log.min.isr": "2",
        "broker.session.timeout.ms": "6000",  # what RUNBOOK advises
        "broker.heartbeat.interval.ms": "1500",
    }
    text = kafka.configuration(ports[f"kafka{number}"], ports[f"controller{number}"])
    return text + "".join(f"{name}={value}\n" for name, value in lines.items())


def prepare_nodes(home: Path, ports: dict[str, int]) -> dict[str, Server]:
    """Lay out the Kafka nodes; blocks for seconds."""
    cache = jars.default_cache(home)
    source = jars.fetch(cache, SETTINGS)
    found: dict[str, Server] = {}
    trained: Path | None = None
    for number in range(1, NODES + 1):
        folder = home / f"kafka{number}"
        folder.mkdir()
        libraries = jars.install(source, folder / "libs")
        trained = trained or kafka.train(libraries, cache, SETTINGS)
        port = ports[f"kafka{number}"]
        kafka.write_configuration(folder, port, ports[f"controller{number}"])
        (folder / "server.properties").write_text(node_configuration(number, ports))
        kafka.format_storage(libraries, folder, trained, "R" * 21 + "A")
        argv = kafka.command(libraries, folder, trained, "kafka.Kafka", str(folder / "server.properties"))
        argv = tuple("-Xmx320m" if word.startswith("-Xmx") else word for word in argv)
        found[f"kafka{number}"] = Server(BrokerServer(kafka.NAME, port, argv, folder))
    return found


async def serves(server: Server) -> bool:
    """Tell whether a Kafka node serves."""
    assert server.held is not None
    assert server.held.alive(), last_words(server.broker.log)
    await kafka.ask_versions(server.broker.port)
    return True


@dataclass
class Databases:
    """A primary `a` and a synchronous standby `b`, and the passwords of their roles."""

    kept: Kept
    a: Server
    b: Server
    ports: dict[str, int]

    def of(self, name: str) -> Kept:
        """Return what is needed to log in to one of the two, not through its proxy."""
        return replace(self.kept, ports={**self.kept.ports, "postgres": self.ports[name]})

    async def ask(self, name: str, sql: str) -> object:
        """Ask one of the two as the superuser."""
        connection = await asyncio.wait_for(postgres.connect(self.of(name)), 3)
        try:
            return await connection.fetchval(sql, timeout=3)
        finally:
            connection.terminate()

    async def synchronous(self) -> bool:
        """Tell whether the primary has its synchronous standby."""
        return bool(await self.ask("pg_a", "select true from pg_stat_replication where sync_state = 'sync'"))

    async def promote(self) -> None:
        """Make the standby the primary, and return when it takes writes."""
        await self.ask("pg_b", "select pg_promote(wait => false)")
        await until_up(lambda: self.ask("pg_b", "select not pg_is_in_recovery()"), "the standby is promoted")


def server_of(folder: Path, port: int, extra: dict[str, str]) -> Server:
    """Write the configuration of a data folder that is there; return its server."""
    data, bin_folder, user = folder / "data", postgres.programs(), postgres.server_user()
    text = postgres.configuration(port, lz4=postgres.has_lz4(bin_folder))
    text += "".join(f"{name} = {value}\n" for name, value in {"shared_buffers": "'96MB'", **extra}.items())
    rules = postgres.access_rules() + f"host replication all {LOOPBACK}/32 scram-sha-256\n"
    for name, content in {"postgresql.conf": text, "pg_hba.conf": rules}.items():
        write_private(data / name, content)
    if user:
        postgres.open_to(user, data, bin_folder)
        for path in (data, *data.rglob("*")):
            os.chown(path, user.uid, user.gid)
    return Server(
        BrokerServer(
            name=postgres.NAME,
            port=port,
            argv=(str(bin_folder / "postgres"), "-D", str(data)),
            folder=folder,
            user=user,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGQUIT,
            stale=(data / "postmaster.pid",),
        )
    )


async def start_databases(home: Path, ports: dict[str, int]) -> Databases:
    """Make a primary, copy it, start both, and return when commits wait for the standby."""
    a, b = home / "pg_a", home / "pg_b"
    for folder in (a, b):
        folder.mkdir()
    bin_folder, user = postgres.programs(), postgres.server_user()
    postgres.initialize(a / "data", bin_folder, user)
    if user:
        postgres.open_to(user, a / "data", bin_folder)
    postgres.protect(a / "data", bin_folder, user, PASSWORD)
    shutil.copytree(a / "data", b / "data")
    (b / "data" / "standby.signal").touch()
    source = f"host={LOOPBACK} port={ports['pg_a']} user={postgres.SUPERUSER} password={PASSWORD}"
    kept = Kept({"postgres": ports["pg_a"]}, PASSWORD, PASSWORD, "", superuser_password=PASSWORD)
    first = server_of(a, ports["pg_a"], {"synchronous_standby_names": f"'FIRST 1 ({STANDBY})'"})
    second = server_of(b, ports["pg_b"], {"primary_conninfo": f"'{source} application_name={STANDBY}'"})
    found = Databases(kept, first, second, ports)
    first.start()
    second.start()
    await until_up(found.synchronous, "the standby is synchronous")
    await postgres.make_roles(kept)
    return found


NAMES = tuple(
    f"{kind}{number}" for number in range(1, NODES + 1) for kind in ("kafka", "broker", "controller", "proxy_kafka")
)
DATABASES = tuple(f"{kind}pg_{one}" for one in "ab" for kind in ("", "proxy_", "pooler_"))
PORTS = (*NAMES, *DATABASES, "ingress1", "ingress2")


def choose_ports() -> dict[str, int]:
    """Choose a port a listener."""
    ports: dict[str, int] = {}
    for name in PORTS:
        ports[name] = choose(ports.values())
    return ports
