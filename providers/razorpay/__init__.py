"""Razorpay: what it signs and what its events mean (`meaning`), its `kinds`, what it lists (`recall`).

`refetch` says how its API is asked.
"""

from typing import Final

from providers.core.contract import Provider
from providers.razorpay.kinds import CATALOGUE
from providers.razorpay.meaning import interpret, verify
from providers.razorpay.recall import RECALL
from providers.razorpay.refetch import REFETCH

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "razorpay",
    verify,
    interpret,
    refetch=REFETCH,
    recall=RECALL,
    catalogue=CATALOGUE,
    event_id_signed=False,
    meaning_version=3,  # a listed hold that was given back had been reserved
    signed_by=("X-Razorpay-Signature", "X-Razorpay-Event-Id"),
)
