"""Braintree read again at its API: a transaction, a refund and a dispute, each by its id, as XML.

A refund is a transaction too, a credit with a status of its own (`Transaction.status`, `refunded_transaction_id`).

The paths, headers and shapes are those of braintree_python 4.45 (`transaction_gateway`, `dispute_gateway`, `http`),
which asks by the merchant's id with the public and the private key.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from providers.braintree.document import SUBJECT, Texts, subject_of
from providers.braintree.meaning import meaning_of
from providers.core.objects import DISPUTES, REFUNDS, ApiObject, ObjectsApi, basic
from providers.core.payments import need_state
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Credentials, Watch
from schemas.facts import Meaning, RefKind

_IDS: Final = re.compile("[A-Za-z0-9_]{1,60}")
_KINDS: Final = {
    "open": "dispute_opened",
    **{
        status: f"dispute_{status}"
        for status in ("accepted", "auto_accepted", "disputed", "expired", "lost", "under_review", "won")
    },
}


def _headers(credentials: Credentials) -> dict[str, str]:
    return {**basic(credentials, "application/xml"), "X-ApiVersion": "6"}


def _meaning_of_dispute(texts: Texts) -> Meaning:
    return meaning_of(need_state(_KINDS, texts.get(f"{SUBJECT}/dispute/status"), "dispute/status"), texts)


WATCHES: Final = (
    Watch(
        statuses=("created",),
        after=1 * HOUR,
        every=12 * HOUR,
        until=3 * DAY,
        source="an intent announced it: of a card no webhook tells but a subscription's",
        guess="after and until",
    ),
    Watch(
        statuses=("processing",),
        after=2 * DAY,
        every=1 * DAY,
        until=30 * DAY,
        source="reference/general/statuses: settlement pending; a bank debit takes days",
        guess="after and until",
    ),
    Watch(
        statuses=("authorized",),
        after=3 * DAY,
        every=1 * DAY,
        until=32 * DAY,
        source="reference/general/statuses: expired after 3 days (Visa, by the merchant) to 30 (Mastercard, Discover)",
    ),
    Watch(
        refunds=("pending",),
        child=RefKind.REFUND,
        after=2 * DAY,
        every=1 * DAY,
        until=30 * DAY,
        source="reference/general/statuses: settlement pending; of a refund on its way no webhook tells",
        guess="after and until",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=7 * DAY,
        every=7 * DAY,
        until=365 * DAY,
        source="braintree_python, Dispute.reply_by_date ends the merchant's part alone",
        guess="until",
    ),
)

_TRANSACTION_PATH: Final = "/merchants/{merchant}/transactions/{id}"
_TRANSACTION_ID: Final = (f"{SUBJECT}/transaction/id",)
_meaning_of_transaction: Final = partial(meaning_of, "transaction_retried")
"""The kind whose status is the transaction's own."""

_API: Final = ObjectsApi(
    (
        ApiObject(
            "dispute",
            _IDS,
            "/merchants/{merchant}/disputes/{id}",
            _meaning_of_dispute,
            prefix=DISPUTES,
            id_at=(f"{SUBJECT}/dispute/id",),
            payment_at=(f"{SUBJECT}/dispute/transaction/id",),
        ),
        ApiObject(
            "refund",
            _IDS,
            _TRANSACTION_PATH,
            _meaning_of_transaction,
            prefix=REFUNDS,
            id_at=_TRANSACTION_ID,
            payment_at=(f"{SUBJECT}/transaction/refunded-transaction-id",),
        ),
        ApiObject("transaction", _IDS, _TRANSACTION_PATH, _meaning_of_transaction, id_at=_TRANSACTION_ID),
    ),
    _headers,
    parse=subject_of,
)

REFETCH: Final = _API.refetch("https://api.braintreegateway.com", watches=WATCHES, needs=("secret", "merchant"))
