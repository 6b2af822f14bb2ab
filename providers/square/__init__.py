"""Square: what it signs and what its events mean (`meaning`), its `kinds`, its `recall` and its `refetch`."""

from typing import Final

from providers.core.contract import Provider
from providers.square.kinds import CATALOGUE
from providers.square.meaning import interpret, verify
from providers.square.recall import RECALL
from providers.square.refetch import REFETCH

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "square",
    verify,
    interpret,
    refetch=REFETCH,
    recall=RECALL,
    catalogue=CATALOGUE,
    meaning_version=2,  # a dispute has a version, and took its money where it was lost
    signed_by=("x-square-hmacsha256-signature",),
)
