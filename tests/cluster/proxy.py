"""A TCP proxy a server, in one process of its own, whose ways can be broken: the network between roles and servers.

`stalled` holds every byte back and gives it on when the way is mended, as TCP does after lost packets;
`answers_stalled` holds back what the server says alone. `reset` ends connections by RST, those that are made meanwhile
too. `half_closed` ends the server's direction and leaves the other one open. `late` delays each chunk by `seconds`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHUNK_BYTES = 256 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: the connection ends with RST."""


class Way(StrEnum):
    """How a proxy treats what goes through it."""

    OPEN = "open"
    STALLED = "stalled"
    ANSWERS_STALLED = "answers_stalled"
    RESET = "reset"
    HALF_CLOSED = "half_closed"
    LATE = "late"


@dataclass
class Proxy:
    """One listener and the connections through it."""

    listen: int
    target: int
    way: Way = Way.OPEN
    seconds: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    clients: set[asyncio.StreamWriter] = field(default_factory=set)

    def change(self, way: Way, seconds: float) -> None:
        self.way, self.seconds = way, seconds
        self.changed.set()
        self.changed = asyncio.Event()
        if way is Way.RESET:
            for writer in list(self.writers):
                end_by_reset(writer)
        if way is Way.HALF_CLOSED:
            for writer in list(self.clients):
                with suppress(OSError, RuntimeError):
                    writer.write_eof()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.way is Way.RESET:
            end_by_reset(writer)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            end_by_reset(writer)
            return
        self.writers |= {writer, back}
        self.clients.add(writer)
        try:
            await asyncio.gather(self.carry(reader, back, answers=False), self.carry(there, writer, answers=True))
        finally:
            self.writers -= {writer, back}
            self.clients.discard(writer)
            for one in (writer, back):
                one.close()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                while self.way is Way.STALLED or (answers and self.way is Way.ANSWERS_STALLED):
                    await self.changed.wait()
                if self.way is Way.LATE:
                    await asyncio.sleep(self.seconds)
                writer.write(chunk)
                await writer.drain()
        except (OSError, RuntimeError):
            pass
        finally:
            with suppress(OSError, RuntimeError):
                writer.write_eof()


def end_by_reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    if (found := writer.get_extra_info("socket")) is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def serve_all(ports: Mapping[str, tuple[int, int]]) -> None:
    """Serve until standard input ends; each line there changes one proxy, and is answered by a line."""
    proxies = {name: Proxy(*pair) for name, pair in ports.items()}
    servers = [await asyncio.start_server(one.serve, "127.0.0.1", one.listen, backlog=512) for one in proxies.values()]
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)  # noqa: T201 - the answer on the pipe
    while line := await reader.readline():
        reported = json.loads(line)
        proxies[reported["name"]].change(Way(reported["way"]), reported["seconds"])
        print("done", flush=True)  # noqa: T201 - the answer on the pipe
    for server in servers:
        server.close()


@dataclass
class Network:
    """The proxies' process, seen from the outside."""

    ports: dict[str, tuple[int, int]]
    given: IO[str]
    output: IO[str]

    def set(self, name: str, way: Way, seconds: float = 0.0) -> None:
        """Change one way; return when it is changed."""
        self.given.write(json.dumps({"name": name, "way": way.value, "seconds": seconds}) + "\n")
        self.given.flush()
        assert self.output.readline() == "done\n"


@contextmanager
def network(ports: dict[str, tuple[int, int]]) -> Iterator[Network]:
    """Run proxies: by name, the port that they listen on and the server's."""
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(ports)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield Network(ports, process.stdin, process.stdout)
    finally:
        process.stdin.close()
        process.wait(5)
        process.stdout.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve_all({name: tuple(pair) for name, pair in json.loads(sys.argv[1]).items()}))
