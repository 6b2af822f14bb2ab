"""Checkout.com: what it signs and what its events mean (`meaning`), its `kinds`, and its API (`refetch`)."""

from typing import Final

from providers.checkout.kinds import CATALOGUE
from providers.checkout.meaning import interpret, verify
from providers.checkout.refetch import REFETCH
from providers.core.contract import Provider

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "checkout",
    verify,
    interpret,
    refetch=REFETCH,
    catalogue=CATALOGUE,
    meaning_version=2,  # a payment may be returned; a dispute's end says that its money had been taken
    signed_by=("Cko-Signature",),
)
