"""Logging: JSON lines on standard error, one canonical line a request or event, and nothing secret in any of them.

A canonical line is one line that carries everything about one piece of work. Every value of every line, however
nested, goes through `runtime.masking`: values under secret-sounding keys, tokens that look like credentials, card and
bank account numbers, phone numbers and e-mail addresses do not reach the output, also not in the text of an exception.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import msgspec
import structlog

from runtime import metrics
from runtime.masking import DEPTH_MAX, MASK, TEXT_LENGTH_MAX, mask_text, masked, masked_item
from runtime.terminal import harmless_json

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = [
    "DEPTH_MAX",
    "MASK",
    "TEXT_LENGTH_MAX",
    "ClosedLine",
    "configure",
    "get",
    "mask_text",
    "masked",
    "write_closed",
]


CLOSED_LINES_HELD_MAX: Final = 256
"""Closed lines that wait for the end of the loop's turn, to be written at once."""


def mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask a whole line: a structlog processor, the last before the renderer."""
    return {key: masked_item(key, item, 0) for key, item in event.items()}


def render_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Render a line; `mask_event` has left nothing that JSON does not know. People read lines at terminals too."""
    try:
        return harmless_json(msgspec.json.encode(event).decode())
    except UnicodeEncodeError:  # half a character, as a header's bytes that are no UTF-8 are read
        return json.dumps(event)


SHARED: Final[tuple[Any, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
)


class Lossy:
    """A stream whose failures nobody has to mind: a full disk costs lines, never the request that they report.

    Lines that could not be written are counted, by `ratchet_log_lines_lost_total`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the lines, or count them."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: it is closed
            metrics.LOG_LINES_LOST.inc(text.count("\n") or 1)
            return 0

    def flush(self) -> None:
        """Flush what is written, or count it as a line lost: how many were held is not known."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            metrics.LOG_LINES_LOST.inc()


def configure(role: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send this process's lines, and those of the libraries it uses, to standard error as masked JSON.

    `role` stands on every line; `level` is debug, info, warning or error; `stream` replaces standard error in tests.
    """

    def add_role(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("role", role)
        return event

    global _closed  # noqa: PLW0603 - one output a process, as structlog's own configuration
    output = Lossy(stream or sys.stderr)
    number = logging.getLevelNamesMapping()[level.upper()]
    processors = [*SHARED, add_role, mask_event, render_json]
    _closed = _ClosedLines(role, number, output, processors)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", output)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *SHARED, add_role],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, mask_event, render_json],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


class ClosedLine(msgspec.Struct, gc=False):
    """A line that needs no masking: each of its fields is a number, an id made here, or a word of a closed set.

    What a sender may write must not stand in one; a name from the settings goes through `mask_text` first.
    """

    event: str
    role: str = ""
    level: str = "info"
    time: dt.datetime | None = None


class _ClosedLines:
    """Where closed lines go: the stream of the others, those of one turn of the loop in one write."""

    def __init__(self, role: str, level: int, stream: Lossy, processors: list[Any]) -> None:
        self._role = role
        self._level = level
        self._stream = stream
        self._processors = processors
        self._encoder = msgspec.json.Encoder()
        self._held: list[bytes] = []

    def takes(self) -> bool:
        """Tell whether structlog would write an info line here and now: a test may have put itself between."""
        current: list[Any] = structlog.get_config()["processors"]
        return self._level <= logging.INFO and current is self._processors and current[-1] is render_json

    def write(self, line: ClosedLine) -> None:
        """Write the line at the end of the loop's turn, or now where no loop runs."""
        line.role, line.time = self._role, dt.datetime.now(dt.UTC)
        held = self._held
        held.append(self._encoder.encode(line))
        if len(held) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()
        elif len(held) >= CLOSED_LINES_HELD_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            held, self._held = self._held, []
            self._stream.write(b"\n".join((*held, b"")).decode())
            self._stream.flush()


_closed: _ClosedLines | None = None


def write_closed(line: ClosedLine) -> bool:
    """Write an info line past structlog, which costs ten times as much; return False where that must write it."""
    if _closed is None or not _closed.takes():
        return False
    _closed.write(line)
    return True


def get(name: str) -> Any:
    """Return a logger whose lines name the part that wrote them."""
    return structlog.get_logger(part=name)
