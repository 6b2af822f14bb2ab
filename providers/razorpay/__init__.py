"""Razorpay: what it signs and what its events mean (`meaning`), and which kinds it publishes (`kinds`)."""

from typing import Final

from providers.core.contract import Provider
from providers.razorpay.kinds import CATALOGUE
from providers.razorpay.meaning import interpret, verify
from providers.razorpay.refetch import REFETCH

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "razorpay",
    verify,
    interpret,
    refetch=REFETCH,
    catalogue=CATALOGUE,
    event_id_signed=False,
    signed_by=("X-Razorpay-Signature", "X-Razorpay-Event-Id"),
)
