"""Whether an event is one of the payment that it names, where nobody signed that. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from consumer.facts_json import dump_reported, same_facts
from consumer.fold import asked
from consumer.resolve import followed, joining_of
from consumer.verdict import Dead
from schemas.dead_letter import Reason
from schemas.facts import FactKind

if TYPE_CHECKING:
    from consumer.decode import Event
    from consumer.plan import Known
    from schemas.facts import Tie
    from schemas.payment import Payment

_NATIONAL_DIGITS: Final = 9
"""How many digits at the end are compared: numbers are shown with and without the country's."""
_HIDING: Final = re.compile(r"[^0-9*]")


def tied(event: Event, known: Known) -> Event | Dead:
    """Return the event as it is, or as it is by itself where what it was tied to does not fit; or refuse it."""
    tie = event.meaning.tie
    if tie is None:
        return event
    held = next((known.refs.get(key) for key in joining_of(event)), None)
    payment = None if held is None else followed(known.payments, held)
    if payment is not None and _fits(tie, payment):
        return event
    if payment is None and tie.otherwise is None:
        return event  # it waits for what it belongs to, and is looked at again then
    if tie.otherwise is None:
        return Dead(
            Reason.CONFLICT, f"nothing signed ties it to {event.meaning.refs[0].ref}, and it does not fit there"
        )
    return replace(event, meaning=tie.otherwise)


def taken_for(event: Event, reported: str) -> Event:
    """Return an event that the ledger holds as what it was taken for then: its payment may know more by now.

    `reported` are the facts that the ledger holds of it.
    """
    tie = event.meaning.tie
    if tie is None or tie.otherwise is None or not same_facts(reported, dump_reported(tie.otherwise.facts)):
        return event
    return replace(event, meaning=tie.otherwise)


def _fits(tie: Tie, payment: Payment) -> bool:
    captures = {key: state.amount for (kind, key), state in payment.facts.items() if kind is FactKind.CAPTURE}
    if not _same_number(tie.payer, payment.phone or ""):
        return False
    if tie.reversal:
        took = captures.get(tie.capture)
        return took is None or tie.amount <= took
    known = {key for key, amount in captures.items() if amount is not None}
    return asked(payment.facts) in (None, tie.amount) and known <= {tie.capture}


def _same_number(shown: str, phone: str) -> bool:
    """Tell whether two numbers agree as far as both are shown."""
    ours, theirs = (_HIDING.sub("", one)[-_NATIONAL_DIGITS:] for one in (shown, phone))
    pairs = zip(reversed(ours), reversed(theirs), strict=False)
    return all(one == other or "*" in (one, other) for one, other in pairs)
