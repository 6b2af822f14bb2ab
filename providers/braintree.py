"""Braintree: a form with an XML document in base64, signed as text by a key pair.

Source: Braintree's Python SDK (`webhook_notification`, `webhook_testing`).

Signed: the field `bt_payload` as text, line breaks included, HMAC-SHA1 in hex, key = the SHA-1 digest of the private
key. The field `bt_signature` holds `<public key>|<hex>` pairs joined by `&`, one a live key pair of the gateway; a
secret is `<public key>|<private key>`, and a pair counts only under its own public key. Frameworks that strip fields
lose the payload's last newline, so the text with one newline added is tried as well. Other fields are neither signed
nor read.

Identity: Braintree has no event id; it is `<kind>:<subject id>`. The payment is the transaction: the subject itself,
or the one inside a dispute.

Meaning ("Webhooks" in Braintree's documentation): a sale is one attempt, captured once, keyed by its transaction.
`transaction_settled` is sent for bank debits and `transaction_disbursed` for all that is paid out: two names of one
fact. A credit is a transaction of its own, the refund of `refunded-transaction-id`. A settlement can be declined after
the money seemed settled. Amounts are major units. The merchant's reference is `order-id`. Kinds of local payments and
subscriptions name no transaction to count, and its money comes under the transaction's own kinds.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.forms import Fields, read_form, values_of
from providers.core.meaning import maybe_id, need_currency, need_id, refs_of, undecodable
from providers.core.payments import (
    Facts,
    attempt,
    capture_failed,
    captured,
    dispute,
    iso_seconds,
    major_units,
    need_kind,
    need_state,
    refund,
    said_nothing,
    terms,
)
from providers.core.proof import few, hmac_hex, live_secrets, need_match, to_bytes
from schemas.errors import SignatureRejected
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASE64_LINES: Final = re.compile(rb"[A-Za-z0-9+/=\n]+\Z")
_DEPTH_MAX: Final = 5
"""notification/subject/dispute/transaction/id: nothing deeper is read."""
_SUBJECT_ID: Final = re.compile(r"notification/subject/[^/]+/id\Z")


def verify(request: SignedRequest) -> list[Notification]:
    """Check `bt_signature` over `bt_payload`; return the one event."""
    pairs = _key_pairs(live_secrets(request))
    fields = read_form(request.body)
    signature, payload = _need_field(fields, b"bt_signature"), _need_field(fields, b"bt_payload")
    presented = few(signature.split(b"&"))
    if not _BASE64_LINES.match(payload):
        raise SignatureRejected("malformed_body", "bt_payload holds characters outside base64")
    need_match(presented, _expected(pairs, payload))
    return [_notification(payload, request.body)]


def _key_pairs(secrets: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (public, private) of each usable secret, or raise `empty_secret`."""
    split = [secret.partition("|") for secret in secrets]
    pairs = [(public, private) for public, _, private in split if public.strip() and private.strip()]
    if not pairs:
        raise SignatureRejected("empty_secret", "no secret has the form public_key|private_key")
    return pairs


def _need_field(fields: Fields, name: bytes) -> bytes:
    values = values_of(fields, name)
    if not values:
        raise SignatureRejected("missing_header", f"no field {name.decode()}")
    if len(values) > 1 or not values[0]:
        raise SignatureRejected("malformed_header", f"the field {name.decode()} is empty or repeated")
    return values[0]


def _expected(pairs: list[tuple[str, str]], payload: bytes) -> Iterator[bytes]:
    for public, private in pairs:
        key = hashlib.sha1(to_bytes(private), usedforsecurity=False).digest()
        for text in (payload, payload + b"\n"):
            yield to_bytes(f"{public}|{hmac_hex(key, text, 'sha1')}")


def _notification(payload: bytes, body: bytes) -> Notification:
    texts = _texts(payload)
    kind = texts.get("notification/kind")
    transaction, dispute = (texts.get(f"notification/subject/{name}/id") for name in ("transaction", "dispute"))
    own = transaction or dispute or next((text for path, text in texts.items() if _SUBJECT_ID.match(path)), None)
    payment_ref = transaction or texts.get("notification/subject/dispute/transaction/id")
    return Notification(f"{kind}:{own}" if kind and own else None, kind, payment_ref, body)


def _texts(payload: bytes) -> dict[str, str]:
    """Return the text of each element by its path, the first of a name alone; empty where there is no XML."""
    reader = _Reader()
    try:
        reader.parser.Parse(base64.b64decode(payload), True)
    except (ValueError, LookupError, expat.ExpatError):  # LookupError: an encoding that does not exist
        return {}
    return reader.texts


