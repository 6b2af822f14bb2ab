"""Which servers are away, what is missing of the copies, which disks fill up: each broker and host is asked by itself.

Kafka reports who belongs to the cluster and where copies should be, but not whether we can reach a broker. A dead
broker is missing from that report, and is known by the copies that it should have.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import collect_hosts
from aiokafka.errors import KafkaError

from runtime import metrics
from runtime.kafka import REPLICAS_FOR_TWO
from runtime.kafka_connections import leave_silent
from runtime.kafka_disks import DisksRequest, disks_of, low
from runtime.kafka_security import bootstrap_of, client_arguments
from runtime.postgres_hosts import hosts_of
from runtime.postgres_silence import answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runtime.kafka_disks import Disk
    from runtime.settings import Settings

ANSWER_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 3.0
"""Between two looks of a role."""
LOOK_SECONDS_MAX: Final = 10.0
"""How long a look may take; brokers that hang are asked for the cluster one after the other."""
PLACES_MAX: Final = 8
"""Partitions that one sentence names."""
POSTGRES_PORT: Final = 5432
API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 7, -1)
"""An ApiVersions request, version 0, as anybody may ask it before a login."""

_log = structlog.get_logger()


class Partition(NamedTuple):
    """Who leads a partition (-1: nobody), who should have a copy, and who has all of it."""

    name: str
    leader: int
    replicas: Sequence[int]
    isr: Sequence[int]


async def broker_answers(host: str, port: int, tls: ssl.SSLContext | None) -> bool:
    """Tell whether a broker says what it can do, which it does before a login; one whose TLS fails answers too."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            except ssl.SSLError:
                return True
            try:
                writer.write(API_VERSIONS)
                await reader.readexactly(8)
            finally:
                writer.close()
            return True
    return False


async def silent_hosts(dsn: str) -> list[str]:
    """Ask each host of a DSN that names several; return those that do not answer at all."""
    hosts = [urlsplit(one) for one in hosts_of(dsn)]
    if len(hosts) <= 1:
        return []
    places = [(one.hostname or "localhost", one.port or POSTGRES_PORT) for one in hosts]
    here = await asyncio.gather(*(answers(place, ANSWER_SECONDS) for place in places))
    return [f"{host}:{port}" for (host, port), found in zip(places, here, strict=True) if not found]


def lacks_of(partitions: Iterable[Partition]) -> list[str]:
    """Return which partitions have no leader, or one copy in step of three: such a one takes no writes. Pure."""
    found = list(partitions)
    headless = [one.name for one in found if one.leader < 0]
    short = [
        one.name for one in found if one.leader >= 0 and len(one.isr) == 1 and len(one.replicas) >= REPLICAS_FOR_TWO
    ]
    lines = [f"no leader for {named(headless)}"] if headless else []
    return lines + ([f"one copy alone is in step of {named(short)}: writes wait for a second one"] if short else [])


def named(places: Sequence[str]) -> str:
    """Return places in a sentence, not endlessly many. Pure."""
    more = len(places) - PLACES_MAX
    return ", ".join(places[:PLACES_MAX]) + (f" and {more} more" if more > 0 else "")


