"""Mollie: what it signs (`signature`), what its events and its API's answers mean (`meaning`), `kinds`, `recall`."""

from typing import Final

from providers.core.contract import Provider
from providers.mollie.kinds import CATALOGUE
from providers.mollie.meaning import REFETCH, interpret
from providers.mollie.recall import RECALL
from providers.mollie.signature import named, verify

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "mollie",
    verify,
    interpret,
    refetch=REFETCH,
    recall=RECALL,
    named=named,
    unsigned=True,
    hints_by_anybody=True,
    catalogue=CATALOGUE,
    learned_by_api="the old webhook is an id that nobody signed, and the simple form names the payment alone",
    meaning_version=3,  # a payment of an order that was canceled is a try of it, and what it had reserved is released
    signed_by=("X-Mollie-Signature",),
)
