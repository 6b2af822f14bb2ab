"""A start that is cut short leaves no connection open, and one to a broker that hangs is not waited for."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from runtime import kafka_connections
from runtime.kafka_connections import leave_silent
from runtime.kafka_security import client_arguments
from runtime.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

METADATA = 3
VERSIONS = struct.pack(">hi", 0, 1) + struct.pack(">hhh", METADATA, 0, 1)
"""The answer to the first question: no error, one kind of request that this broker knows."""


class Broker:
    """Says its versions and answers nothing else; notes when a connection ends."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.ended = asyncio.Event()
        self.place = ("", 0)
        self.versions = True
        self.knows: tuple[int, str, int] | None = None
        """The one broker of the cluster, given once; after that nothing is answered."""

    @property
    def address(self) -> str:
        return f"{self.place[0]}:{self.place[1]}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
