"""Braintree's XML, read as texts by path."""

from __future__ import annotations

import base64
from typing import Final
from xml.parsers import expat

Texts = dict[str, str]
"""The text of an element by its path, `notification/subject/transaction/id`."""

SUBJECT: Final = "notification/subject"
_DEPTH_MAX: Final = 6
"""notification/subject/subscription/transactions/transaction/id: nothing deeper is read."""
_TRANSACTIONS: Final = (
    f"{SUBJECT}/transaction",
    f"{SUBJECT}/dispute/transaction",
    f"{SUBJECT}/subscription/transactions/transaction",
    f"{SUBJECT}/local-payment/transaction",
    f"{SUBJECT}/local-payment-funded/transaction",
)
"""Where a notification holds its transaction; a subscription lists the newest first."""


def transaction_path(texts: Texts) -> str | None:
    """Return where the notification holds its transaction, or None."""
    return next((path for path in _TRANSACTIONS if f"{path}/id" in texts), None)


def texts_of(payload: bytes) -> Texts:
    """Return the text of each element by its path, of several of one name the first; empty where there is no XML."""
    try:
        return _texts_in(base64.b64decode(payload))
    except ValueError:
        return {}


def _texts_in(document: bytes) -> Texts:
    reader = _Reader()
    try:
        _parser_for(reader).Parse(document, True)
    except (ValueError, LookupError, expat.ExpatError):  # LookupError: an encoding that does not exist
        return {}
    return reader.texts


def _parser_for(reader: _Reader) -> expat.XMLParserType:
    """Return a parser that calls the reader's handlers.

    The parser refers to the reader and not the other way, so both are freed as soon as the reading ends. In a cycle
    they would stay until the next garbage collection, with 14 KiB of the parser's that the collector does not count.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    return parser


def subject_of(document: bytes) -> Texts | None:
    """Return the texts of what an API shows as if it were the subject of a notification; None where it is no XML."""
    return {f"{SUBJECT}/{path}": text for path, text in _texts_in(document).items()} or None


class _Reader:
    """Collects the text of shallow elements; a document type (where entities would be declared) ends the reading.

    Of elements with one path the first is read, with all that is inside, and no other: the fields of two transactions
    of a list never mix.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._path: list[str] = []
        self._text_here = ""
        self._ended: set[str] = set()
        self._skipped = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text_here = ""
        if not self._skipped and len(self._path) <= _DEPTH_MAX and "/".join(self._path) in self._ended:
            self._skipped = len(self._path)

    def text(self, data: str) -> None:
        self._text_here += data

    def end(self, _name: str) -> None:
        depth, text = len(self._path), self._text_here.strip()
        if not self._skipped and depth <= _DEPTH_MAX:
            path = "/".join(self._path)
            self._ended.add(path)
            if text:
                self.texts[path] = text
        self._skipped = 0 if self._skipped == depth else self._skipped
        self._path.pop()
        self._text_here = ""

    def doctype(self, *_declaration: object) -> None:
        raise ValueError("a notification has no document type")
