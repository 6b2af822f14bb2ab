"""Standard Webhooks: what it signs and what its events mean (`meaning`), and which kinds it publishes (`kinds`)."""

from typing import Final

from providers.core.contract import Provider
from providers.standard_webhooks.kinds import CATALOGUE
from providers.standard_webhooks.meaning import interpret, verify, work

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "standard_webhooks",
    verify,
    interpret,
    catalogue=CATALOGUE,
    work=work,
    signed_by=("webhook-id", "webhook-timestamp", "webhook-signature"),
)
