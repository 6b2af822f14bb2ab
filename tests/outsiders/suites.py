"""Which suites of outsiders are run, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Suite:
    """One suite: `package` gives the version; what runs is a file of a repository with a plugin, or tests of ours."""

    name: str
    package: str
    what: str
    tests: tuple[str, ...] = ()
    """Tests of this tree that put the package's code against us."""
    repository: str = ""
    path: str = ""
    plugin: str = ""
    left_out: tuple[tuple[str, str], ...] = ()
    """Tests that don't fit, and why."""
    brokers: bool = False


def _sdk(name: str, package: str, file: str, what: str = "the SDK signs what we verify") -> Suite:
    return Suite(name, package, what, (f"tests/contract/{file}.py",))


SUITES: Final = (
    Suite(
        "Standard Webhooks' own tests",
        "standardwebhooks",
        "their cases of verification, with us in the place of their library",
        repository="standard-webhooks/standard-webhooks",
        path="libraries/python/tests/test_webhooks.py",
        plugin="outsiders.as_standardwebhooks",
    ),
    Suite(
        "Stripe's own tests of webhooks",
        "stripe",
        "their cases of signatures, with us in the place of `WebhookSignature.verify_header`",
        repository="stripe/stripe-python",
        path="tests/test_webhook.py",
        plugin="outsiders.as_stripe",
        left_out=(
            ("StripeClient", "its fixtures speak to Stripe's mock of the API, and the verification is the same"),
            ("v2_payload", "what the SDK makes of a genuine body"),
            ("no_tolerance", "we never leave the time unchecked"),
        ),
    ),
    _sdk("Standard Webhooks' and Svix' libraries", "svix", "test_sdk_standard_webhooks"),
    _sdk("Stripe's SDK", "stripe", "test_sdk_stripe"),
    _sdk("Adyen's SDK", "Adyen", "test_sdk_adyen"),
    _sdk("Braintree's SDK", "braintree", "test_sdk_braintree"),
    _sdk("GoCardless' SDK", "gocardless-pro", "test_sdk_gocardless"),
    _sdk("Razorpay's SDK", "razorpay", "test_sdk_razorpay"),
    _sdk("Square's SDK", "squareup", "test_sdk_square"),
    _sdk("Twilio's SDK", "twilio", "test_sdk_twilio"),
    Suite(
        "schemathesis",
        "schemathesis",
        "the OpenAPI document of the intents' API against a running ingress",
        ("tests/integration/test_intents_openapi.py",),
        brokers=True,
    ),
)
