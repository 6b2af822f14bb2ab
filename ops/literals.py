"""Reads mappings that a text holds as literals of JSON, Python, Ruby, PHP, JavaScript or Go: payloads inside tests.

What stands where a value is expected and is none (a call, a name) is kept as its own source text: the same name is the
same text wherever it stands, so that events which name one payment by one variable still do.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH_MAX: Final = 60
"""What is nested deeper is no payload."""
TEXT_LENGTH_MAX: Final = 2_000_000
"""A source file that is longer was made by a program."""
_TOKENS: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)
    |(?P<number>-?\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w]))
    |(?P<mark>=>|\.\.\.|\*\*|[{}\[\](),:;])
    |(?P<word>[\w$@][\w$@.?!]*)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_WORDS: Final = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False, "null": None,
    "None": None, "nil": None, "NULL": None,
}  # fmt: skip
_CLOSERS: Final = {"{": "}", "[": "]", "(": ")"}
_BARE: Final = re.compile(r"[A-Za-z_]\w*")


_BEGINNING: Final = re.compile(
    r"""(?:\{|\[|\barray\()\s*(?:"[^"\n]{1,80}"|'[^'\n]{1,80}'|:?[A-Za-z_]\w{0,80})\s*(?::|=>)"""
)
"""Where a mapping with a key may begin."""


class _Token(NamedTuple):
    kind: str
    text: str
    end: int


class _UnreadableError(Exception):
    """There is no literal here."""


def mappings_in(text: str, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Return the outermost mappings that a text holds, in their order; those without a key are left out.

    `depth` is how deep inside another literal the text stands.
    """
    place = 0
    while len(text) <= TEXT_LENGTH_MAX and (found := _BEGINNING.search(text, place)) is not None:
        reader = _Reader(text, found.start())
        try:
            value = reader.value(depth)
        except _UnreadableError:
            place = found.start() + 1
        else:
            yield value
            place = reader.place


class _Reader:
    """Reads one literal from a place on; raises _UnreadableError where none is."""

    def __init__(self, text: str, place: int) -> None:
        self._text = text
        self.place = place

    def value(self, depth: int) -> Any:
        """Read one value, and leave the place behind it."""
        if depth > DEPTH_MAX:
            raise _UnreadableError
        token = self._next()
        if token.text == "array" and self._peek().text == "(":
            token = self._next()
        if token.text == "{" or (token.text in ("[", "(") and self._is_mapping()):
            return self._mapping(_CLOSERS[token.text], depth)
        if token.text == "[":
            return self._list(depth)
        if token.kind == "text":
            return _unquoted(token.text)
        if token.kind == "number":
            return _number(token.text.replace("_", ""))
        if token.kind == "word":
            return _WORDS.get(token.text, token.text)
        raise _UnreadableError

    def _peek(self) -> _Token:
        place = self.place
        while (found := _TOKENS.match(self._text, place)) is not None and found.lastgroup == "space":
            place = found.end()
        return _Token("end", "", place) if found is None else _Token(str(found.lastgroup), found.group(), found.end())

    def _next(self) -> _Token:
        token = self._peek()
        if token.kind == "end":
            raise _UnreadableError
        self.place = token.end
        return token

    def _is_mapping(self) -> bool:
        """Tell whether a bracket that was read opens a mapping of PHP's: behind its first value comes an arrow."""
        begin = self.place
        self._next()
        arrow, self.place = self._peek().text == "=>", begin
        return arrow

    def _mapping(self, closer: str, depth: int) -> dict[str, Any]:
        read: dict[str, Any] = {}
        while self._peek().text != closer:
            if self._peek().text in ("...", "**"):
                self._expression(closer, depth)
            else:
                key = self._key()
                read[key] = self._item(closer, depth) if self._separated() else key
            if self._peek().text == ",":
                self._next()
        self._next()
        return read

    def _key(self) -> str:
        token = self._next()
        if token.text == ":":
            token = self._next()
        if token.kind == "text":
            return str(_unquoted(token.text))
        if token.kind == "number" or _BARE.fullmatch(token.text):
            return token.text
        raise _UnreadableError

    def _separated(self) -> bool:
        """Step over what stands between a key and its value; False where the key stands for both (JavaScript)."""
        if self._peek().text in (":", "=>"):
            self._next()
            return True
        if self._peek().text in (",", "}"):
            return False
        raise _UnreadableError

    def _list(self, depth: int) -> list[Any]:
        read = []
        while self._peek().text != "]":
            read.append(self._item("]", depth))
            if self._peek().text == ",":
                self._next()
        self._next()
        return read

    def _item(self, closer: str, depth: int) -> Any:
        """Read a value up to the comma or the closer behind it, or what stands in its place."""
        begin = self.place
        try:
            value = self.value(depth + 1)
        except _UnreadableError:
            value = None
        if self.place > begin and self._peek().text in (",", closer):
            return value
        self.place = begin
        return self._expression(closer, depth)

    def _expression(self, closer: str, depth: int) -> Any:
        """Read source up to a comma or the closer outside all brackets, and return it, or the mappings in it."""
        begin: int = self.place
        open_ones: list[str] = []
        while open_ones or self._peek().text not in (",", closer):
            text = self._next().text
            if text in _CLOSERS:
                open_ones.append(_CLOSERS[text])
            elif open_ones and text == open_ones[-1]:
                open_ones.pop()
            elif text in ("}", "]", ")", ";"):
                raise _UnreadableError
        if self.place == begin:
            raise _UnreadableError
        source = self._text[begin : self.place].strip()
        inner = [] if depth >= DEPTH_MAX else list(mappings_in(source, depth + 1))
        return inner or source


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text, strict=False))
        except ValueError:
            pass
    return text[1:-1]
