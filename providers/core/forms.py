"""Bodies of `application/x-www-form-urlencoded`, read byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELDS_MAX: Final = 1_000
"""How many fields a form may have: the body of a stranger is parsed before anything is proven."""
ESCAPES_MAX: Final = 32 * 1024
"""How many `%XX` a form may hold: each costs more than the rest of a form. Base64 of 500 KB has fewer."""

Fields = list[tuple[bytes, bytes]]


def read_form(body: bytes) -> Fields:
    """Return names and values in order, blank values kept; raise `malformed_body` beyond FIELDS_MAX or ESCAPES_MAX.

    Bytes stay bytes, so that two bodies which differ never read as one text full of replacement characters.
    """
    if body.count(b"%") > ESCAPES_MAX:
        raise SignatureRejected("malformed_body", f"the form has more than {ESCAPES_MAX} escapes")
    try:
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise SignatureRejected("malformed_body", f"the form has more than {FIELDS_MAX} fields") from error
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


def values_of(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return every value of one field in order."""
    return [value for other, value in fields if other == name]