@dataclass(slots=True)
class Servers:
    """Looks again and again, over one connection to Kafka that is made anew after a failure."""

    settings: Settings
    disks: list[str] = field(default_factory=list)
    """Which brokers' disks had less than `disk_free_bytes_min` at the last look, a sentence each."""
    _client: AIOKafkaClient | None = None
    _places: dict[int, str] = field(default_factory=dict)
    """Where each broker was seen: one that has left is recognized by that."""

    async def away(self) -> list[str]:
        """Return one sentence for each server that is away, and for what copies lack; what it finds is never raised."""
        brokers, hosts = await asyncio.gather(self.brokers(), self.hosts())
        metrics.SERVERS_AWAY.labels("kafka").set(len(brokers))
        metrics.SERVERS_AWAY.labels("postgres").set(len(hosts))
        metrics.DISKS_LOW.set(len(self.disks))
        return [*brokers, *hosts]

    async def close(self) -> None:
        """Let the connection go."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await client.close()

    async def keep(self, facts: dict[str, object]) -> None:
        """Look until cancelled; show what was found in a probe's facts, and log what changes."""
        before: list[str] = []
        try:
            while True:
                found = await self.away()
                facts["away"], facts["disks"] = found, self.disks
                if found != before:
                    _log.warning("servers_away" if found else "servers_back", servers=found or before)
                before = found
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self.close()

    async def hosts(self) -> list[str]:
        """Return one sentence for each host of a DSN with several that does not answer at all."""
        dsn = self.settings.postgres.dsn
        silent = [] if dsn is None else await silent_hosts(dsn.get_secret_value())
        return [f"Postgres at {place} does not answer" for place in silent]

    async def brokers(self) -> list[str]:
        """Return one sentence for each broker that is away, and for what copies lack."""
        if self.settings.kafka.bootstrap is None:
            return []
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                cluster = await self._cluster()
        except (KafkaError, OSError, TimeoutError):
            await self.close()
            return await self._silent_bootstrap()
        brokers = {one.nodeId: (one.host, one.port) for one in cluster.brokers()}
        self._places |= {node: f"{host}:{port}" for node, (host, port) in brokers.items()}
        partitions = partitions_of(cluster, [topic.name for topic in self.settings.kafka.topics.all])
        gone = {node for one in partitions for node in one.replicas} - brokers.keys()
        silent, self.disks = await asyncio.gather(self._silent(brokers), self._disks(brokers))
        if closed := leave_silent({node: self._places.get(node, "") for node in {*silent, *gone}}, ANSWER_SECONDS):
            _log.warning("connections_to_silent_brokers_closed", brokers=closed)
        away = [f"broker {self._shown(node)} does not answer" for node in silent]
        left = [f"broker {self._shown(node)} has left the cluster" for node in sorted(gone)]
        return [*away, *left, *lacks_of(partitions)]

    async def _silent(self, brokers: Mapping[int, tuple[str, int]]) -> list[int]:
        here = await self._answers(brokers.values())
        return sorted(node for node, answered in zip(brokers, here, strict=True) if not answered)

    async def _answers(self, places: Iterable[tuple[str, int]]) -> list[bool]:
        tls = client_arguments(self.settings.kafka)["ssl_context"]
        return await asyncio.gather(*(broker_answers(*place, tls) for place in places))

    async def _disks(self, nodes: Iterable[int]) -> list[str]:
        """Return which brokers' disks fill up; a broker that does not report is left out."""
        lines = await asyncio.gather(*(self._disks_of(node) for node in nodes))
        bytes_min = self.settings.ops.disk_free_bytes_min
        return sorted(f"broker {self._shown(node)}: {one}" for node, disks in lines for one in low(disks, bytes_min))

    async def _disks_of(self, node: int) -> tuple[int, list[Disk]]:
        if self._client is None:
            return node, []
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return node, disks_of(await self._client.send(node, DisksRequest()))
        except (KafkaError, NotImplementedError, OSError, TimeoutError):  # away, or older than the question
            return node, []

    async def _silent_bootstrap(self) -> list[str]:
        """Return the bootstrap addresses that are silent, where no broker could be asked for the cluster."""
        places = [(host, port) for host, port, _ in collect_hosts(bootstrap_of(self.settings.kafka))]
        here = await self._answers(places)
        silent = sorted(f"{host}:{port}" for (host, port), answered in zip(places, here, strict=True) if not answered)
        if not silent:
            return ["no broker tells who belongs to the cluster"]
        return [f"broker {self._place_shown(place)} does not answer" for place in silent]

    def _shown(self, node: int) -> str:
        return f"{node} ({self._places[node]})" if node in self._places else str(node)

    def _place_shown(self, place: str) -> str:
        found = next((node for node, known in self._places.items() if known == place), None)
        return place if found is None else self._shown(found)

    async def _cluster(self) -> Any:
        """Return what any broker that answers reports of all."""
        if self._client is None:
            client = AIOKafkaClient(
                **client_arguments(self.settings.kafka), request_timeout_ms=int(ANSWER_SECONDS * 1000)
            )
            self._client = client
            await client.bootstrap()
        return await self._client.fetch_all_metadata()


def partitions_of(cluster: Any, topics: Iterable[str]) -> list[Partition]:
    """Return the partitions of these topics as Kafka's client has them: it has no public way to their copies."""
    return [
        Partition(f"{topic}/{number}", one.leader, one.replicas, one.isr)
        for topic in topics
        for number, one in sorted(cluster._partitions.get(topic, {}).items())  # noqa: SLF001 - see above
    ]
