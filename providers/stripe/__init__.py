"""Stripe: what it signs (`signature`), what its events mean (`meaning`), how it is asked again (`refetch`)."""

from providers.core.contract import Provider
from providers.stripe.meaning import interpret
from providers.stripe.refetch import REFETCH
from providers.stripe.signature import verify

__all__ = ["PROVIDER"]

PROVIDER = Provider("stripe", verify, interpret, refetch=REFETCH)
