"""Standard Webhooks: what it signs and what its events mean (`meaning`), and which kinds it publishes (`kinds`)."""

from typing import Final

from providers.core.contract import Provider
from providers.standard_webhooks.kinds import CATALOGUE
from providers.standard_webhooks.meaning import interpret, verify, work
from providers.standard_webhooks.refetch import REFETCH

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "standard_webhooks",
    verify,
    interpret,
    refetch=REFETCH,
    catalogue=CATALOGUE,
    meaning_version=2,  # Polar's taxes and balances, Dodo's disputes count
    work=work,
    signed_by=("webhook-id", "webhook-timestamp", "webhook-signature"),
)
