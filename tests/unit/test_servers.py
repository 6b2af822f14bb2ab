"""Which servers are away, as every role, `doctor`, `status` and the console tell it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import BrokerMetadata, PartitionMetadata
from pydantic import SecretStr
from waiting import until

from ops import availability
from runtime import metrics
from runtime import servers as module
from runtime.kafka_disks import Disk, DisksRequest, low
from runtime.servers import Partition, Servers, broker_answers, lacks_of, named
from runtime.settings import KafkaSettings, OpsSettings, PostgresSettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

ANSWER = {18: b"\x00\x00\x00\x04\x00\x00\x00\x07", 8: b"N"}
"""What a broker and a Postgres say, by the length of what they are asked first."""


@asynccontextmanager
async def server_of(length: int) -> AsyncIterator[int]:
    """Serve a broker (18 bytes are asked) or a Postgres (8); yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(ANSWER[length])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


class Cluster:
    """What Kafka tells: who belongs to it, and a partition with copies on 1, 2 and 3."""

    def __init__(self, brokers: dict[int, int], isr: list[int]) -> None:
        self._brokers = brokers
        part = PartitionMetadata("payments.webhooks", 0, isr[0] if isr else -1, [1, 2, 3], isr, None)
        self._partitions = {"payments.webhooks": {0: part}, "of.others": {0: part}}

    def brokers(self) -> set[BrokerMetadata]:
        return {BrokerMetadata(node, "127.0.0.1", port, None) for node, port in self._brokers.items()}


def settings_of(dsn: str | None = None, bootstrap: str = "127.0.0.1:1") -> Settings:
    kafka = KafkaSettings(bootstrap=bootstrap)
    postgres = PostgresSettings(dsn=SecretStr(dsn) if dsn else None)
    return Settings().model_copy(update={"kafka": kafka, "postgres": postgres})


def telling(monkeypatch: pytest.MonkeyPatch, found: Servers, *clusters: Any) -> None:
    """Let Kafka tell one cluster after the other; an error is raised."""
    left = list(clusters)

    async def cluster(_self: Servers) -> Any:
        one = left.pop(0)
        if isinstance(one, BaseException):
            raise one
        return one

    monkeypatch.setattr(Servers, "_cluster", cluster)


async def test_a_dead_broker_is_known_by_the_copies_it_should_have_and_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with server_of(18) as one, server_of(18) as two, server_of(18) as three:
        found = Servers(settings_of())
        all_there = Cluster({1: one, 2: two, 3: three}, [1, 2, 3])
        telling(monkeypatch, found, all_there, Cluster({1: one, 3: three}, [1, 3]), Cluster({1: one}, [1]))
        assert await found.away() == []
        assert await found.away() == [f"broker 2 (127.0.0.1:{two}) has left the cluster"]
        assert (await found.away())[1:] == [
            f"broker 3 (127.0.0.1:{three}) has left the cluster",
            "one copy alone is in step of payments.webhooks/0: writes wait for a second one",
        ]


async def test_a_broker_that_the_others_reach_and_we_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
    tls = ssl.create_default_context()
    async with server_of(18) as one, server_of(18) as three:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            two = silent.getsockname()[1]
            found = Servers(settings_of())
            telling(monkeypatch, found, Cluster({1: one, 2: two, 3: three}, [1, 2, 3]))
            assert await found.brokers() == [f"broker 2 (127.0.0.1:{two}) does not answer"]
            assert not await broker_answers("127.0.0.1", two, tls)
            monkeypatch.undo()
            assert await broker_answers("127.0.0.1", one, tls), "it speaks, though no TLS"


async def test_where_nobody_tells_of_the_cluster_those_of_the_bootstrap_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with server_of(18) as one:
        found = Servers(settings_of(bootstrap=f"127.0.0.1:{one},127.0.0.1:1"))
        cluster = Cluster({1: one, 2: 1}, [1, 2])
        telling(monkeypatch, found, KafkaConnectionError(), cluster, TimeoutError())
        assert await found.brokers() == ["broker 127.0.0.1:1 does not answer"]
        await found.brokers()
        assert await found.brokers() == ["broker 2 (127.0.0.1:1) does not answer"], "once it was seen, by its number"


