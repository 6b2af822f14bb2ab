"""The providers that can be played beside those of the sample, and why the others can't. Pure."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from ops.simulated import (
    braintree,
    checkout,
    flutterwave,
    gocardless,
    mollie,
    paystack,
    razorpay,
    shopify,
    square,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.simulated.step import Player

PLAYERS: Final[Mapping[str, Player]] = {
    module.PLAYER.name: module.PLAYER
    for module in (braintree, checkout, flutterwave, gocardless, mollie, paystack, razorpay, shopify, square)
}
UNPLAYED: Final = {
    "paypal": "PayPal signs with a certificate whose key it alone has: use its sandbox with CERTIFICATE_HOSTS "
    '["api.sandbox.paypal.com"]',
    "mpesa": "M-Pesa signs nothing: its callbacks are hints, and what they say is read at its API",
}


def new_secret(name: str) -> str:
    """Return a random secret in the form in which the provider shows its own."""
    made = secrets.token_urlsafe(24)
    return f"{secrets.token_hex(8)}|{made}" if PLAYERS[name].needs_pair else made


def can_sign(name: str, secret: str) -> bool:
    """Tell whether a secret can sign as the provider does."""
    public, _, private = secret.partition("|")
    return bool(public.strip() and private.strip()) if PLAYERS[name].needs_pair else bool(secret.strip())
