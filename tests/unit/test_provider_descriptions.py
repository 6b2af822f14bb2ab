"""What each provider's description says of the trust in its webhooks, against what the providers document.

A word that is wrong here opens a way in or makes two events one, and no payload shows it: the rest of the code believes
the description.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

import providers
from providers.core.contract import Provider

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Described:
    """What a provider documents: the headers that prove a request, and what differs from `Provider`'s defaults."""

    signed_by: tuple[str, ...]
    meaning_version: int
    differs: frozenset[str] = frozenset()


DESCRIBED = {
    # Amounts, merchant and ids are in the HMAC of each item (docs.adyen.com: verify HMAC signatures); its merchant's
    # account decides whether money is taken at once.
    "adyen": Described((), 1, frozenset({"capture_by_setting"})),
    # bt_signature and bt_payload stand in the form (developer.paypal.com/braintree: webhooks, parse).
    "braintree": Described((), 4, frozenset({"ids_span_accounts"})),
    "checkout": Described(("Cko-Signature",), 2),
    # Version 3 shows the secret itself in verif-hash, version 4 signs the body; neither covers an id
    # (developer.flutterwave.com: webhooks).
    "flutterwave": Described(
        ("flutterwave-signature", "verif-hash"), 2, frozenset({"event_id_signed", "shows_secret"})
    ),
    # The signature covers the body alone: id and kind stand in other headers (docs.github.com: validating deliveries).
    "github": Described(
        ("X-Hub-Signature-256", "X-GitHub-Delivery", "X-GitHub-Event"),
        1,
        frozenset({"event_id_signed", "kind_signed", "payments"}),
    ),
    "gocardless": Described(("Webhook-Signature",), 2),
    # The classic webhook is an id and nothing else (docs.mollie.com: webhooks); the next generation signs.
    "mollie": Described(("X-Mollie-Signature",), 3, frozenset({"unsigned", "hints_by_anybody"})),
    # Daraja signs nothing; the secret is our own, in the path (developer.safaricom.co.ke: callbacks).
    "mpesa": Described((), 2, frozenset({"event_id_signed", "unsigned", "secret_in_path"})),
    # developer.paypal.com: verify webhook signatures, self-verification. Its ids are of all its merchants.
    "paypal": Described(
        (
            "PayPal-Transmission-Id",
            "PayPal-Transmission-Time",
            "PayPal-Transmission-Sig",
            "PayPal-Cert-Url",
            "PayPal-Auth-Algo",
        ),
        2,
        frozenset({"ids_span_accounts"}),
    ),
    "paystack": Described(("x-paystack-signature",), 2),
    # The signature covers the body alone; the event's id is a header beside it (razorpay.com/docs: validate webhooks).
    "razorpay": Described(("X-Razorpay-Signature", "X-Razorpay-Event-Id"), 3, frozenset({"event_id_signed"})),
    # The HMAC covers the body alone (shopify.dev: verify a webhook); id and topic are headers.
    "shopify": Described(
        ("X-Shopify-Hmac-Sha256", "X-Shopify-Event-Id", "X-Shopify-Topic"),
        2,
        frozenset({"event_id_signed", "kind_signed"}),
    ),
    "square": Described(("x-square-hmacsha256-signature",), 2),
    # Id, time and body are signed together (standard-webhooks.com, specification).
    "standard_webhooks": Described(("webhook-id", "webhook-timestamp", "webhook-signature"), 3),
    "stripe": Described(("Stripe-Signature",), 2),
    "twilio": Described(("X-Twilio-Signature",), 1, frozenset({"payments"})),
}
"""`meaning_version` only ever grows: whoever raises it raises it here. Put back by one, old facts pass for new ones."""
SWITCHES = {field.name: field.default for field in fields(Provider) if isinstance(field.default, bool)}


def test_every_built_in_provider_is_described() -> None:
    assert set(providers.built_in()) == set(DESCRIBED)


@pytest.mark.parametrize("name", sorted(DESCRIBED))
def test_a_provider_is_trusted_as_far_as_it_documents(name: str) -> None:
    provider, wanted = providers.find(name), DESCRIBED[name]
    assert provider is not None
    assert {field for field, usual in SWITCHES.items() if getattr(provider, field) != usual} == wanted.differs
    assert (provider.signed_by, provider.meaning_version) == (wanted.signed_by, wanted.meaning_version)
