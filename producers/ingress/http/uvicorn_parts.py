"""Four parts of uvicorn's connection that ours are put in the place of.

uvicorn's own cycle takes an answer apart again, looks at each header with two patterns and writes head and body one
after the other; that costs more than the check of a signature. An answer that is whole has its head made before, and
checked once (`answers.head_of`). Everything else goes by ASGI's messages, as uvicorn has it.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from producers.ingress.answers import CLOSE

if TYPE_CHECKING:
    from producers.ingress.answers import Answer, RawHeaders
    from producers.ingress.http.protocol import HttpProtocol

READ_BYTES: Final = 16 * 1024
"""How much of a connection is read at once, and the most that waits unparsed behind a request under way."""
REQUEST_ID: Final = b"x-request-id: "
HEAD_END: Final = b"\r\n\r\n"
DATES_HELD_MAX: Final = 2
"""Seconds whose date is kept as a header's line."""


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


@lru_cache(DATES_HELD_MAX)
def own_lines(headers: RawHeaders) -> bytes:
    """Return the headers that the server puts on every answer, each with its line's end: the date, for a second."""
    return b"".join(b"%s: %s\r\n" % header for header in headers)


class HttpCycle(RequestResponseCycle):
    """uvicorn's request and answer, which can also send a whole answer."""

    def send_whole(self, answer: Answer, request_id: bytes) -> bool:
        """Send the answer in one write; return False, and send nothing, where it must go by ASGI's messages.

        That is where the connection ends with it, where the method is HEAD, and where the sender reads too slowly.
        """
        if not self._can_go_at_once(answer):
            return False
        head = STATUS_LINE[answer.status] + own_lines(tuple(self.default_headers)) + answer.head()
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        self.transport.write(b"".join((head, REQUEST_ID, request_id, HEAD_END, answer.body)))
        self.message_event.set()
        self.on_response()
        return True

    def _can_go_at_once(self, answer: Answer) -> bool:
        return (
            self.keep_alive
            and not self.response_started
            and not self.disconnected
            and not self.flow.write_paused
            and answer.status != HTTPStatus.NO_CONTENT
            and CLOSE not in answer.headers
            and self.scope["method"] != "HEAD"
        )
