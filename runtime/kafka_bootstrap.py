"""Closing the connection of a start that was cut short.

aiokafka 0.14 closes its first connection when a broker refuses the question that follows, not when whoever waits for
the answer gives up: each start that ran into its time limit left a socket to the broker behind, until Python looked for
garbage. The client has no seam for this, so its own `bootstrap` runs inside one that knows what was opened.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from aiokafka import client as client_module
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


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


async def _create_conn(*arguments: Any, **named: Any) -> Any:
    connection = await create_conn(*arguments, **named)
    if (opened := _OPENED.get()) is not None:
        opened.note(connection)
    return connection


def _closing(bootstrap: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    @wraps(bootstrap)
    async def closing(self: Any) -> None:
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


def close_what_a_start_leaves() -> None:
    """Let every client of this process close the connection of a start that is cancelled or runs out of time."""
    client_module.create_conn = _create_conn
    AIOKafkaClient.bootstrap = _BOOTSTRAP
