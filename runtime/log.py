"""Logging: JSON lines on standard error, one canonical line a request or event, and nothing secret in any of them.

A canonical line is one line that carries everything about one piece of work. Every value of every line, however
nested, goes through `masked`: values under secret-sounding keys, tokens that look like credentials, card numbers and
phone numbers do not reach the output, also not in the text of an exception.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, Final, TextIO

import msgspec
import structlog

MASK: Final = "[masked]"
DEPTH_MAX: Final = 16
"""How deep a value may nest; what lies deeper is masked whole."""
KEYS_CACHED_MAX: Final = 1024
"""How many keys' verdicts are remembered: keys are few and come with every line."""
TEXT_LENGTH_MAX: Final = 32 * 1024
"""Characters of one value; the rest is cut off."""
CLOSED_LINES_HELD_MAX: Final = 256
"""Closed lines that wait for the end of the loop's turn, to be written at once."""

_SECRET_KEYS: Final = re.compile(
    r"secret|passw|token|api_?-?key|authoriz|signature|credential|cookie|\bdsn\b|_dsn|private|\bpan\b|card_?number|\bcvc|\bcvv|iban",
    re.IGNORECASE,
)
_PUBLIC_KEYS: Final = frozenset({"authorized", "authorized_at", "fencing_token", "api_keys_count"})
_TOKENS: Final = re.compile(
    r"\b(?:whsec|whpk|sk_live|sk_test|rk_live|rk_test|pk_live|ghp|xox[bp])[_-][A-Za-z0-9+/=_-]{6,}"
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
    r"|(?<=/webhooks/mpesa/)[^\s?\"']+",
    re.IGNORECASE,
)
_TOKEN_HINTS: Final = re.compile(r"wh|_live|_test|ghp|xox|earer|asic|:/|/mpesa", re.IGNORECASE)
"""What every token has, in any case: a cheap look before the dear one."""
_SHORTEST_SECRET: Final = 6
_WORD_LENGTH_MAX: Final = 24
_DIGIT: Final = re.compile(r"\d")
_PHONE: Final = re.compile(r"(?<![\w+])\+[1-9](?:[ .()-]{0,2}\d){6,14}(?!\d)")
_CARD: Final = re.compile(r"(?<!\d)\d(?:[ .-]?\d){12,}")
"""A run of digits is looked at from the start of a group alone: from inside one it holds fewer."""
_GROUP: Final = re.compile(r"\d+")
_CARD_DIGITS: Final = range(13, 20)
_CARD_NUMBER_MIN: Final = 10**12
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """Tell whether the digits' check digit fits (ISO/IEC 7812-1, annex B)."""
    total = sum(int(digit) if index % 2 == 0 else _DOUBLED[int(digit)] for index, digit in enumerate(reversed(digits)))
    return total % 10 == 0


def mask_text(text: str) -> str:
    """Return the text without credentials, card numbers (13 to 19 digits that pass Luhn) and E.164 phone numbers."""
    if len(text) < _SHORTEST_SECRET or (len(text) <= _WORD_LENGTH_MAX and not _DIGIT.search(text) and _is_clean(text)):
        return text
    if len(text) > TEXT_LENGTH_MAX:
        text = text[:TEXT_LENGTH_MAX] + "..."
    if _TOKEN_HINTS.search(text):
        text = _TOKENS.sub(MASK, text)
    if "+" in text:
        text = _PHONE.sub(MASK, text)
    return _CARD.sub(_mask_card, text)


@lru_cache(maxsize=KEYS_CACHED_MAX)
def _is_clean(word: str) -> bool:
    """Tell whether a short text without digits is no credential; lines say the same few words all the time."""
    return not _TOKEN_HINTS.search(word) or not _TOKENS.search(word)


def _mask_card(match: re.Match[str]) -> str:
    """Mask every stretch of whole digit groups that makes a card number: dates and ids may stand right beside it."""
    run, groups = match[0], list(_GROUP.finditer(match[0]))
    shown, at, first = [], 0, 0
    while first < len(groups):
        last = _card_end(groups, first)
        if last is not None:
            shown += [run[at : groups[first].start()], MASK]
            at = groups[last].end()
        first = first + 1 if last is None else last + 1
    return "".join((*shown, run[at:]))


def _card_end(groups: Sequence[re.Match[str]], first: int) -> int | None:
    """Return the group that ends a card number begun at `first`, or None."""
    digits = ""
    for last in range(first, min(len(groups), first + _CARD_DIGITS.stop)):
        digits += groups[last][0]
        if len(digits) in _CARD_DIGITS and luhn(digits):
            return last
    return None


def masked(value: Any, depth: int = 0) -> Any:
    """Return the value with everything secret masked; what JSON does not know becomes masked text."""
    kind = type(value)
    if kind is str:
        return mask_text(value)
    if value is None or kind is float or kind is bool or (kind is int and -_CARD_NUMBER_MIN < value < _CARD_NUMBER_MIN):
        return value
    match value:
        case str():
            shown: Any = mask_text(value)
        case None | bool() | float():
            shown = value
        case int():
            shown = value if abs(value) < _CARD_NUMBER_MIN else _mask_number(value)
        case bytes() | bytearray() | memoryview():
            shown = f"<{len(value)} bytes>"
        case Mapping() | list() | tuple() | set() | frozenset():
            shown = MASK if depth >= DEPTH_MAX else _masked_container(value, depth)
        case _:
            shown = mask_text(str(value))
    return shown


def _masked_container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {mask_text(str(key)): _masked_item(key, item, depth) for key, item in value.items()}
    return [masked(item, depth + 1) for item in value]


def _mask_number(value: int) -> int | str:
    """Mask a card number that came as a number."""
    text = mask_text(str(value))
    return text if MASK in text else value


def _masked_item(key: Any, item: Any, depth: int) -> Any:
    return None if item is None else MASK if is_secret_key(str(key)) else masked(item, depth + 1)


@lru_cache(maxsize=KEYS_CACHED_MAX)
def is_secret_key(key: str) -> bool:
    """Tell whether a value under this key must not be shown, whatever it is."""
    return key.lower() not in _PUBLIC_KEYS and _SECRET_KEYS.search(key) is not None


def mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask a whole line: a structlog processor, the last before the renderer."""
    return {key: _masked_item(key, item, 0) for key, item in event.items()}


def render_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Render a line; `mask_event` has left nothing that JSON does not know."""
    return msgspec.json.encode(event).decode()


SHARED: Final[tuple[Any, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
)


def configure(role: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send this process's lines, and those of the libraries it uses, to standard error as masked JSON.

    `role` stands on every line; `level` is debug, info, warning or error; `stream` replaces standard error in tests.
    """

    def add_role(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("role", role)
        return event

    global _closed  # noqa: PLW0603 - one output a process, as structlog's own configuration
    output = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    processors = [*SHARED, add_role, mask_event, render_json]
    _closed = _ClosedLines(role, number, output, processors)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(output),
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

    def __init__(self, role: str, level: int, stream: TextIO, processors: list[Any]) -> None:
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
