"""The Idempotency-Key field: a UUID of any version, bare or as a quoted string.

draft-ietf-httpapi-idempotency-key-header, 2.1 has it as a structured-field string (RFC 9651, 3.3.3), hence quoted; most
clients send it bare. Both are one key, and so are upper and lower case. The nil UUID is none: it is what a client sends
that forgot to make one, and all its requests would be one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from uuid import UUID

from schemas.problems import IDEMPOTENCY_KEY_MALFORMED, IDEMPOTENCY_KEY_MISSING, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

PATTERN: Final = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
NIL: Final = UUID(int=0)
_KEY: Final = re.compile(rf'({PATTERN})\Z|"({PATTERN})"\Z')


def parse(fields: Sequence[str]) -> UUID | Problem:
    """Return the key of a request's `Idempotency-Key` fields, or the problem with them."""
    texts = [field.strip(" \t") for field in fields]
    if not any(texts):
        return IDEMPOTENCY_KEY_MISSING
    found = _KEY.match(texts[0]) if len(texts) == 1 else None
    key = UUID(found[1] or found[2]) if found else NIL
    return IDEMPOTENCY_KEY_MALFORMED if key == NIL else key
