"""Bodies of `application/x-www-form-urlencoded`, read byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELDS_MAX: Final = 1_000
"""How many fields a form may have: the body of a stranger is parsed before anything is proven."""
ESCAPES_MAX: Final = 32 * 1024
"""How many `%XX` a field may hold beside those of base64: each costs more than the rest of a form."""
_COMMON: Final = tuple(
    (spelling, bytes.fromhex(code))
    for code in ("2B", "2F", "3D", "0A", "0D")
    for spelling in sorted({f"%{code}".encode(), f"%{code.lower()}".encode()})
)

Fields = list[tuple[bytes, bytes]]


def read_form(body: bytes) -> Fields:
    """Return names and values in order, blank values kept; raise `malformed_body` beyond FIELDS_MAX or ESCAPES_MAX.

    Bytes stay bytes, so that two bodies which differ never read as one text full of replacement characters.
    """
    if body.count(b"&") >= FIELDS_MAX:
        raise SignatureRejected("malformed_body", f"the form has more than {FIELDS_MAX} fields")
    pairs = (part.partition(b"=") for part in body.split(b"&") if part)
    return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


def _decoded(text: bytes) -> bytes:
    """Decode a name or a value as HTML forms write it: `+` is a blank, `%XX` a byte, a lone `%` itself.

    What base64 needs is replaced at once; that makes no new escape, since none of it is a hexadecimal digit.
    """
    text = text.replace(b"+", b" ")
    if b"%" not in text:
        return text
    for escape, byte in _COMMON:
        text = text.replace(escape, byte)
    if text.count(b"%") > ESCAPES_MAX:
        raise SignatureRejected("malformed_body", f"a field of the form has more than {ESCAPES_MAX} escapes")
    return unquote_to_bytes(text)


def values_of(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return every value of one field in order."""
    return [value for other, value in fields if other == name]
