"""Standard Webhooks: what it signs (`signature`), what its events mean (`meaning`), its `kinds`, its `refetch`."""

from typing import Final

from providers.core.contract import Provider
from providers.standard_webhooks.kinds import CATALOGUE
from providers.standard_webhooks.meaning import interpret
from providers.standard_webhooks.refetch import REFETCH
from providers.standard_webhooks.signature import verify, work

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "standard_webhooks",
    verify,
    interpret,
    refetch=REFETCH,
    catalogue=CATALOGUE,
    meaning_version=3,  # a try that has an id of its own tells its payment
    work=work,
    signed_by=("webhook-id", "webhook-timestamp", "webhook-signature"),
)
