"""What PayPal says of disputes.

Source: Disputes v1 (`customer_disputes_v1.json` of PayPal's API specifications). A dispute goes through the stages
INQUIRY, CHARGEBACK, PRE_ARBITRATION and ARBITRATION, each with its own outcome: an appeal opens a dispute that was
lost again. So the stage orders first, within it `update_time`. A stage that is left out is that of a chargeback.

A dispute's event does not tell that money moved: PAYMENT.CAPTURE.REVERSED and REFUNDED do, so a dispute's sum is
counted nowhere else.

A dispute may name up to 1,000 transactions, which may be of several payments. Each has an event of its own, with the
webhook's body and an id made of the webhook's and the transaction's; the first keeps the webhook's.
"""

from __future__ import annotations

from typing import Final

from providers.core.meaning import need_id, refs_of
from providers.core.payments import at_stage, dispute, iso_seconds, micros, need_state
from providers.core.reading import text_at, value_at
from providers.paypal.payees import chosen, if_copied
from providers.paypal.resource import Resource, listed, maybe_money
from schemas.facts import Meaning, RefKind


def transactions_of(resource: object) -> tuple[str, ...]:
    """Return the captures and sales that a dispute names, each once: those whose ids can be ids."""
    given = (text_at(one, "seller_transaction_id") for one in listed(value_at(resource, "disputed_transactions")))
    return tuple(dict.fromkeys(one for one in given if one))


def parts_of(body: bytes, resource: object) -> tuple[str, ...]:
    """Return the transactions of a dispute that has an event for each, all with this body; () where one event does.

    Each event is a copy of the body, so together they are bounded; `read_dispute` refuses what is beyond.
    """
    return if_copied(transactions_of(resource), body)


def read_dispute(resource: Resource, state: str, body: bytes, event_id: str) -> Meaning:
    """Read a dispute of one transaction: of several, the one that the event's id names after `PART_MARK`, or the first.

    Where it names several its id is shared by their payments, and its sum is that of all.
    """
    own = need_id(resource.get("dispute_id"), "resource.dispute_id")
    listed_ids = transactions_of(resource)
    place = chosen(listed_ids, body, event_id, "the dispute names {} transactions")
    several = len(listed_ids) > 1
    capture = listed_ids[place] if listed_ids else None
    amount, currency = maybe_money(resource.get("dispute_amount"), "dispute_amount")
    return Meaning(
        refs=refs_of((RefKind.CAPTURE, capture), (RefKind.SHARED if several else RefKind.DISPUTE, own)),
        facts=(dispute(own, state, payment=capture, version=_version(resource)),),
        currency=currency,
        amount=None if several else amount,
    )


def _version(resource: Resource) -> int:
    stage = resource.get("dispute_life_cycle_stage")
    number = _STAGES.get(stage, 1) if isinstance(stage, str) else 1
    return at_stage(number, micros(iso_seconds(resource.get("update_time"))))


_STAGES: Final = {"INQUIRY": 0, "CHARGEBACK": 1, "PRE_ARBITRATION": 2, "ARBITRATION": 3}


def created(resource: Resource) -> str:
    """Return the state of a dispute that waits for somebody's answer: an inquiry takes nothing."""
    return "inquiry" if resource.get("dispute_life_cycle_stage") == "INQUIRY" else "open"


def updated(resource: Resource) -> str:
    """Return the state of a dispute by its status."""
    status = resource.get("status")
    if status == "RESOLVED":
        return outcome(resource)
    waits = status in ("OPEN", "WAITING_FOR_BUYER_RESPONSE", "WAITING_FOR_SELLER_RESPONSE")
    return created(resource) if waits else "under_review"


def outcome(resource: Resource) -> str:
    """Return how a dispute ended; one that tells no outcome is closed without a loss."""
    given = value_at(resource, "dispute_outcome", "outcome_code")
    return need_state(_OUTCOMES, given if isinstance(given, str) and given else "NONE", "dispute_outcome.outcome_code")


_OUTCOMES: Final = {
    "RESOLVED_BUYER_FAVOUR": "lost",
    "ACCEPTED": "lost",
    "RESOLVED_SELLER_FAVOUR": "won",
    "RESOLVED_WITH_PAYOUT": "won",  # PayPal paid the buyer, the seller keeps the money
    "DENIED": "won",
    "CANCELED_BY_BUYER": "won",
    "NONE": "prevented",
}