async def test_each_host_of_a_dsn_is_asked() -> None:
    async with server_of(8) as live:
        dsn = f"postgresql://u:p@127.0.0.1:{live},127.0.0.1:1/d"
        found = Servers(settings_of(dsn).model_copy(update={"kafka": KafkaSettings()}))
        assert await found.away() == ["Postgres at 127.0.0.1:1 does not answer"]
        alone = Servers(settings_of("postgresql://u:p@127.0.0.1:1/d"))
        assert await alone.hosts() == [], "the only one is missed by everybody who uses it"


async def test_a_probe_shows_it_from_the_first_look_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Servers(settings_of("postgresql://u:p@127.0.0.1:1,127.0.0.1:1/d"))
    telling(monkeypatch, found, Cluster({}, [1, 2, 3]))
    facts: dict[str, object] = {}
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600)
    keeping = asyncio.create_task(found.keep(facts))
    await until(lambda: "away" in facts)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    away = facts["away"]
    assert isinstance(away, list)
    assert away[:1] == ["broker 1 has left the cluster"]
    assert away[-1] == "Postgres at 127.0.0.1:1 does not answer"


def test_what_takes_no_writes_is_named() -> None:
    parts = [
        Partition("a/0", -1, [1, 2, 3], []),
        Partition("a/1", 1, [1, 2, 3], [1]),
        Partition("a/2", 1, [1, 2, 3], [1, 2]),
        Partition("a/3", 1, [1], [1]),
        Partition("a/4", 0, [0, 1, 2], [0, 1]),  # a broker's number may be 0
        Partition("a/5", -1, [1, 2, 3], [1]),
    ]
    assert lacks_of(parts) == [
        "no leader for a/0, a/5",
        "one copy alone is in step of a/1: writes wait for a second one",
    ]
    assert lacks_of(parts[2:5]) == []
    assert named([f"a/{number}" for number in range(10)]).endswith("a/7 and 2 more")


def test_a_disk_is_named_before_it_is_full() -> None:
    disks = [Disk("/data", 10**11, 9 * 10**8), Disk("/more", 10**11, 2 * 10**9), Disk("/unknown", -1, -1)]
    disks += [Disk("/full", 10**11, 0), Disk("/enough", 10**11, 10**9)]
    assert low(disks, 10**9) == ["/data has 0.9 GB free of 100.0", "/full has 0.0 GB free of 100.0"]
    found = availability.disks_finding(["broker 1: /data has 0.9 GB free of 100.0"])
    assert (found.ok, found.found) == (False, "broker 1: /data has 0.9 GB free of 100.0")
    assert availability.disks_finding([]).ok


async def test_a_look_asks_each_broker_for_its_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reported:
        def __init__(self, code: int) -> None:
            self.code = code

        def to_object(self) -> dict[str, Any]:
            return {"error_code": self.code, "folders": [{"folder": "/d", "total_bytes": 10**9, "free_bytes": 5}]}

    class Client:
        async def send(self, node: int, _request: DisksRequest) -> Reported:
            if node == 3:
                raise NotImplementedError
            return Reported(31 if node == 2 else 0)

        async def close(self) -> None:
            """Nothing is open."""

    async with server_of(18) as port:
        found = Servers(settings_of())
        found._client = Client()
        telling(monkeypatch, found, Cluster({1: port, 2: port, 3: port}, [1, 2, 3]))
        assert await found.away() == []
        assert found.disks == [f"broker 1 (127.0.0.1:{port}): /d has 0.0 GB free of 1.0"]


