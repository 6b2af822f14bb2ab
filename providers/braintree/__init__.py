"""Braintree: what it signs (`signature`), its XML (`document`), what its events mean (`meaning`), and its `kinds`.

`refetch` says how its API is asked.
"""

from typing import Final

from providers.braintree.kinds import CATALOGUE
from providers.braintree.meaning import interpret
from providers.braintree.refetch import REFETCH
from providers.braintree.signature import verify
from providers.core.contract import Provider

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "braintree",
    verify,
    interpret,
    refetch=REFETCH,
    catalogue=CATALOGUE,
    meaning_version=4,  # a refund stands where its status says
    ids_span_accounts=True,  # the gateway's: its API asks for a transaction or a dispute by the id alone
)
