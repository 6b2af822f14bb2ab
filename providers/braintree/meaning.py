"""What Braintree's webhooks mean ("Webhooks" in Braintree's documentation, and the SDK's `webhook_testing`).

A transaction is one attempt, keyed by its id, and its status tells how far it is. `transaction_settled` is sent for
bank debits and `transaction_disbursed` for all that is paid out: two names of one fact. For cards there is no such
webhook: what tells of their money is `subscription_charged_successfully` (the list's first transaction is the new one)
and, of what merchants charge themselves, nothing at all. So a dispute may be the first that is heard of a payment; its
transaction's `order-id` ties it to the intent.

A credit is a transaction of its own, the refund of `refunded-transaction-id`; its status says how far it is, and one
that was voided before it was settled gave nothing back. A sale lists its refunds by their ids, of which the first is
asked about. A partial settlement is a child of `authorized-transaction-id`, whose payment it is a capture of. A retry
is a new transaction of the same payment. A settlement can be declined after the money seemed settled.

Disputes: a retrieval is a question, which takes nothing however it ends. Any other takes its amount at once, which is
held until it ends ("amountDisputed" of Dispute in Braintree's GraphQL reference: "debited from a merchant's account and
held in a third-party account until the dispute is resolved"), and `amount-won` comes back of one that was won. A
pre-arbitration is a dispute of its own.

Amounts are major units. The merchant's reference is `order-id`. A subscription's id is shared by its payments.

Whose money: `merchant-account-id` of the sale, and of the dispute (braintree_python 4.45: `webhook_testing_gateway`
has it in transaction_settled, transaction_settlement_declined and all new disputes, and leaves it out of
transaction_disbursed, a subscription's charge, a local payment, refund_failed and old disputes). An event without it
is found by its ids, which are the gateway's: `TransactionGateway.find` and `DisputeGateway.find` ask without a merchant
account. A credit's is not read: the merchant may choose another one for a refund (`Transaction.refund_signature`), and
the money is that of the sale. A subscription's own is the one that its next charge goes to, and is not read either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from providers.braintree.document import SUBJECT, Texts, texts_of, transaction_path
from providers.braintree.signature import need_field
from providers.core.forms import read_form
from providers.core.meaning import id_or_none, maybe_id, need_currency, need_id, refs_of, undecodable
from providers.core.objects import REFUNDS
from providers.core.payments import (
    Facts,
    attempt,
    authorized,
    capture_failed,
    capture_pending,
    captured,
    dispute,
    dispute_funds,
    if_given,
    iso_seconds,
    major_units,
    need_kind,
    need_state,
    refund,
    summed,
    terms,
    unread_kind,
    void,
)
from schemas.errors import SignatureRejected
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside transactions, subscriptions, refunds and disputes say nothing."""
    texts = _read(body)
    need_kind(texts.get("notification/kind"), kind)
    reader = _READERS.get(kind)
    if reader is None:
        return Meaning() if kind in _SILENT else unread_kind(kind, _PAYMENT_FAMILIES)
    return reader(texts) if reader is _within else summed(reader(texts))


def _read(body: bytes) -> Texts:
    """Return the document's texts, empty where the body is no form with an XML document in it."""
    try:
        return texts_of(need_field(read_form(body), b"bt_payload"))
    except SignatureRejected as error:
        raise undecodable("the body is no form with one bt_payload") from error


def _money(texts: Texts, path: str, amount: str) -> tuple[int, str | None]:
    given, code = texts.get(f"{path}/{amount}"), texts.get(f"{path}/currency-iso-code")

    def read() -> tuple[int, str]:
        currency = need_currency(code, "currency-iso-code")
        return major_units(given, currency, amount), currency

    return if_given(read, given, code)


def _occurred_at(texts: Texts) -> float | None:
    return iso_seconds(texts.get("notification/timestamp"))


def meaning_of(kind: str, texts: Texts) -> Meaning:
    """Return what a document says when it is of that kind, which is one that we read."""
    return summed(_READERS[kind](texts))


# --- transactions ------------------------------------------------------------------------------------------------


def _transaction(state: str | None) -> Callable[[Texts], Meaning]:
    """Read a sale, or a credit, which is the refund of another transaction or of none.

    Without `state` the transaction's status tells it.
    """

    def read(texts: Texts) -> Meaning:
        path = transaction_path(texts) or f"{SUBJECT}/transaction"
        given = state or _STATUS.get(texts.get(f"{path}/status", ""), "")
        given_back = "credit" if f"{path}/refunded-transaction-id" in texts else "sale"
        type_ = texts.get(f"{path}/type", given_back)
        kind = need_state({"sale": "sale", "credit": "credit"}, type_, "transaction/type")
        return _credit(texts, path, given) if kind == "credit" else _sale(texts, path, given)

    return read


