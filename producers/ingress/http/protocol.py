"""The connection: how long and how large a head may be, and framing that cannot be read in two ways.

uvicorn keeps a half-sent request open for as long as bytes drip and no application sees it, so the deadline stands
here. A refusal before a request exists is answered here too, as a problem; a refused sender may finish sending for a
moment (a lingering close), or the reset that follows unread data would take the answer away from it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from urllib.parse import unquote

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from producers.ingress.answers import CLOSE, of_problem
from producers.ingress.http.connection_places import Places
from producers.ingress.http.framing import (
    BLANK_LINE,
    HeadTooLargeError,
    MalformedHeadError,
    body_bytes,
    need_one_framing,
    need_one_host,
    need_version,
    next_piece,
)
from producers.ingress.http.uvicorn_parts import CycleTransport, HeldFlow, HttpCycle, SharedReader
from schemas import problems

if TYPE_CHECKING:
    from producers.ingress.answers import RawHeaders
    from producers.ingress.sources import Network
    from schemas.problems import Problem

_log = structlog.get_logger()

REFUSALS_HELD_MAX: Final = 16
UNREAD_SHARE: Final = 0.75
"""An answer that is being read slowly must shrink to this much of itself within each write deadline."""


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """The bounds of a connection. The deadline runs from a head's first byte (or the connection's start) to its end.

    Above `connection_places.CROWDED_SHARE` of `connections_max` it is `crowded_deadline_seconds`, and so is the time
    that a connection may rest between requests. An answer that is not read for `write_deadline_seconds` ends the
    connection. `connections_per_address_max` does not hold for `trusted_proxies`.
    """

    deadline_seconds: float
    head_bytes_max: int
    linger_seconds: float
    connections_max: int
    retry_after_seconds: int
    head_fields_max: int = 100
    connections_per_address_max: int = 256
    crowded_deadline_seconds: float = 3.0
    write_deadline_seconds: float = 10.0
    trusted_proxies: tuple[Network, ...] = ()


@lru_cache(REFUSALS_HELD_MAX)
def refusal(problem: Problem, retry_after_seconds: int, own: RawHeaders) -> bytes:
    """Return a whole refusal as it is written; `own` are the server's headers, whose date changes by the second.

    Who opens connections by the thousand is refused as many times: it is made once.
    """
    retry = ((b"retry-after", str(retry_after_seconds).encode()),) if problem.status == 503 else ()  # noqa: PLR2004
    answer = of_problem(problem, CLOSE, *retry)
    head = [STATUS_LINE[answer.status]]
    for name, value in (*own, *answer.raw_headers()):
        head += [name, b": ", value, b"\r\n"]
    return b"".join((*head, b"\r\n", answer.body))


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with deadlines, bounds and strict framing. Make one with `protocol_class`.

    One request at a time: what follows a whole request waits as bytes, at most one read of them, and reading is paused
    until the answer is sent. So a pipelining sender is answered in order and holds no more than one that waits.
    """

    bounds: ClassVar[HttpBounds]
    places: ClassVar[Places]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._cycle_transport: CycleTransport
        self._reading: HeldFlow
        self._in_head = False
        self._head_bytes = 0
        self._body_left = 0
        self._parsed_last = self._waiting = b""
        self._deaf = self._has_place = self._lingers_refused = False
        self._problem: Problem = problems.MALFORMED_REQUEST

    @property
    def _peer(self) -> str | None:
        return self.client[0] if self.client else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._reading = HeldFlow(transport)
        transport.set_write_buffer_limits(high=0)
        self._cycle_transport = CycleTransport(transport, self._close)
        if self.places.enter(self._peer) is None:
            self._has_place = True
            self._arm()
        else:
            self._shed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._end_write_deadline()
        if self._has_place:
            self.places.leave(self._peer)
        if self._lingers_refused:
            self.places.end_lingering()
        self._has_place = self._lingers_refused = False
        self._waiting = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._answers_whole():
            self._hold(self._waiting + data)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse up to the end of one request; what is behind it waits until that is answered."""
        begin = 0
        while begin < len(data) and not self._deaf:
            if self._answers_whole():
                self._hold(data[begin:])
                return
            end = next_piece(data, begin, self._body_left, self._parsed_last)
            self._parse_piece(data[begin:end])
            begin = end
        if self._timer is None and not self._deaf and (self._in_head or not self._answering()):
            self._arm()

    def _parse_piece(self, piece: bytes) -> None:
        """Parse a part of a head, of a body of known length, or of chunks; what is no content counts as head."""
        in_body, known = self._answering(), bool(self._body_left)
        self._parsed_last = b"" if known or piece.endswith(BLANK_LINE) else piece[1 - len(BLANK_LINE) :]
        if known:
            self._body_left -= len(piece)
        else:
            self._head_bytes = self._head_bytes + len(piece) if self._in_head or in_body else len(piece)
        if in_body or self._need_bounded_head():
            super().data_received(piece)
            self._need_bounded_head()

    def _need_bounded_head(self) -> bool:
        """Refuse a head over its bound, and trailers, or chunks without content, that come to as much."""
        if self._deaf or self._head_bytes <= self.bounds.head_bytes_max:
            return not self._deaf
        self._problem = problems.HEAD_TOO_LARGE
        self.send_400_response("")
        return False

    def _hold(self, data: bytes) -> None:
        self._waiting = data
        self._reading.hold()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: nobody reads those, and the application has its headers already
        super().on_header(name, value)
        if len(self.headers) > self.bounds.head_fields_max:
            self._problem = problems.HEAD_TOO_LARGE
            raise HeadTooLargeError

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._disarm()
        if self._answering():
            raise MalformedHeadError  # a request that the cut between two requests did not see
        http_version = self.parser.get_http_version()
        need_version(http_version)
        need_one_host(self.headers, http_version)
        need_one_framing(self.headers, http_version, upgrade=self.parser.should_upgrade())
        self._complete_scope(http_version)
        self._body_left = body_bytes(self.headers)
        self.cycle = self._new_cycle(http_version)
        self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def _complete_scope(self, http_version: str) -> None:
        """Say what was asked for, as uvicorn does; raises what the parser raises for a target that is no URL."""
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        self.scope["http_version"] = http_version
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = target.path
        self.scope["query_string"] = target.query or b""

    def _new_cycle(self, http_version: str) -> HttpCycle:
        return HttpCycle(
            scope=self.scope,
            transport=cast("asyncio.Transport", self._cycle_transport),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=http_version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )

    def on_response_complete(self) -> None:
        if self.cycle.more_body:
            self._linger()
        self.timeout_keep_alive = self._rest_seconds()
        super().on_response_complete()
        if self._deaf:
            self._unset_keepalive_if_required()
        elif self._waiting and not self.transport.is_closing():
            self._parse_waiting()

    def _rest_seconds(self) -> int:
        """Return how long the connection may rest until its next request."""
        seconds = self.config.timeout_keep_alive
        return min(seconds, max(1, round(self.bounds.crowded_deadline_seconds))) if self.places.crowded else seconds

    def _parse_waiting(self) -> None:
        """Go on with what came while the request before it was being answered."""
        data, self._waiting = self._waiting, b""
        self._reading.release()
        self._parse(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        """Refuse what cannot be parsed; the request that it is part of, if any, learns that its sender is gone."""
        if self._answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self._deaf = True
                self.transport.close()
                return
        self._refuse(self._problem)

    def _unsupported_upgrade_warning(self) -> None:
        """Answer an upgrade request as what it is, HTTP/1.1, and then close: what follows is of no protocol."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _answering(self) -> bool:
        """Tell whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    def _answers_whole(self) -> bool:
        """Tell whether a request is under way whose body is whole."""
        return self._answering() and not self.cycle.more_body

    def _arm(self) -> None:
        bounds = self.bounds
        seconds = bounds.crowded_deadline_seconds if self.places.crowded else bounds.deadline_seconds
        self._timer = self.loop.call_later(min(seconds, bounds.deadline_seconds), self._expired)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        if self._deaf or self.transport.is_closing():
            return
        if self._in_head:
            self._problem = problems.RECEIPT_TIMEOUT
            self.send_400_response("")
        elif not self._answering():
            self._linger()

    def pause_writing(self) -> None:
        """Begin the write deadline: with a high-water mark of 0, bytes wait that the sender does not read."""
        super().pause_writing()
        self._begin_write_deadline(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_write_deadline()

    def _begin_write_deadline(self, unread_bytes: int) -> None:
        self._end_write_deadline()
        self._write_timer = self.loop.call_later(self.bounds.write_deadline_seconds, self._unread, unread_bytes)

    def _end_write_deadline(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _unread(self, before_bytes: int) -> None:
        """End a connection whose answers nobody reads, also one that is closing and waits for that."""
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes <= before_bytes * UNREAD_SHARE:
            self._begin_write_deadline(unread_bytes)
            return
        _log.info("connection_unread", sender=self.places.sender(self._peer), bytes=unread_bytes)
        self.transport.abort()

    def _shed(self) -> None:
        """Answer a connection that has no place; few such may linger, or they would take the places of others."""
        self._write_refusal(problems.WINDOW_FULL)
        self._lingers_refused = self.places.begin_lingering()
        if self._lingers_refused:
            self._linger()
        else:
            self._deaf = True
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        self._write_refusal(problem)
        sender = self.places.sender(self._peer)
        _log.info("connection_refused", reason=problem.slug, status=problem.status, sender=sender)
        self._linger()

    def _write_refusal(self, problem: Problem) -> None:
        own = tuple(self.server_state.default_headers)
        self.transport.write(refusal(problem, self.bounds.retry_after_seconds, own))

    def _close(self) -> None:
        if self.cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Say that nothing more will be sent, and read what still comes to nowhere, for a moment."""
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        self._waiting = b""
        self._disarm()
        self._reading.release()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(self.bounds.linger_seconds, self.transport.close)


def protocol_class(bounds: HttpBounds) -> type[HttpProtocol]:
    """Return the protocol with its bounds; its connections share their places."""

    class BoundedProtocol(HttpProtocol):
        """The protocol of one server."""

    BoundedProtocol.bounds = bounds
    BoundedProtocol.places = Places(bounds.connections_max, bounds.connections_per_address_max, bounds.trusted_proxies)
    return BoundedProtocol


class HttpConnections:
    """Makes the connections of one server (`runtime.http_accept.Connections`)."""

    def __init__(self, bounds: HttpBounds) -> None:
        self._bounded = protocol_class(bounds)

    def __call__(self, **parts: Any) -> asyncio.BufferedProtocol:
        """Return a new connection's protocol."""
        return SharedReader(self._bounded(**parts))

    def refusal_of(self, peer: str, own: RawHeaders) -> bytes | None:
        """Return the answer to a connection that has no place; few such get a protocol all the same, and may linger."""
        if not self._bounded.places.turn_away(peer):
            return None
        return refusal(problems.WINDOW_FULL, self._bounded.bounds.retry_after_seconds, own)
