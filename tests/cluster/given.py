"""One run's servers, network and roles: made, ready, and taken down."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from load.traffic import CLIENT
from pooler import pgbouncer
from pydantic import SecretStr

from cluster.fleet import Fleet, Member
from cluster.proxy import Network, network
from cluster.servers import NODES, Databases, Server, choose_ports, prepare_nodes, serves, start_databases, until_up
from ops.run_sample import choose_signers
from runtime.migrations import migrate_up
from runtime.settings import Settings
from runtime.stack import postgres
from runtime.stack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from cluster.scenarios import Scenario
    from ops.sample.signing import Signer

API_KEY = "sk_cluster_0123456789abcdef"
READY_SECONDS_MAX = 150.0
COMMAND_SECONDS_MAX = 90.0
ROOM = "default_pool_size = 90\nmax_client_conn = 300\n"
"""PgBouncer's own bounds (20 and 100) are less than all roles may open at once; Postgres's here is 100."""


@dataclass
class Given:
    """All that a scenario may touch."""

    home: Path
    ports: dict[str, int]
    nodes: dict[str, Server]
    databases: Databases
    network: Network
    fleet: Fleet
    settings: Settings
    signers: dict[str, Signer]
    environment: dict[str, str]
    hurt: str = ""
    stranger: asyncpg.Connection | None = None
    heal_at: float | None = None

    def healed(self) -> None:
        """Note that what was broken is mended from now on, where that is before the end of the fault."""
        self.heal_at = time.monotonic()

    async def leader_of(self, partition: int) -> str:
        """Return the node that leads this partition of the webhooks' topic."""
        async with admin(self.bootstrap_direct()) as client:
            (topic,) = await client.describe_topics(["payments.webhooks"])
        leader = next(one["leader"] for one in topic["partitions"] if one["partition"] == partition)
        return f"kafka{leader}"

    async def in_step(self) -> bool:
        """Tell whether every partition of the webhooks' topic has all its copies in step."""
        async with admin(self.bootstrap_direct()) as client:
            (topic,) = await client.describe_topics(["payments.webhooks"])
        return all(len(one["isr"]) == NODES for one in topic["partitions"])

    def bootstrap_direct(self) -> str:
        """Return the brokers' own addresses, past the proxies; what they advertise are the proxies."""
        return ",".join(f"{LOOPBACK}:{self.ports[name]}" for name in self.nodes)

    async def as_superuser(self) -> asyncpg.Connection:
        """Return a session on the primary."""
        kept = self.databases.of("pg_a")
        there = postgres.dsn(postgres.SUPERUSER, kept.superuser_password, kept.ports["postgres"])
        return await asyncpg.connect(there, timeout=3, ssl=False)

    async def commands(self) -> dict[str, Any]:
        """Return what `doctor` and `status` say now: their exit and what they find wrong."""
        found = await asyncio.gather(*(asyncio.to_thread(self._run, word) for word in ("doctor", "status")))
        return dict(zip(("doctor", "status"), found, strict=True))

    def _run(self, word: str) -> dict[str, Any]:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "ops.cli", word, "--json"],
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=COMMAND_SECONDS_MAX,
            )
        except subprocess.TimeoutExpired:
            return {"exit": -1, "found": f"no answer in {COMMAND_SECONDS_MAX:g} s"}
        try:
            document = json.loads(done.stdout)
        except ValueError:
            return {"exit": done.returncode, "found": done.stderr.strip()[-300:]}
        if word == "doctor":
            wrong = [f"{one['check']}: {one['found']}" for one in document["checks"] if not one["ok"]]
            return {"exit": done.returncode, "found": "; ".join(wrong) or "all ok"}
        wrong = [*document["problems"], *(f"unknown: {one}" for one in document["unknown"])]
        return {"exit": done.returncode, "found": "; ".join(wrong) or "all ok", "document": document}


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open Kafka's admin client."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


def dsn_of(ports: dict[str, int], role: str, password: str) -> str:
    """Return the DSN of both servers through their proxies."""
    hosts = f"{LOOPBACK}:{ports['proxy_pg_a']},{LOOPBACK}:{ports['proxy_pg_b']}"
    return f"postgresql://{role}:{password}@{hosts}/{postgres.DATABASE}?target_session_attrs=read-write"