def _credit(texts: Texts, path: str, state: str) -> Meaning:
    own = need_id(texts.get(f"{path}/id"), "transaction/id")
    refunded = maybe_id(texts.get(f"{path}/refunded-transaction-id"), "transaction/refunded-transaction-id")
    amount, currency = _money(texts, path, "amount")
    if refunded is None:
        return Meaning()
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, refunded), (RefKind.REFUND, own)),
        facts=(refund(own, _CREDITS[state], amount, payment=refunded),) if state in _CREDITS else (),
        currency=currency,
        amount=amount,
        provider_ref=refunded,
        occurred_at=_occurred_at(texts),
    )


_CREDITS: Final = {
    **dict.fromkeys(("processing", "authorized", "pending"), "pending"),
    "succeeded": "succeeded",
    **dict.fromkeys(("failed", "refused", "expired"), "failed"),
    "voided": "canceled",
}


def _sale(texts: Texts, path: str, state: str) -> Meaning:
    """Read a sale; a part of an authorization belongs to its payment, and tells nothing of what was asked in all."""
    own = need_id(texts.get(f"{path}/id"), "transaction/id")
    whole = maybe_id(texts.get(f"{path}/authorized-transaction-id"), "transaction/authorized-transaction-id")
    retried = maybe_id(texts.get(f"{path}/retried-transaction-id"), "transaction/retried-transaction-id")
    reference = id_or_none(texts.get(f"{path}/order-id"))
    subscription = texts.get(f"{SUBJECT}/subscription/id") or texts.get(f"{path}/subscription-id")
    amount, currency = _money(texts, path, "amount")
    asked = () if whole else (terms(own, amount),)
    given = _SALES[state](own, amount, whole or own) if state in _SALES else ()
    if currency is None and state in _RELEASED:
        given = _without_a_sum(own, state)
    return Meaning(
        refs=refs_of(
            (RefKind.PAYMENT, whole),
            (RefKind.PAYMENT, own),
            (RefKind.PAYMENT, retried),
            (RefKind.SESSION, _local_payment(texts)),
            (RefKind.SHARED, id_or_none(subscription)),
            (RefKind.REFERENCE, reference),
        ),
        facts=(*asked, *given),
        opens=True,
        currency=currency,
        amount=amount,
        provider_ref=whole or own,
        merchant_account=_merchant_account(texts, path),
        occurred_at=_occurred_at(texts),
        ask=_listed_refund(texts, path),
    )


def _listed_refund(texts: Texts, path: str) -> str | None:
    """Return the first refund that a sale lists (`refund_ids`), to be asked about: of a card's no webhook tells."""
    refund_id = id_or_none(texts.get(f"{path}/refund-ids/item"))
    return REFUNDS + refund_id if refund_id else None


def _merchant_account(texts: Texts, path: str) -> str:
    """Return the merchant account of the gateway whose money a sale or a dispute is, "" where it says none."""
    return id_or_none(texts.get(f"{path}/merchant-account-id")) or ""


def _local_payment(texts: Texts) -> str | None:
    """Return the id of the local payment that became the transaction."""
    places = (f"{SUBJECT}/local-payment/payment-id", f"{SUBJECT}/local-payment-funded/payment-id")
    return maybe_id(next((texts[place] for place in places if place in texts), None), "payment-id")


def _failed(own: str, amount: int, whole: str) -> Facts:
    return (attempt(own, "failed"), *capture_failed(own, amount, authorization=whole))


_SALES: Final[dict[str, Callable[[str, int, str], Facts]]] = {
    "processing": lambda own, _amount, _whole: (attempt(own, "processing"),),
    "authorized": lambda own, amount, _whole: (authorized(own, amount),),
    "pending": lambda own, amount, whole: (
        attempt(own, "processing"),
        capture_pending(own, amount, authorization=whole),
    ),
    "succeeded": lambda own, amount, whole: (captured(own, amount, authorization=whole),),
    "failed": _failed,
    "refused": lambda own, _amount, _whole: (attempt(own, "failed"),),
    "voided": lambda own, amount, _whole: (authorized(own, amount), void(own, "canceled")),
    "expired": lambda own, amount, _whole: (authorized(own, amount), void(own, "expired")),
}

_RELEASED: Final = {"voided": "canceled", "expired": "expired"}
"""How a sale ended whose money was never taken."""


def _without_a_sum(own: str, state: str) -> Facts:
    """Say what a sale says that tells no currency: what it took is as much as the client asked for."""
    if state == "succeeded":
        return (captured(own, None, authorization=own),)
    if state in _RELEASED:
        return (attempt(own, _RELEASED[state]), void(own, _RELEASED[state]))
    if state == "failed":
        return (attempt(own, "failed"), *capture_failed(own, None, authorization=own))
    return (attempt(own, "failed" if state == "refused" else "processing"),)


_STATUS: Final = {
    "authorizing": "processing",
    "authorized": "authorized",
    "authorization_expired": "expired",
    "submitted_for_settlement": "succeeded",
    "settling": "succeeded",
    "settlement_confirmed": "succeeded",
    "settlement_pending": "pending",
    "settled": "succeeded",
    "settlement_declined": "failed",
    "settlement_failed": "failed",
    "failed": "refused",
    "gateway_rejected": "refused",
    "processor_declined": "refused",
    "voided": "voided",
}
"""A transaction's status ("Transaction statuses"). What was submitted for settlement is the merchant's, as nothing
tells of it again for a card; a later decline takes it back."""


