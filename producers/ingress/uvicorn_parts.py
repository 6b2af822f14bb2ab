"""Three small parts of uvicorn's connection that ours are put in the place of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final

from uvicorn.protocols.http.flow_control import FlowControl

if TYPE_CHECKING:
    from producers.ingress.http_protocol import HttpProtocol

READ_BYTES: Final = 16 * 1024
"""How much of a connection is read at once, and the most that waits unparsed behind a request under way."""


class CycleTransport:
    """What a connection's responses write to: closing it lingers while the request's body is still coming in."""

    __slots__ = ("_close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Any) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self._close = close

    def close(self) -> None:
        self._close()


class HeldFlow(FlowControl):
    """uvicorn's flow control that stays paused while `held`: its request cycles resume reading whenever they like."""

    held = False

    def hold(self) -> None:
        """Pause reading until `release`."""
        self.held = True
        self.pause_reading()

    def release(self) -> None:
        """Read on."""
        self.held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class SharedReader(asyncio.BufferedProtocol):
    """What the loop calls for one connection: it reads into a buffer that all connections of a class share.

    So no read is larger than READ_BYTES, whichever loop it is, and no connection has a buffer of its own.
    """

    buffer: ClassVar[memoryview] = memoryview(bytearray(READ_BYTES))

    def __init__(self, protocol: HttpProtocol) -> None:
        self._protocol = protocol
        self.connection_made = protocol.connection_made  # type: ignore[method-assign, assignment]
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(self.buffer[:nbytes]))

    def eof_received(self) -> None:
        self._protocol.eof_received()
