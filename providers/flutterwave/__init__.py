"""Flutterwave: what it signs and what its events mean (`meaning`), how its API is asked (`refetch`), its `kinds`."""

from typing import Final

from providers.core.contract import Provider
from providers.flutterwave.kinds import CATALOGUE
from providers.flutterwave.meaning import interpret, named, verify
from providers.flutterwave.refetch import REFETCH

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "flutterwave",
    verify,
    interpret,
    catalogue=CATALOGUE,
    shows_secret=True,
    event_id_signed=False,
    named=named,
    signed_by=("flutterwave-signature", "verif-hash"),
    refetch=REFETCH,
    meaning_version=2,  # a chargeback is a dispute
    learned_by_api="version 3 signs no webhook",
)
