"""M-Pesa (Daraja): unsigned callbacks that are hints (`callbacks`), and the API that answers for them (`refetch`).

`status_query` is the API's question that is answered by another callback; `meaning` reads both, `kinds` lists them.
"""

from __future__ import annotations

from typing import Final

from providers.core.contract import Provider
from providers.mpesa.callbacks import also_named_by, named_by, verify
from providers.mpesa.kinds import CATALOGUE
from providers.mpesa.meaning import interpret
from providers.mpesa.refetch import REFETCH

__all__ = ["PROVIDER"]

PROVIDER: Final = Provider(
    "mpesa",
    verify,
    interpret,
    event_id_signed=False,
    refetch=REFETCH,
    named=named_by,
    also_named=also_named_by,
    unsigned=True,
    secret_in_path=True,
    catalogue=CATALOGUE,
    learned_by_api="nobody signs its callbacks",
    meaning_version=2,  # a push read at the API is a total, no capture of its own
)
