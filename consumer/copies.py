"""Copies of one event that say more than the one before: what they add counts under an id of their own. Pure.

Stripe renders one event in two versions of its API, and the older one lists what the newer one leaves out. What both
say has to be the same (`consumer.facts_json.same_facts`); the copy that says more becomes `id#digest`, the digest being
that of its facts, for its bytes may differ from delivery to delivery.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from consumer.facts_json import adds_to, dump_said
from schemas.record import EVENT_ID_LENGTH_MAX

if TYPE_CHECKING:
    from consumer.decode import Event
    from consumer.plan import Known

DIGEST_SHOWN: Final = 16
"""Characters of a digest that tell events of one id apart."""


def with_digest(event_id: str, digest: bytes) -> str:
    """Return the id of what came under an id that another event has."""
    room = EVENT_ID_LENGTH_MAX - DIGEST_SHOWN - 1
    return f"{event_id[:room]}#{digest.hex()[:DIGEST_SHOWN]}"


def richer_id(event: Event, known: Known) -> str | None:
    """Return the id of an event that says all that the books hold of it, and more; else None.

    Facts that another version of the meaning read are not compared, and where an id is unsigned other bytes are an
    event of their own in any case.
    """
    claim = event.source, event.event_id
    said = known.claims.get(claim)
    if said is None or event.digest is not None or claim in known.reread or not event.meaning.facts:
        return None
    more = dump_said(event.meaning.facts)
    if said == more or not adds_to(said, more):
        return None
    return with_digest(event.event_id, hashlib.sha256(more.encode()).digest())