class Client:
    """A client of Kafka that hangs or fails where the test wants it to."""

    def __init__(self, *, reached: bool = True, closes: bool = True) -> None:
        self.reached, self.closes = reached, closes
        self.closed = 0

    async def bootstrap(self) -> None:
        await asyncio.sleep(0)
        if not self.reached:
            raise KafkaConnectionError

    async def close(self) -> None:
        self.closed += 1
        await (asyncio.sleep(0) if self.closes else asyncio.Event().wait())


async def test_a_client_that_reached_nobody_is_closed_and_one_that_does_not_close_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.01)
    made = Client(reached=False, closes=False)
    monkeypatch.setattr(module, "AIOKafkaClient", lambda **_: made)
    found = Servers(settings_of())
    async with asyncio.timeout(10.0):
        assert await found.brokers() == ["broker 127.0.0.1:1 does not answer"]
    assert (made.closed, found._client) == (1, None), "the next look makes another one"


async def test_what_was_looked_with_when_a_look_failed_is_not_looked_with_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Servers(settings_of())
    found._client = before = Client()
    telling(monkeypatch, found, KafkaConnectionError())
    await found.brokers()
    assert (before.closed, found._client) == (1, None)


async def test_connections_to_silent_brokers_and_to_those_that_left_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[dict[int, str]] = []
    monkeypatch.setattr(module, "leave_silent", lambda places, _seconds: left.append(places))
    async with server_of(18) as one:
        found = Servers(settings_of())
        telling(monkeypatch, found, Cluster({1: one, 2: 1, 3: one}, [1, 2, 3]), Cluster({1: one, 2: 1}, [1, 2]))
        await found.brokers()
        await found.brokers()
    silent = {2: "127.0.0.1:1"}
    assert left == [silent, silent | {3: f"127.0.0.1:{one}"}]


async def test_a_host_without_a_port_is_asked_at_postgres_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    async def answers(place: tuple[str, int], _seconds: float) -> bool:
        await asyncio.sleep(0)
        asked.append(place)
        return place[0] != "b"

    monkeypatch.setattr(module, "answers", answers)
    assert await module.silent_hosts("postgresql://u:p@a,b,c:6432/d") == ["b:5432"]
    assert asked == [("a", 5432), ("b", 5432), ("c", 6432)]


async def test_each_kind_of_server_is_counted_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Servers(settings_of("postgresql://u:p@127.0.0.1:1,127.0.0.1:1/d"))
    telling(monkeypatch, found, Cluster({}, [1, 2, 3]))
    found.disks = ["broker 1: /d"]

    async def disks(_self: Servers, _nodes: Any) -> list[str]:
        await asyncio.sleep(0)
        return ["broker 1: /d"]

    monkeypatch.setattr(Servers, "_disks", disks)
    await found.away()
    counts = [metrics.SERVERS_AWAY.labels(kind)._value.get() for kind in ("kafka", "postgres")]
    assert (counts, metrics.DISKS_LOW._value.get()) == ([3, 2], 1)


async def test_a_disk_that_fills_up_is_shown_though_nobody_came_or_went(monkeypatch: pytest.MonkeyPatch) -> None:
    found, facts = Servers(settings_of()), dict[str, object]()
    full = iter([[], ["broker 1: /d has 0.1 GB free of 1.0"]])

    async def away(self: Servers) -> list[str]:
        await asyncio.sleep(0)
        self.disks = next(full, self.disks)
        return []

    monkeypatch.setattr(Servers, "away", away)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    keeping = asyncio.create_task(found.keep(facts))
    await until(lambda: facts.get("disks"))
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_how_little_room_is_named_is_the_setting_of_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of()
    found = Servers(
        settings.model_copy(update={"ops": OpsSettings(disk_free_bytes_min=10, standby_lag_bytes_max=1000)})
    )

    async def folders(_self: Servers, node: int) -> tuple[int, list[Disk]]:
        await asyncio.sleep(0)
        return node, [Disk("/d", 1000, free) for free in (9, 10)]

    monkeypatch.setattr(Servers, "_disks_of", folders)
    assert await found._disks([1]) == ["broker 1: /d has 0.0 GB free of 0.0"]
