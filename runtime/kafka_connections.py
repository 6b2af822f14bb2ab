"""What Kafka's client leaves undone with its connections: a start cut short, a broker that hangs, a loss on uvloop.

aiokafka 0.14 closes its first connection when a broker refuses the question that follows, not when whoever waits for
the answer gives up: each start that ran into its time limit left a socket behind, until Python looked for garbage. And
it waits for a broker that hangs as long as for the slowest request, a rebalance: a consumer noticed a frozen broker
after 20 s, long after others led its partitions.

On uvloop a write to a connection that was just lost raises RuntimeError, where asyncio's own loop drops what is
written. The client foresees OSError alone, and the task that wrote ends: the one that fetches, or the one that asks for
metadata, and nobody starts it again (aio-libs/aiokafka#1038). A consumer then stays in its group and reads nothing.

The client has no seam for any of it; `leave_silent` and what stands in for its own `create_conn`, `bootstrap` and
connection know its insides, and tests hold them against real connections.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from aiokafka import client as client_module
from aiokafka import conn as connection_module
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason, create_conn
from aiokafka.errors import KafkaConnectionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

SILENT_CONNECT_SECONDS: Final = 0.5
"""How long a connection to a broker may take to open that was silent at the last look: a look itself takes longer."""
_CLIENTS: Final[WeakSet[AIOKafkaClient]] = WeakSet()
"""The clients of this process, those inside consumers and producers too, from their start on."""


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """A connection that tells its loss by the client's own error, on every event loop."""

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - the client's own
        """Send a request; return what waits for its answer. Raise KafkaConnectionError where the connection is lost."""
        return self._noticing_loss(super().send, request, expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002
        return self._noticing_loss(super()._send_sasl_token, payload, expect_response)

    def _noticing_loss(self, send: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return send(*arguments)
        except RuntimeError as error:
            if self._writer is None or not self._writer.transport.is_closing():
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"Connection to {self.host}:{self.port} was lost") from error


class _Opened:
    """The connections of one bootstrap; what its tasks open later is not its own."""

    def __init__(self) -> None:
        self.connections: list[Any] | None = []

    def note(self, connection: Any) -> None:
        if self.connections is not None:
            self.connections.append(connection)

    def close(self) -> None:
        for connection in self.connections or ():
            connection.close()


_OPENED: Final[ContextVar[_Opened | None]] = ContextVar("opened", default=None)


class _Connecting:
    """Opens connections in the client's stead, each within a time; the client waits for one at a time."""

    seconds_max: float = 5.0
    silent: frozenset[str] = frozenset()
    """Where a broker was silent at the last look."""

    async def create(self, host: str, port: int, **named: Any) -> Any:
        silent = f"{host}:{port}" in self.silent
        async with asyncio.timeout(min(self.seconds_max, SILENT_CONNECT_SECONDS) if silent else self.seconds_max):
            connection = await create_conn(host, port, **named)
        if (opened := _OPENED.get()) is not None:
            opened.note(connection)
        return connection


_CONNECTING: Final = _Connecting()


def _closing(bootstrap: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    @wraps(bootstrap)
    async def closing(self: Any) -> None:
        _CLIENTS.add(self)
        opened = _Opened()
        token = _OPENED.set(opened)
        try:
            await bootstrap(self)
        except BaseException:
            opened.close()
            raise
        finally:
            opened.connections = None
            _OPENED.reset(token)

    return closing


_BOOTSTRAP: Final = _closing(AIOKafkaClient.bootstrap)


def bound_connections(connect_seconds_max: float) -> None:
    """Let every client of this process open each connection in this time, notice its loss, and close what is left."""
    _CONNECTING.seconds_max = connect_seconds_max
    connection_module.AIOKafkaConnection = Connection
    client_module.create_conn = _CONNECTING.create
    AIOKafkaClient.bootstrap = _BOOTSTRAP


def leave_silent(brokers: Mapping[int, str], seconds: float) -> list[int]:
    """Stop waiting for these brokers, each by its number and address, until this is called again without them.

    Connections on which requests wait and nothing came for `seconds` are closed: whoever waits there gets the error of
    a lost connection, asks the other brokers who leads now, and goes on with it. New ones are tried for a moment only.
    Returns the brokers whose connections were closed, sorted.
    """
    _CONNECTING.silent = frozenset(brokers.values())
    now, closed = time.monotonic(), set()
    for client in list(_CLIENTS):
        for (broker, _), connection in list(client._conns.items()):  # noqa: SLF001 - see above
            if broker in brokers and connection._requests and now - connection._last_action > seconds:  # noqa: SLF001
                connection.close(reason=CloseReason.CONNECTION_BROKEN)
                closed.add(broker)
    return sorted(closed)
