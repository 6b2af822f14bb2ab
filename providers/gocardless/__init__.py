"""GoCardless: what it signs, what its events and its API's answers mean (`meaning`), its `kinds` and its `recall`."""

from typing import Final

from providers.core.contract import Provider
from providers.gocardless.kinds import CATALOGUE
from providers.gocardless.meaning import REFETCH, interpret, verify
from providers.gocardless.recall import RECALL

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "gocardless",
    verify,
    interpret,
    refetch=REFETCH,
    recall=RECALL,
    catalogue=CATALOGUE,
    meaning_version=2,  # a payment that the API says failed was not collected, whatever came before
    signed_by=("Webhook-Signature",),
)
