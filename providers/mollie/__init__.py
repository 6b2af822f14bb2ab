"""Mollie: what it signs and what its events mean (`meaning`), its `kinds` and its `recall`."""

from typing import Final

from providers.core.contract import Provider
from providers.mollie.kinds import CATALOGUE
from providers.mollie.meaning import REFETCH, interpret, named, verify
from providers.mollie.recall import RECALL

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
    meaning_version=2,  # a payment of an order that was canceled is a try of it
    signed_by=("X-Mollie-Signature",),
)
