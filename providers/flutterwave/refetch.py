"""Flutterwave version 3 read again at its API: the transaction that an unsigned webhook names.

Source: developer.flutterwave.com/v3.0/reference/verify-transaction. The answer holds the transaction under `data`, in
the shape of the webhook's `data`; it is believed only if it has the id that was asked for. Version 4 signs its
webhooks, and its ids are no numbers: its API is not asked.
"""

from __future__ import annotations

import re
from typing import Final

from providers.core.objects import ApiObject, ObjectsApi, by_key
from providers.core.refetch import DAY, HOUR, Watch
from providers.flutterwave.meaning import meaning_of_charge

WATCHES: Final = (
    Watch(
        statuses=("processing",),
        after=1 * HOUR,
        every=6 * HOUR,
        until=7 * DAY,
        source=(
            "docs/collecting-payments/standard: a session lives for 24 hours at most; docs/rate-limit (2026-09-13): ask"
            " on a schedule, and stop at a final status"
        ),
    ),
)
"""A transfer or a mobile charge stays pending until its payer acts."""

_API: Final = ObjectsApi(
    (
        ApiObject(
            "transaction",
            re.compile("[0-9]{1,20}"),
            "/v3/transactions/{id}/verify",
            lambda transaction: meaning_of_charge(transaction, "tx_ref"),
            within=("data",),
        ),
    ),
    by_key,
)

REFETCH: Final = _API.refetch("https://api.flutterwave.com", watches=WATCHES)
