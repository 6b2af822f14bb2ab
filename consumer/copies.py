"""Copies of one event: which is a duplicate, which contradicts the first, and which says more. Pure.

A duplicate reports the same facts, whatever its bytes; other facts under one id are a conflict. What a copy adds counts
under an id of its own.

Stripe renders one event in two versions of its API, and the older one lists what the newer one leaves out. What both
say has to be the same (`consumer.facts_json.same_facts`); the copy that says more becomes `id#digest`, the digest being
that of its facts, for its bytes may differ from delivery to delivery.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from consumer.facts_json import NO_FACTS, adds_to, dump_reported, same_facts
from consumer.resolve import Target, resolve
from consumer.verdict import reported_in
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
    """Return the id of an event that reports all that the ledger holds of it, and more; else None.

    Facts that another version of the meaning read are not compared, and where an id is unsigned other bytes are an
    event of their own in any case.
    """
    key = event.source, event.event_id
    reported = known.reported.get(key)
    if reported is None or event.digest is not None or key in known.reread or not event.meaning.facts:
        return None
    more = dump_reported(event.meaning.facts)
    if reported == more or not adds_to(reported, more):
        return None
    return with_digest(event.event_id, hashlib.sha256(more.encode()).digest())


def under_own_id(event: Event, known: Known) -> Event:
    """Return an event of an unsigned id under one of its own, where an event of another body has its id already.

    Else a forger's replay would swallow the genuine event.
    """
    digest = event.digest
    if (
        digest is None
        or event.meaning.commands
        or (event.source, digest) in known.bodies
        or (event.source, event.event_id) not in known.reported
    ):
        return event
    return replace(event, event_id=with_digest(event.event_id, digest))


def agrees(event: Event, known: Known) -> bool | None:
    """Tell whether an event that is known already reports the same facts; None where it is not known.

    Bytes change between deliveries, so facts are compared. A command and its answer have no facts: what they ask for or
    report has to be the same. What only closes what is known had nothing to close when nothing was known, and is the
    same when it comes again. Facts that an older or newer version of the meaning read are not compared: the event is a
    duplicate.
    """
    if event.digest is not None and (event.source, event.digest) in known.bodies:
        return True
    reported = known.reported.get((event.source, event.event_id))
    if reported is None:
        return None
    if event.meaning.commands:
        return False
    if (event.source, event.event_id) in known.reread:
        return True
    closed_nothing = not event.meaning.waits and reported == NO_FACTS
    same = closed_nothing or same_facts(reported, dump_reported(event.meaning.facts))
    return same or _agrees_in_other_currency(event, reported, known)


def _agrees_in_other_currency(event: Event, reported: str, known: Known) -> bool:
    """Tell whether the event is known as money in another currency than its payment's."""
    found = resolve(event, known)
    if not isinstance(found, Target):
        return False
    return same_facts(reported, dump_reported(reported_in(found.payment.currency, event.meaning)))
