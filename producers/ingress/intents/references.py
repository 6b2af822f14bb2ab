"""The query of `GET /payments`: by which reference a client looks its payments up; pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

from producers.ingress.intents.answers import Declined
from schemas import problems
from schemas.facts import REF_LENGTH_MAX

QUERY_BYTES_MAX: Final = 4096
"""A reference of the greatest length, written in escapes, and its field's name."""
_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z", re.IGNORECASE)


class PaymentReference(NamedTuple):
    """Exactly one of three: our id, an id of the provider's, the client's own reference."""

    id: UUID | None = None
    provider_ref: str | None = None
    reference: str | None = None


def parse(query: bytes) -> PaymentReference | Declined:
    """Parse a query string; where it does not name exactly one thing, say why."""
    if len(query) > QUERY_BYTES_MAX:
        return _declined(f"the query is over {QUERY_BYTES_MAX} bytes")
    try:
        fields = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=8)
    except ValueError:
        return _declined("the query is no application/x-www-form-urlencoded text in UTF-8")
    if len(fields) != 1 or fields[0][0] not in PaymentReference._fields:
        return _declined("give exactly one of id, reference and provider_ref, and nothing else")
    ((field, ref),) = fields
    if field == "id":
        return PaymentReference(id=UUID(ref)) if _UUID.match(ref) else _declined("id is no UUID")
    if not 0 < len(ref) <= REF_LENGTH_MAX or "\x00" in ref:
        return _declined(f"{field} has 1 to {REF_LENGTH_MAX} characters, and no NUL")
    return PaymentReference(provider_ref=ref) if field == "provider_ref" else PaymentReference(reference=ref)


def _declined(detail: str) -> Declined:
    return Declined(problems.INVALID_QUERY, detail)
