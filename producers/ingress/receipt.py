"""The connection: how long and how large a head may be, and framing that cannot be read in two ways.

uvicorn keeps a half-sent request open for as long as bytes drip and no application sees it, so the deadline stands
here. A refusal before a request exists is answered here too, as a problem; a refused sender may finish sending for a
moment (a lingering close), or the reset that follows unread data would take the answer away from it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import unquote

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from producers.ingress.answers import CLOSE, of_problem
from producers.ingress.cycle import ReceiptCycle
from schemas import problems

if TYPE_CHECKING:
    from schemas.problems import Problem

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReceiptBounds:
    """The bounds of a connection. The deadline runs from a head's first byte (or the connection's start) to its end."""

    deadline_seconds: float
    head_bytes_max: int
    linger_seconds: float
    connections_max: int
    retry_after_seconds: int
    head_fields_max: int = 256


class AmbiguousFramingError(Exception):
    """A head whose body could end at two places."""


class HeadTooLargeError(Exception):
    """A head over its bound."""


def need_one_framing(headers: list[tuple[bytes, bytes]], http_version: str, *, upgrade: bool) -> None:
    """Raise AmbiguousFramingError where two readers could disagree on the body's end (RFC 9112, 6.1 and 6.3).

    A body behind an upgrade counts as such: the parser takes what follows the head for the other protocol's.
    """
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1 or (codings and http_version == "1.0"):
        raise AmbiguousFramingError
    if upgrade and (codings or lengths not in ([], [b"0"])):
        raise AmbiguousFramingError


def need_bounded_head(url: bytes, headers: list[tuple[bytes, bytes]], bytes_max: int, fields_max: int) -> None:
    """Raise HeadTooLargeError for a head over `bytes_max`, counted without separators, or of too many fields."""
    if len(headers) > fields_max or len(url) + sum(map(len, chain.from_iterable(headers))) > bytes_max:
        raise HeadTooLargeError


class _CycleTransport:
    """What a connection's responses write to: closing it lingers while the request's body is still coming in."""

    __slots__ = ("_close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Any) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self._close = close

    def close(self) -> None:
        self._close()


class ReceiptProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with a deadline, bounds and strict framing. Make one with `protocol_class`."""

    bounds: ClassVar[ReceiptBounds]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._cycle_transport: _CycleTransport
        self._in_head = False
        self._head_bytes = 0
        self._deaf = False
        self._problem: Problem = problems.MALFORMED_REQUEST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._cycle_transport = _CycleTransport(transport, self._close)
        if len(self.connections) > self.bounds.connections_max:
            self._refuse(problems.WINDOW_FULL)
        else:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        cycle = self.cycle
        super().data_received(data)
        if self._timer is None and not self._deaf and (self._in_head or not self._answering()):
            self._arm()
        # A head that began behind another request in the same read is counted from the next read on.
        if self._in_head and self.cycle is cycle and not self._deaf:
            self._head_bytes += len(data)
            if self._head_bytes > self.bounds.head_bytes_max:
                self._problem = problems.HEAD_TOO_LARGE
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        try:
            need_bounded_head(self.url, self.headers, self.bounds.head_bytes_max, self.bounds.head_fields_max)
        except HeadTooLargeError:
            self._problem = problems.HEAD_TOO_LARGE
            raise
        http_version = self.parser.get_http_version()
        need_one_framing(self.headers, http_version, upgrade=self.parser.should_upgrade())
        self._complete_scope(http_version)
        waiting = self._answering()
        self.cycle = self._new_cycle(http_version)
        if waiting:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def _complete_scope(self, http_version: str) -> None:
        """Say what was asked for, as uvicorn does; raises what the parser raises for a target that is no URL."""
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        self.scope["http_version"] = http_version
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = target.path
        self.scope["query_string"] = target.query or b""

    def _new_cycle(self, http_version: str) -> ReceiptCycle:
        return ReceiptCycle(
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
        if not self.pipeline and self.cycle.more_body:
            self._linger()
        super().on_response_complete()
        if self._deaf:
            self._unset_keepalive_if_required()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        """Refuse what cannot be parsed; a request before it that is being answered gets its answer first."""
        answering = self._answering()
        if answering and self.pipeline and self.cycle.more_body:
            self._deaf = True
            self.transport.close()
        elif answering and not self.cycle.more_body:
            self._deaf = True
            self.cycle.keep_alive = False
        else:
            self._refuse(self._problem)

    def _unsupported_upgrade_warning(self) -> None:
        """Answer an upgrade request as what it is, HTTP/1.1, and then close: what follows is of no protocol."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _answering(self) -> bool:
        """Tell whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.bounds.deadline_seconds, self._expired)

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

    def _refuse(self, problem: Problem) -> None:
        retry = ((b"retry-after", str(self.bounds.retry_after_seconds).encode()),) if problem.status == 503 else ()  # noqa: PLR2004
        answer = of_problem(problem, CLOSE, *retry)
        head = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.raw_headers()):
            head += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join((*head, b"\r\n", answer.body)))
        _log.info("connection_refused", reason=problem.slug, status=problem.status)
        self._linger()

    def _close(self) -> None:
        if self.cycle.more_body and not self.pipeline:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Say that nothing more will be sent, and read what still comes to nowhere, for a moment."""
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        self._disarm()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(self.bounds.linger_seconds, self.transport.close)


def protocol_class(bounds: ReceiptBounds) -> type[ReceiptProtocol]:
    """Return the protocol with its bounds, in the form that uvicorn's configuration takes."""

    class BoundedProtocol(ReceiptProtocol):
        """The protocol of one server."""

    BoundedProtocol.bounds = bounds
    return BoundedProtocol