def _within(texts: Texts) -> Meaning:
    """Read the transaction inside a subscription or a local payment; without one it says nothing.

    Samples leave out its currency, without which its amount can't be read.
    """
    path = transaction_path(texts)
    if path is None:
        return Meaning()
    if f"{path}/currency-iso-code" in texts:
        return summed(_transaction(None)(texts))
    own = need_id(texts.get(f"{path}/id"), "transaction/id")
    state = _STATUS.get(texts.get(f"{path}/status", ""), "")
    return Meaning(
        refs=refs_of(
            (RefKind.PAYMENT, own),
            (RefKind.SESSION, _local_payment(texts)),
            (RefKind.SHARED, id_or_none(texts.get(f"{SUBJECT}/subscription/id"))),
            (RefKind.REFERENCE, id_or_none(texts.get(f"{path}/order-id"))),
        ),
        facts=_without_a_sum(own, state),
        opens=True,
        provider_ref=own,
        merchant_account=_merchant_account(texts, path),
        occurred_at=_occurred_at(texts),
    )


def _refund_failed(texts: Texts) -> Meaning:
    """Read a refund that failed; the sale is named by a key of Braintree's own, so its own id finds its payment."""
    path = f"{SUBJECT}/transaction"
    own = need_id(texts.get(f"{path}/id"), "transaction/id")
    refunded = maybe_id(texts.get(f"{path}/refunded-transaction-id"), "transaction/refunded-transaction-id")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, refunded), (RefKind.REFUND, own)),
        facts=(refund(own, "failed", None, payment=refunded),),
        provider_ref=refunded,
        occurred_at=_occurred_at(texts),
    )


# --- disputes ----------------------------------------------------------------------------------------------------


def _dispute(state: str) -> Callable[[Texts], Meaning]:
    """Read a dispute, which may be the first that is heard of a payment."""

    def read(texts: Texts) -> Meaning:
        path = f"{SUBJECT}/dispute"
        own = need_id(texts.get(f"{path}/id"), "dispute/id")
        payment = maybe_id(texts.get(f"{path}/transaction/id"), "dispute/transaction/id")
        given = "amount-disputed" if f"{path}/amount-disputed" in texts else "amount"
        amount, currency = _money(texts, path, given)
        asks = texts.get(f"{path}/kind") == "retrieval"
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, payment),
                (RefKind.DISPUTE, own),
                (RefKind.REFERENCE, id_or_none(texts.get(f"{path}/transaction/order-id"))),
            ),
            facts=(
                dispute(own, _ASKED.get(state, state) if asks else state, payment=payment),
                *(() if asks else _funds(texts, own, amount, won=state == "won")),
            ),
            opens=payment is not None,
            currency=currency,
            amount=amount,
            provider_ref=payment,
            merchant_account=_merchant_account(texts, path),
            occurred_at=_occurred_at(texts),
        )

    return read


def _funds(texts: Texts, own: str, amount: int, *, won: bool) -> Facts:
    """Say what a dispute took, whatever it tells of, and gave back where it was won: `amount-won`, without it all."""
    taken = dispute_funds(own, "withdrawn", amount)
    if not won:
        return (taken,)
    awarded, _ = _money(texts, f"{SUBJECT}/dispute", "amount-won")
    return (taken, dispute_funds(own, "reinstated", awarded or amount))


_ASKED: Final = {"open": "inquiry", "under_review": "inquiry", "lost": "prevented", "won": "prevented"}
"""How a question stands: DisputeType RETRIEVAL debits nothing, whether it is answered or not."""

_READERS: Final[dict[str, Callable[[Texts], Meaning]]] = {
    "transaction_settled": _transaction("succeeded"),
    "transaction_disbursed": _transaction("succeeded"),
    "transaction_settlement_declined": _transaction("failed"),
    "transaction_retried": _transaction(None),
    "subscription_charged_successfully": _within,
    "subscription_charged_unsuccessfully": _within,
    "local_payment_completed": _within,
    "local_payment_funded": _within,
    "refund_failed": _refund_failed,
    "dispute_opened": _dispute("open"),
    "dispute_disputed": _dispute("under_review"),
    "dispute_under_review": _dispute("under_review"),
    "dispute_accepted": _dispute("lost"),
    "dispute_auto_accepted": _dispute("lost"),
    "dispute_expired": _dispute("lost"),  # the time to answer is over
    "dispute_lost": _dispute("lost"),
    "dispute_won": _dispute("won"),
}

_SILENT: Final = frozenset({"local_payment_expired", "local_payment_reversed", "transaction_reviewed"})
"""A local payment that expired or was given back never became a transaction."""

_PAYMENT_FAMILIES: Final = ("transaction_", "dispute_", "refund_", "local_payment_")