class _Reader:
    """Collects the text of shallow elements; a document type (where entities would be declared) ends the reading."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._path: list[str] = []
        self._text_here = ""

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text_here = ""

    def _text(self, data: str) -> None:
        self._text_here += data

    def _end(self, _name: str) -> None:
        if len(self._path) <= _DEPTH_MAX and self._text_here.strip():
            self.texts.setdefault("/".join(self._path), self._text_here.strip())
        self._path.pop()
        self._text_here = ""

    def _doctype(self, *_declaration: object) -> None:
        raise ValueError("a notification has no document type")


_SUBJECT: Final = "notification/subject"


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside transactions, refunds and disputes say nothing."""
    texts = _read(body)
    need_kind(texts.get("notification/kind"), kind)
    if kind in _TRANSACTION_STATES:
        return _transaction(texts, _TRANSACTION_STATES[kind])
    if kind in _DISPUTE_STATES:
        return _dispute(texts, kind)
    return Meaning() if kind in _SILENT else said_nothing(kind, _PAYMENT_FAMILIES)


def _read(body: bytes) -> dict[str, str]:
    """Return the document's texts, empty where the body is no form with an XML document in it."""
    try:
        return _texts(_need_field(read_form(body), b"bt_payload"))
    except SignatureRejected as error:
        raise undecodable("the body is no form with one bt_payload") from error


def _money(texts: dict[str, str], path: str, amount: str) -> tuple[int, str]:
    currency = need_currency(texts.get(f"{path}/currency-iso-code"), "currency-iso-code")
    return major_units(texts.get(f"{path}/{amount}"), currency, amount), currency


def _transaction(texts: dict[str, str], state: str) -> Meaning:
    """Read a sale, or a credit, which is the refund of another transaction or of none."""
    path = f"{_SUBJECT}/transaction"
    own = need_id(texts.get(f"{path}/id"), "transaction/id")
    kind = need_state({"sale": "sale", "credit": "credit"}, texts.get(f"{path}/type"), "transaction/type")
    refunded = maybe_id(texts.get(f"{path}/refunded-transaction-id"), "transaction/refunded-transaction-id")
    amount, currency = _money(texts, path, "amount")
    occurred_at = iso_seconds(texts.get("notification/timestamp"))
    if kind == "credit":
        if refunded is None:
            return Meaning()
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, refunded), (RefKind.REFUND, own)),
            facts=(refund(own, state, amount, payment=refunded),),
            currency=currency,
            amount=amount,
            provider_ref=refunded,
            occurred_at=occurred_at,
        )
    reference = maybe_id(texts.get(f"{path}/order-id"), "transaction/order-id")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, own), (RefKind.REFERENCE, reference)),
        facts=(terms(own, amount), *_sale(own, state, amount)),
        opens=True,
        currency=currency,
        amount=amount,
        provider_ref=own,
        occurred_at=occurred_at,
    )


def _sale(own: str, state: str, amount: int) -> Facts:
    if state == "succeeded":
        return (captured(own, amount, authorization=own),)
    return (attempt(own, "failed"), *capture_failed(own, amount, authorization=own))


_TRANSACTION_STATES: Final = {
    "transaction_settled": "succeeded",
    "transaction_disbursed": "succeeded",
    "transaction_settlement_declined": "failed",
}


def _dispute(texts: dict[str, str], kind: str) -> Meaning:
    """Read a dispute; its events do not tell whether money moved."""
    path = f"{_SUBJECT}/dispute"
    own = need_id(texts.get(f"{path}/id"), "dispute/id")
    payment = need_id(texts.get(f"{path}/transaction/id"), "dispute/transaction/id")
    amount, currency = _money(texts, path, "amount-disputed" if f"{path}/amount-disputed" in texts else "amount")
    asks = kind == "dispute_opened" and texts.get(f"{path}/kind") == "retrieval"
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, payment), (RefKind.DISPUTE, own)),
        facts=(dispute(own, "inquiry" if asks else _DISPUTE_STATES[kind], payment=payment),),
        currency=currency,
        amount=amount,
        provider_ref=payment,
        occurred_at=iso_seconds(texts.get("notification/timestamp")),
    )


_DISPUTE_STATES: Final = {
    "dispute_opened": "open",
    "dispute_disputed": "under_review",
    "dispute_under_review": "under_review",
    "dispute_accepted": "lost",
    "dispute_auto_accepted": "lost",
    "dispute_expired": "lost",  # the time to answer is over
    "dispute_lost": "lost",
    "dispute_won": "won",
}

_SILENT: Final = frozenset(
    {
        "local_payment_completed",
        "local_payment_expired",
        "local_payment_funded",
        "transaction_retried",
        "transaction_reviewed",
    }
)

_PAYMENT_FAMILIES: Final = ("transaction_", "dispute_", "refund_", "local_payment_")
"""`refund_failed` names the refunded transaction by a key of Braintree's own database: `unknown_kind`, for people."""

PROVIDER: Final = Provider("braintree", verify, interpret)
