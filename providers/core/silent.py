"""What providers report whose events are not about payments: nothing, but a broken delivery is still broken."""

from __future__ import annotations

from providers.core.meaning import undecodable
from providers.core.reading import read_json
from schemas.facts import Meaning


def silent_json(kind: str, body: bytes) -> Meaning:
    """Return the empty meaning; raise `undecodable` for an event of no kind or a body that is no JSON object."""
    if not kind or not isinstance(read_json(body), dict):
        raise undecodable("the event names no kind, or its body is no JSON object")
    return Meaning()


def silent_form(kind: str, body: bytes) -> Meaning:
    """Return the empty meaning; raise `undecodable` for an event of no kind or with an empty body."""
    if not kind or not body.strip():
        raise undecodable("the event names no kind, or its body is empty")
    return Meaning()