def fleet_of(home: Path, environment: dict[str, str], ports: dict[str, int], *, nameless: bool) -> Fleet:
    """Return two of each role, and one dispatcher; `nameless` consumers have no instance id."""
    found = Fleet()
    for role in ("ingress", "consumer", "relay", "dispatcher"):
        for number in (1,) if role == "dispatcher" else (1, 2):
            name, own = f"{role}{number}", {}
            if role == "ingress":
                own = {"RATCHET_INGRESS__BIND": f"{LOOPBACK}:{ports[name]}"}
            if role == "consumer" and not nameless:
                own = {"RATCHET_CONSUMER__INSTANCE_ID": name}
            found.members[name] = Member(name, role, home / name, environment | own)
    return found


async def start_nodes(nodes: dict[str, Server]) -> None:
    """Start all brokers and return when they serve."""
    for server in nodes.values():
        await asyncio.to_thread(server.start)
    for name, server in nodes.items():
        await until_up(lambda server=server: serves(server), name)  # type: ignore[misc]


@asynccontextmanager
async def given(home: Path, one: Scenario) -> AsyncIterator[Given]:
    """Start everything in a new folder as a scenario wants it, wait until it is ready, and end everything."""
    ports = choose_ports()
    ways = {
        f"proxy_kafka{number}": (ports[f"proxy_kafka{number}"], ports[f"kafka{number}"])
        for number in range(1, NODES + 1)
    }
    before = "pooler_" if one.pooled else ""
    ways |= {f"proxy_{name}": (ports[f"proxy_{name}"], ports[before + name]) for name in ("pg_a", "pg_b")}
    nodes = await asyncio.to_thread(prepare_nodes, home, ports)
    with network(ways) as net, ExitStack() as poolers:
        fleet, databases = Fleet(), None
        try:
            await start_nodes(nodes)
            databases = await start_databases(home, ports)
            kept = databases.of("pg_a")
            for name in ("pg_a", "pg_b") if one.pooled else ():
                there = postgres.dsn(postgres.APP_ROLE, kept.app_password, ports[name])
                poolers.enter_context(
                    pgbouncer(home / f"pooler_{name}", there, "session", ROOM, ports[f"pooler_{name}"])
                )
            direct = postgres.dsn(postgres.OWNER_ROLE, kept.owner_password, ports["pg_a"])
            await migrate_up(direct, postgres.APP_ROLE)
            signers, secrets = choose_signers(Settings())
            bootstrap = ",".join(f"{LOOPBACK}:{ports[f'proxy_kafka{number}']}" for number in range(1, NODES + 1))
            dsn = dsn_of(ports, postgres.APP_ROLE, kept.app_password)
            kept_names = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
            environment = (
                kept_names
                | secrets
                | {
                    "RATCHET_HOME": str(home / "ops"),
                    "RATCHET_KAFKA__BOOTSTRAP": bootstrap,
                    "RATCHET_KAFKA__REPLICATION_FACTOR": str(NODES),
                    "RATCHET_POSTGRES__DSN": dsn,
                    "RATCHET_API_KEYS": json.dumps({CLIENT: API_KEY}),
                }
            )
            (home / "ops").mkdir()
            kafka = Settings().kafka.model_copy(update={"bootstrap": bootstrap, "replication_factor": NODES})
            settings = Settings().model_copy(update={"home": home / "ops", "kafka": kafka})
            fleet = fleet_of(home, environment, ports, nameless=one.nameless)
            found = Given(home, ports, nodes, databases, net, fleet, settings, signers, environment)
            point_at(found, "pg_a")
            await fleet.start()
            await fleet.until_ready(READY_SECONDS_MAX)
            yield found
        finally:
            await fleet.stop()
            servers = [*nodes.values(), *((databases.a, databases.b) if databases else ())]
            await asyncio.gather(*(asyncio.to_thread(one.stop) for one in servers))


def point_at(found: Given, name: str) -> None:
    """Let the ledger be read from this server, not through a proxy."""
    kept = found.databases.of(name)
    dsn = postgres.dsn(postgres.APP_ROLE, kept.app_password, kept.ports["postgres"])
    own = found.settings.postgres.model_copy(update={"dsn": SecretStr(dsn)})
    found.settings = found.settings.model_copy(update={"postgres": own})
