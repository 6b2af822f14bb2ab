"""A start that is cut short leaves no connection to a broker open."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

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
        self.address = ""

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
            if kind == METADATA:
                return
            answer = struct.pack(">i", number) + VERSIONS
            writer.write(struct.pack(">i", len(answer)) + answer)


@asynccontextmanager
async def silent_broker() -> AsyncIterator[Broker]:
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    broker.address = f"{host}:{port}"
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
