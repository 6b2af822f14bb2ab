"""A start that is cut short leaves no connection open, and one to a broker that hangs is not waited for."""

from __future__ import annotations

import asyncio
import inspect
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka import conn as connection_module
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from ratchet_client import react
from ratchet_client.connections import Connection as ClientsConnection
from ratchet_client.connections import notice_losses
from ratchet_client.join import consumer_of
from ratchet_client.publish import Publisher
from runtime import kafka_connections
from runtime.kafka_connections import leave_silent
from runtime.kafka_security import client_arguments
from runtime.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

METADATA = 3
VERSIONS = struct.pack(">hi", 0, 1) + struct.pack(">hhh", METADATA, 0, 1)
"""The answer to the first question: no error, one kind of request that this broker knows."""


class Broker:
    """Says its versions and answers nothing else; notes when a connection ends."""

    def __init__(self) -> None:
        self.writer: asyncio.StreamWriter | None = None
        self.asked = asyncio.Event()
        self.ended = asyncio.Event()
        self.place = ("", 0)
        self.versions = True
        self.knows: tuple[int, str, int] | None = None
        """The one broker of the cluster, given once; after that nothing is answered."""

    @property
    def address(self) -> str:
        return f"{self.place[0]}:{self.place[1]}"

    def lose(self, *, reset: bool) -> None:
        """End the connection, by a reset or by its end alone."""
        assert self.writer is not None
        if reset:
            place = self.writer.get_extra_info("socket")
            place.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            await self._answer(reader, writer)
            self.asked.set()
            await reader.read()
        finally:
            self.ended.set()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            kind, _, number = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
            known = self.knows
            if kind == METADATA and known is not None:
                self.knows = None
                node, host, port = known
                member = struct.pack(">iih", 1, node, len(host)) + host.encode() + struct.pack(">i", port)
                answer = struct.pack(">i", number) + member + struct.pack(">hii", -1, node, 0)
            elif kind == METADATA or not self.versions:
                return
            else:
                answer = struct.pack(">i", number) + VERSIONS
            writer.write(struct.pack(">i", len(answer)) + answer)


@asynccontextmanager
async def silent_broker() -> AsyncIterator[Broker]:
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.place = server.sockets[0].getsockname()
    async with server:
        yield broker


@pytest.mark.parametrize("make", [AIOKafkaAdminClient, AIOKafkaConsumer])
async def test_a_start_that_runs_out_of_time_closes_its_connection(make: type) -> None:
    async with silent_broker() as broker:
        client = make(**client_arguments(KafkaSettings(bootstrap=broker.address)))
        starting = asyncio.create_task(client.start())
        await asyncio.wait_for(broker.asked.wait(), 5)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await asyncio.wait_for(broker.ended.wait(), 5)
        await (client.close() if make is AIOKafkaAdminClient else client.stop())


async def test_whoever_waits_for_a_silent_broker_is_let_go_and_others_are_not() -> None:
    async with silent_broker() as broker:
        client = AIOKafkaClient(**client_arguments(KafkaSettings(bootstrap=broker.address)))
        broker.knows = (9, *broker.place)
        await client.bootstrap()
        asking = asyncio.create_task(client.send(9, MetadataRequest([])))
        await asyncio.wait_for(broker.asked.wait(), 5)
        assert leave_silent({9: broker.address}, 60.0) == [], "it was heard a moment ago"
        assert leave_silent({1: ""}, 0.0) == [], "another one"
        assert leave_silent({9: broker.address}, 0.0) == [9]
        with pytest.raises(KafkaConnectionError):
            await asyncio.wait_for(asking, 5)
        await client.close()


@pytest.mark.parametrize(("silent", "seconds"), [(False, 0.1), (True, 600.0)])
async def test_a_connection_that_does_not_open_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, *, silent: bool, seconds: float
) -> None:
    """One to a broker that was silent at the last look is tried for a moment, however long others may take."""
    monkeypatch.setattr(kafka_connections, "SILENT_CONNECT_SECONDS", 0.1)
    async with silent_broker() as broker:
        broker.versions = False
        settings = KafkaSettings(bootstrap=broker.address, connect_timeout_seconds=seconds)
        client = AIOKafkaClient(**client_arguments(settings))
        leave_silent({1: broker.address} if silent else {}, 0.0)
        with pytest.raises(KafkaConnectionError):
            await asyncio.wait_for(client.bootstrap(), 5)
        await asyncio.wait_for(broker.ended.wait(), 5)
        leave_silent({}, 0.0)
        await client.close()


@dataclass(frozen=True)
class Losing:
    """How a connection is lost: by a reset or by its end alone; under which event loop; whose connection it is."""

    reset: bool
    run: Callable[[Coroutine[None, None, None]], None]
    ours: type

    def __str__(self) -> str:
        return f"{'reset' if self.reset else 'end'}-{self.run.__module__}-{self.ours.__module__}"


