"""What PayPal says of disputes.

Source: Disputes v1 (`customer_disputes_v1.json` of PayPal's API specifications). A dispute goes through the stages
INQUIRY, CHARGEBACK, PRE_ARBITRATION and ARBITRATION, each with its own outcome: an appeal opens a dispute that was
lost again. So the stage orders first, within it `update_time`. A stage that is left out is that of a chargeback.

A dispute's event does not tell that money moved: PAYMENT.CAPTURE.REVERSED and REFUNDED do, so a dispute's sum is
counted nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from providers.core.meaning import maybe_id, need_id, refs_of
from providers.core.payments import at_stage, dispute, iso_seconds, micros, need_state
from providers.core.reading import value_at
from providers.paypal.resource import Resource, money
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


def read_dispute(state_of: Callable[[Resource], str]) -> Callable[[Resource], Meaning]:
    """Read a dispute; `seller_transaction_id` is the capture or the sale. Of several, the first."""

    def read(resource: Resource) -> Meaning:
        own = need_id(resource.get("dispute_id"), "resource.dispute_id")
        transaction = value_at(resource, "disputed_transactions", 0, "seller_transaction_id")
        capture = maybe_id(transaction, "disputed_transactions.seller_transaction_id")
        told = resource.get("dispute_amount")
        amount, currency = (None, None) if told is None else money(told, "dispute_amount")
        return Meaning(
            refs=refs_of((RefKind.CAPTURE, capture), (RefKind.DISPUTE, own)),
            facts=(dispute(own, state_of(resource), payment=capture, version=_version(resource)),),
            currency=currency,
            amount=amount,
        )

    return read


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
    told = value_at(resource, "dispute_outcome", "outcome_code")
    return need_state(_OUTCOMES, "NONE" if told is None else told, "dispute_outcome.outcome_code")


_OUTCOMES: Final = {
    "RESOLVED_BUYER_FAVOUR": "lost",
    "ACCEPTED": "lost",
    "RESOLVED_SELLER_FAVOUR": "won",
    "RESOLVED_WITH_PAYOUT": "won",  # PayPal paid the buyer, the seller keeps the money
    "DENIED": "won",
    "CANCELED_BY_BUYER": "won",
    "NONE": "prevented",
}
