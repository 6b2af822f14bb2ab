"""Payments of the providers that the sample does not play: signed bodies, and what they come to. Pure.

Bodies are those of `tests/contract/histories` with ids of their own; seals follow each provider's documentation, as the
vectors in `tests/contract/vectors` do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from ops.sample.post import LEDGER, NOWHERE, WAITS, Fault, Post, SampleEvent, digest_id, token
from ops.sample.signing import SignedPost
from producers.providers import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

PUBLIC_URL: Final = "https://pay.example"
JSON: Final = {"Content-Type": "application/json"}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
AMOUNT: Final = 5000
"""Of each payment, in its currency's smallest unit."""


@dataclass(frozen=True, slots=True)
class Step:
    """One webhook before it has ids: `{n}` stands for the payment's own part of them, `{e}` for the event's."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Other:
    """A provider: its webhooks about one payment, the payment's id, and how a request is sealed.

    `ref` is empty where it makes no payment. `seal` takes secret, path, kind, event id and body, and returns headers
    and body. `shown` says that the secret is itself shown, so that its webhooks are hints and move nothing; `waits`
    that they wait for what its API says (GoCardless' tell no amounts), which nobody asks here.
    """

    steps: tuple[Step, ...]
    seal: Callable[[str, str, str, str, bytes], tuple[Mapping[str, str], bytes]]
    ref: str = ""
    secret: str = "soak_key_9d7f4c2b8a6e1f30"
    shown: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Invented:
    """A payment of one of these providers: its posts, and what its row must hold once all were taken.

    `ref` is empty where there is no payment.
    """

    provider: str
    ref: str
    posts: tuple[Post, ...]


def _mac(secret: str, message: bytes, name: str = "sha256") -> hmac.HMAC:
    return hmac.new(secret.encode(), message, name)


def _hex(header: str, prefix: str = "", name: str = "sha256") -> Callable[..., tuple[Mapping[str, str], bytes]]:
    """Return a seal: the body's MAC in hexadecimal digits in a header."""

    def seal(secret: str, _path: str, _kind: str, _own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
        return {**JSON, header: prefix + _mac(secret, body, name).hexdigest()}, body

    return seal


def _razorpay(secret: str, _path: str, _kind: str, own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    return {**JSON, "X-Razorpay-Signature": _mac(secret, body).hexdigest(), "X-Razorpay-SampleEvent-Id": own}, body


def _shopify(secret: str, _path: str, kind: str, own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    signature = base64.b64encode(_mac(secret, body).digest()).decode()
    return {
        **JSON, "X-Shopify-Hmac-Sha256": signature, "X-Shopify-Topic": kind, "X-Shopify-SampleEvent-Id": own,
    }, body  # fmt: skip


def _flutterwave(secret: str, _path: str, _kind: str, _own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    return {**JSON, "flutterwave-signature": base64.b64encode(_mac(secret, body).digest()).decode()}, body


def _square(secret: str, path: str, _kind: str, _own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    signature = _mac(secret, (PUBLIC_URL + path).encode() + body).digest()
    return {**JSON, "X-Square-HmacSha256-Signature": base64.b64encode(signature).decode()}, body


def _braintree(secret: str, _path: str, _kind: str, _own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    """Put the XML into a form; the key is the SHA-1 of the private key (Braintree's SDKs)."""
    public, _, private = secret.partition("|")
    payload = base64.encodebytes(body).decode()
    key = hashlib.sha1(private.encode(), usedforsecurity=False).digest()
    signature = hmac.new(key, payload.encode(), "sha1").hexdigest()
    return FORM, urlencode({"bt_signature": f"{public}|{signature}", "bt_payload": payload}).encode()


def _github(secret: str, _path: str, kind: str, own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    signature = f"sha256={_mac(secret, body).hexdigest()}"
    return {**JSON, "X-GitHub-Event": kind, "X-GitHub-Delivery": own, "X-Hub-Signature-256": signature}, body


def _twilio(secret: str, path: str, _kind: str, own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    """HMAC-SHA1 over the URL and the form's fields in order (twilio.com/docs/usage/security)."""
    text = PUBLIC_URL + path + "".join(name + value for name, value in sorted(parse_qsl(body.decode())))
    signature = base64.b64encode(_mac(secret, text.encode(), "sha1").digest()).decode()
    return {**FORM, "X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": own}, body


def _paypal(_secret: str, _path: str, _kind: str, own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    """Leave out whose certificate it is: only PayPal could sign it, so all of these are forged."""
    return {**JSON, "PAYPAL-TRANSMISSION-ID": own, "PAYPAL-TRANSMISSION-SIG": "c29haw=="}, body


def _mpesa(_secret: str, _path: str, _kind: str, _own: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
    return JSON, body


def _checkout(kind: str) -> Step:
    text = (
        '{"id":"evt_{e}","type":"%s","version":"1.0.0","created_on":"2026-09-21T14:18:20Z","data":{"id":"pay_{n}",'
        '"action_id":"act_{e}","amount":5000,"currency":"EUR","reference":"ORD-{n}",'
        '"processed_on":"2026-09-21T14:18:20Z"}}'
    )
    return Step(kind, text % kind)


def _razorpay_step(kind: str, status: str, captured: str) -> Step:
    text = (
        '{"entity":"event","account_id":"acc_1","event":"%s","contains":["payment"],"payload":{"payment":{"entity":'
        '{"id":"pay_{n}","entity":"payment","amount":5000,"currency":"INR","status":"%s","order_id":"order_{n}",'
        '"notes":[],"captured":%s}}},"created_at":1790000009}'
    )
    return Step(kind, text % (kind, status, captured))


def _square_step(kind: str, status: str, version: int) -> Step:
    text = (
        '{"merchant_id":"M1","type":"%s","event_id":"{e}","created_at":"2026-09-21T14:18:0%dZ","data":{"type":"payment",'
        '"id":"{n}","object":{"payment":{"id":"{n}","status":"%s","amount_money":{"amount":5000,"currency":"USD"},'
        '"total_money":{"amount":5000,"currency":"USD"},"updated_at":"2026-09-21T14:18:0%d.000Z","version":%d}}}}'
    )
    return Step(kind, text % (kind, version, status, version, version))


def _mollie_step(kind: str, status: str) -> Step:
    text = (
        '{"resource":"event","id":"event_{e}","type":"%s","entityId":"tr_{n}","createdAt":"2026-09-21T14:42:27.0Z",'
        '"_embedded":{"entity":{"resource":"payment","id":"tr_{n}","mode":"live","amount":{"value":"50.00","currency":'
        '"EUR"},"status":"%s","profileId":"pfl_1"}}}'
    )
    return Step(kind, text % (kind, status))


def _gocardless_step(action: str) -> Step:
    text = (
        '{"events":[{"id":"EV{e}","created_at":"2026-09-20T10:00:00.000Z","resource_type":"payments","action":"%s",'
        '"links":{"payment":"PM{n}"},"details":{"origin":"bank","cause":"x"},"metadata":{}}]}'
    )
    return Step(f"payments.{action}", text % action)


OTHERS: Final[dict[str, Other]] = {
    "braintree": Other(
        (
            Step(
                "transaction_settled",
                '<notification><timestamp type="datetime">2026-09-21T14:18:20Z</timestamp>'
                "<kind>transaction_settled</kind><subject><transaction><id>{n}</id><amount>50.00</amount>"
                "<currency-iso-code>EUR</currency-iso-code><type>sale</type><status>processed</status></transaction>"
                "</subject></notification>",
            ),
        ),
        _braintree,
        ref="{n}",
        secret="soak_public_key|soak_private_key",
    ),
    "checkout": Other(
        (_checkout("payment_approved"), _checkout("payment_captured")), _hex("Cko-Signature"), ref="pay_{n}"
    ),
    "flutterwave": Other(
        (
            Step(
                "charge.completed",
                '{"webhook_id":"wbk_{e}","timestamp":1790000299123,"type":"charge.completed","data":{"id":"chg_{n}",'
                '"amount":50,"currency":"NGN","status":"succeeded","reference":"ORD-{n}"}}',
            ),
        ),
        _flutterwave,
        ref="ORD-{n}",
    ),
    "gocardless": Other(
        (_gocardless_step("created"), _gocardless_step("submitted")), _hex("Webhook-Signature"), waits=True
    ),
    "mollie": Other(
        (_mollie_step("payment.authorized", "authorized"), _mollie_step("payment.paid", "paid")),
        _hex("X-Mollie-Signature", "sha256="),
        ref="tr_{n}",
    ),
    "mpesa": Other(
        (
            Step(
                "",
                '{"Body":{"stkCallback":{"MerchantRequestID":"{e}","CheckoutRequestID":"ws_CO_{n}","ResultCode":0,'
                '"ResultDesc":"x","CallbackMetadata":{"Item":[{"Name":"Amount","Value":50.0},'
                '{"Name":"MpesaReceiptNumber","Value":"UIL{n}"},{"Name":"TransactionDate","Value":20260921141820},'
                '{"Name":"PhoneNumber","Value":254708374149}]}}}}',
            ),
        ),
        _mpesa,
        shown=True,
    ),
    "paystack": Other(
        (
            Step(
                "charge.success",
                '{"event":"charge.success","data":{"id":{i},"domain":"live","status":"success","reference":"{n}",'
                '"amount":5000,"currency":"NGN","paid_at":"2026-09-21T10:00:00.000Z"}}',
            ),
        ),
        _hex("X-Paystack-Signature", name="sha512"),
        ref="{n}",
    ),
    "paypal": Other(
        (Step("PAYMENT.SALE.COMPLETED", '{"id":"WH-{e}","event_type":"PAYMENT.SALE.COMPLETED"}'),), _paypal
    ),
    "razorpay": Other(
        (
            _razorpay_step("payment.authorized", "authorized", "false"),
            _razorpay_step("payment.captured", "captured", "true"),
        ),
        _razorpay,
        ref="pay_{n}",
    ),
    "shopify": Other(
        (
            Step(
                "orders/paid",
                '{"id":{i},"currency":"USD","presentment_currency":"USD","total_price":"50.00",'
                '"current_total_price":"50.00","financial_status":"paid","test":false,'
                '"updated_at":"2026-09-21T10:00:00-04:00"}',
            ),
        ),
        _shopify,
        ref="{i}",
    ),
    "square": Other(
        (_square_step("payment.created", "APPROVED", 1), _square_step("payment.updated", "COMPLETED", 9)),
        _square,
        ref="{n}",
    ),
    "github": Other((Step("push", '{"ref":"{n}"}'),), _github),
    "twilio": Other((Step("", "MessageSid=SM{n}&SmsStatus=delivered&MessageStatus=delivered"),), _twilio),
}
NEVER_GENUINE: Final = frozenset({"paypal"})
"""PayPal signs with a certificate that is fetched from PayPal; the tests of its own have another root."""
ONLY_FORGED: Final = frozenset({"mpesa", "paypal"})
"""Whose seal covers no body, so that none can be altered under it."""
GENUINE: Final = tuple(sorted(OTHERS.keys() - NEVER_GENUINE))


def environment() -> dict[str, str]:
    """Return what an ingress needs in its environment to believe these providers."""
    secrets = {f"RATCHET_PROVIDERS__{name.upper()}__SECRETS": json.dumps([one.secret]) for name, one in OTHERS.items()}
    return {"RATCHET_PUBLIC_URL": PUBLIC_URL, **secrets}


def path_of(provider: str, secret: str) -> str:
    """Return where a request goes; M-Pesa shows its secret there."""
    return f"/webhooks/{provider}/{secret}" if OTHERS[provider].shown else f"/webhooks/{provider}"


def live(rng: Random, provider: str) -> Invented:
    """Return a payment of its own with all its webhooks."""
    other, ids = OTHERS[provider], {"{n}": token(rng, 20), "{i}": str(rng.randint(10**14, 10**15))}
    posts = tuple(_post(rng, provider, step, ids) for step in other.steps)
    return Invented(provider, _filled(other.ref, ids), posts)


def _filled(text: str, ids: Mapping[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(name, value)
    return text


def _post(rng: Random, provider: str, step: Step, ids: Mapping[str, str]) -> Post:
    other, own = OTHERS[provider], token(rng, 20)
    body = _filled(step.text, {**ids, "{e}": own}).encode()
    post = Post(provider, body, (), message_id=f"{own} {step.kind}", hint=other.shown)
    return Post(provider, body, _events(post), post.message_id, hint=other.shown)


def _events(post: Post) -> tuple[SampleEvent, ...]:
    """Return the events by their identity in the ledger: the provider's, else the body's digest."""
    if post.provider in NEVER_GENUINE:
        return (SampleEvent(post.provider, post.message_id, NOWHERE),)
    sealed = seal(post)
    found = verify(
        post.provider,
        headers=sealed.headers,
        body=sealed.body,
        url=PUBLIC_URL + sealed.path,
        secrets=[OTHERS[post.provider].secret],
        now=0,
    )
    legal = NOWHERE if post.hint else WAITS if OTHERS[post.provider].waits else LEDGER
    return tuple(SampleEvent(post.provider, one.event_id or digest_id(one.body), legal) for one in found)


def seal(post: Post) -> SignedPost:
    """Sign a post, or break its seal as its fault says."""
    other = OTHERS[post.provider]
    secret = other.secret if post.fault is not Fault.FORGED else "soak_of_somebody_else|of_somebody_else"
    path = path_of(post.provider, secret)
    own, _, kind = post.message_id.partition(" ")
    headers, body = other.seal(secret, path, kind, own, post.body)
    if post.fault is Fault.ALTERED:
        body = body.replace(b"50", b"59") + (b"" if b"50" in body else b" ")
    if post.fault is Fault.MALFORMED:
        headers = dict.fromkeys(headers, "v1") | {"Content-Type": headers["Content-Type"]}
        body = body.replace(b"bt_signature=", b"bt_signature=!")
    return SignedPost(path, headers, body)