async def lose_a_connection_under_a_writer(how: Losing) -> None:
    async with silent_broker() as broker:
        connection = how.ours(*broker.place, request_timeout_ms=5_000)
        await connection.connect()
        waiting: list[asyncio.Future[object]] = []

        async def write_on() -> None:
            while True:
                waiting.append(asyncio.ensure_future(connection.send(MetadataRequest([]))))
                await asyncio.sleep(0)

        writing = asyncio.create_task(write_on())
        await asyncio.wait_for(broker.asked.wait(), 5)
        broker.lose(reset=how.reset)
        with pytest.raises(KafkaConnectionError):
            await asyncio.wait_for(writing, 5)
        for ended in await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5):
            assert isinstance(ended, KafkaConnectionError), "whoever waits is let go"
        assert not connection.connected()


@pytest.mark.parametrize(
    "how",
    [
        Losing(reset, run, ours)
        for reset in (True, False)
        for run in (uvloop.run, asyncio.run)
        for ours in (kafka_connections.Connection, ClientsConnection)
    ],
    ids=str,
)
def test_a_connection_that_is_lost_under_a_writer_is_lost_by_the_clients_own_error(how: Losing) -> None:
    """On uvloop the client raises RuntimeError, and the task that wrote ends for good (aio-libs/aiokafka#1038)."""
    how.run(lose_a_connection_under_a_writer(how))


@pytest.mark.parametrize("ours", [kafka_connections.Connection, ClientsConnection], ids=["runtime", "client"])
async def test_a_request_that_fails_on_a_connection_that_lives_closes_nothing(ours: type) -> None:
    class Unable(MetadataRequest):  # type: ignore[misc]
        def prepare(self, _versions: object) -> None:
            raise NotImplementedError

    async with silent_broker() as broker:
        connection = ours(*broker.place, request_timeout_ms=5_000)
        await connection.connect()
        with pytest.raises(NotImplementedError):
            connection.send(Unable([]))
        assert connection.connected()
        connection.close()
        with pytest.raises(KafkaConnectionError, match="No connection"):
            connection.send(MetadataRequest([]))


async def test_the_older_way_to_log_in_notices_a_loss_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with silent_broker() as broker:
        connection = kafka_connections.Connection(*broker.place, request_timeout_ms=5_000)
        await connection.connect()
        connection._writer.transport.abort()

        def closed(_bytes: bytes) -> None:
            raise RuntimeError("the handler is closed")

        monkeypatch.setattr(connection._writer, "write", closed)
        with pytest.raises(KafkaConnectionError, match="was lost"):
            connection._send_sasl_token(b"token")
        assert not connection.connected()


def test_every_client_of_the_process_opens_such_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "AIOKafkaConnection", AIOKafkaConnection)
    assert "AIOKafkaConnection(" in inspect.getsource(connection_module.create_conn), "it is looked up in the module"
    client_arguments(KafkaSettings(bootstrap="127.0.0.1:1"))
    assert connection_module.AIOKafkaConnection is kafka_connections.Connection


@pytest.mark.parametrize(
    "makes",
    [lambda: consumer_of("127.0.0.1:1", "group", "topic"), lambda: Publisher("127.0.0.1:1")],
    ids=["consumer", "publisher"],
)
async def test_what_the_python_client_opens_is_such_a_connection_too(
    monkeypatch: pytest.MonkeyPatch, makes: Callable[[], object]
) -> None:
    """One that the program put there itself is left."""
    monkeypatch.setattr(connection_module, "AIOKafkaConnection", AIOKafkaConnection)
    made: Any = makes()
    assert connection_module.AIOKafkaConnection is ClientsConnection
    connection_module.AIOKafkaConnection = kafka_connections.Connection
    notice_losses()
    assert connection_module.AIOKafkaConnection is kafka_connections.Connection
    await (made.stop() if isinstance(made, AIOKafkaConsumer) else made._producer.stop())


async def test_a_handlers_own_producer_opens_such_connections_from_its_first_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It connects before the reader beside it is made."""
    seen: list[type] = []

    class Producer:
        def __init__(self, **_: object) -> None:
            seen.append(connection_module.AIOKafkaConnection)

        async def start(self) -> None:
            raise KafkaConnectionError

    monkeypatch.setattr(connection_module, "AIOKafkaConnection", AIOKafkaConnection)
    monkeypatch.setattr(react, "AIOKafkaProducer", Producer)
    with pytest.raises(KafkaConnectionError):
        await react.Reactor("127.0.0.1:1", "group", "letters").run()
    assert seen == [ClientsConnection]
