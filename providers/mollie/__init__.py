"""Mollie: what it signs and what its events mean (`meaning`), and which kinds it publishes (`kinds`)."""

from typing import Final

from providers.core.contract import Provider
from providers.mollie.kinds import CATALOGUE
from providers.mollie.meaning import REFETCH, interpret, named, verify

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "mollie",
    verify,
    interpret,
    refetch=REFETCH,
    named=named,
    unsigned=True,
    catalogue=CATALOGUE,
    meaning_version=2,  # a payment of an order that was canceled is a try of it
)
