"""Stripe: what it signs (`signature`), what its events mean (`meaning`), how it is asked again (`refetch`, `recall`).

`meaning` reads PaymentIntents and charges itself, `disputes` refunds and disputes, `sessions` what becomes a payment,
`thin` events that only name an object; `kinds` is the catalogue.
"""

from providers.core.contract import Provider
from providers.stripe.kinds import CATALOGUE
from providers.stripe.meaning import interpret
from providers.stripe.recall import RECALL
from providers.stripe.refetch import REFETCH
from providers.stripe.signature import verify

__all__ = ["PROVIDER"]

PROVIDER = Provider(
    "stripe",
    verify,
    interpret,
    refetch=REFETCH,
    recall=RECALL,
    catalogue=CATALOGUE,
    learned_by_api="thin events name what they are about and tell nothing of its money",
    meaning_version=2,  # a session without a total ties its payment
    signed_by=("Stripe-Signature",),
)
