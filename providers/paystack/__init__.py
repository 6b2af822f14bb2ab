"""Paystack: what it signs and what its events mean (`meaning`), its `kinds`, and its API (`refetch`)."""

from typing import Final

from providers.core.contract import Provider
from providers.paystack.kinds import CATALOGUE
from providers.paystack.meaning import interpret, verify
from providers.paystack.refetch import REFETCH

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "paystack",
    verify,
    interpret,
    refetch=REFETCH,
    catalogue=CATALOGUE,
    meaning_version=2,  # a preauthorization reserves, takes and releases money
    signed_by=("x-paystack-signature",),
)
