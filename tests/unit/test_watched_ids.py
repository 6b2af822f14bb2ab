"""What is asked again on a clock is asked by the id under which its provider tells how it ends."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import pytest
from refetched import refetch_of

import providers
from providers.core.refetch import Credentials

pytestmark = pytest.mark.unit

CREDENTIALS: Final = Credentials("http://api", "key", "hidden", "m1", pass_key="pass", token="granted")
IDS: Final = {
    "braintree": ("t1", "refund:r1", "dispute:d1"),
    "checkout": ("pay_1", "dispute:dsp_1"),
    "flutterwave": ("7",),
    "gocardless": ("PM1",),
    "mollie": ("tr_1",),
    "mpesa": ("ws_CO_1",),
    "paypal": ("O1", "capture:C1", "charge:A1", "refund:R1", "dispute:PP-1"),
    "paystack": ("ord1", "charge:ord1", "dispute:9"),
    "razorpay": ("pay_1", "refund:rfnd_1", "dispute:disp_1"),
    "shopify": ("7", "dispute:9"),
    "square": ("p1", "refund:r1", "dispute:d1"),
    "standard_webhooks": ("pay_1", "refund:ref_1", "dispute:dis_1"),
    "stripe": ("pi_1",),
}
"""The payment's id at its provider, and those of its children by the kind of their reference."""

SHOWN: Final = {
    "braintree": {
        "created processing authorized": ["/merchants/m1/transactions/t1"],
        "pending refund": ["/merchants/m1/transactions/r1"],
        "dispute": ["/merchants/m1/disputes/d1"],
    },
    "checkout": {"created processing authorized": ["/payments/pay_1"], "dispute": ["/disputes/dsp_1"]},
    "flutterwave": {"processing": ["/v3/transactions/7/verify"]},
    "gocardless": {"created processing": ["/payments/PM1"] * 2, "pending refund, dispute, debit": ["/payments/PM1"]},
    "mollie": {
        "created processing": ["/v2/payments/tr_1"] * 2,
        "authorized, pending refund, dispute, debit": ["/v2/payments/tr_1"],
    },
    "mpesa": {"created processing": ["/mpesa/stkpushquery/v1/query"]},
    "paypal": {
        "created": ["/v2/checkout/orders/O1"],
        "processing": ["/v2/checkout/orders/O1", "/v2/payments/captures/C1"],
        "authorized": ["/v2/payments/authorizations/A1", "/v2/checkout/orders/O1"],
        "pending refund": ["/v2/payments/refunds/R1", "/v2/checkout/orders/O1"],
        "dispute": ["/v1/customer/disputes/PP-1"],
    },
    "paystack": {
        "created processing": ["/transaction/verify/ord1"],
        "authorized": ["/preauthorization/ord1"],
        "dispute": ["/dispute/9"],
    },
    "razorpay": {
        "created processing authorized": ["/v1/payments/pay_1"],
        "pending refund": ["/v1/refunds/rfnd_1"],
        "dispute": ["/v1/disputes/disp_1"],
    },
    "shopify": {
        "created processing authorized, pending refund": ["/admin/api/2026-07/orders/7.json"],
        "dispute": ["/admin/api/2026-07/shopify_payments/disputes/9.json"],
    },
    "square": {
        "created processing authorized": ["/v2/payments/p1"],
        "pending refund": ["/v2/refunds/r1"],
        "dispute": ["/v2/disputes/d1"],
    },
    "standard_webhooks": {
        "created requires_action processing": ["/payments/pay_1"],
        "pending refund": ["/refunds/ref_1"],
        "dispute": ["/disputes/dis_1"],
    },
    "stripe": {"processing authorized, pending refund, dispute, debit": ["/v1/payment_intents/pi_1"]},
}
"""Where each state is looked for."""


def states_of(words: str) -> list[str]:
    """Split "created processing, pending refund" into its states."""
    return [
        state
        for part in words.split(", ")
        for state in ([part] if part in ("pending refund", "dispute", "debit") else part.split())
    ]


def asked(provider: str) -> dict[str, list[str]]:
    """Return the paths that are asked about each state, as the schedule says and the API is asked."""
    refetch, found = refetch_of(provider), dict[str, list[str]]()
    for watch in refetch.watches:
        (ref,) = (one for one in IDS[provider] if one.rpartition(":")[0] == (watch.child or ""))
        request = refetch.request(ref, CREDENTIALS, 1_790_000_000.0)
        assert request is not None
        states = [*watch.statuses, *("pending refund" for _ in watch.refunds), *(["dispute"] if watch.disputes else [])]
        for state in [*states, *(["debit"] if watch.debits else [])]:
            found.setdefault(state, []).append(urlsplit(request.url).path)
    return found


@pytest.mark.parametrize("provider", [name for name in providers.paying() if name != "adyen"])
def test_a_state_is_looked_for_where_its_provider_shows_how_it_ends(provider: str) -> None:
    """Many payments show of a pending refund or a dispute at most a sum: asked by their id it stays open for good."""
    expected = {state: paths for words, paths in SHOWN[provider].items() for state in states_of(words)}
    assert asked(provider) == expected
