"""Scenarios for developers: each is a life that its provider's signatures and meaning bear out."""

from __future__ import annotations

from typing import Any

import pytest

import providers
from ops.loopback import leads_to_loopback
from ops.sample import orders
from ops.sample.plan import GENERATORS
from ops.sample.scenarios import SCENARIOS, play, why_not
from ops.sample.signing import Signer, can_sign, new_secret, seal
from ops.simulated.players import PLAYERS, UNPLAYED
from schemas.errors import SignatureRejected

PLAYED = [(name, one) for name in SCENARIOS for one in (*GENERATORS, *PLAYERS) if why_not(name, one) is None]
NOW = 1_790_000_000
URL = "https://pay.example"


SIGN_THEIR_MODE = {"stripe", "paystack", "mollie", "shopify"}


def verified(provider: str, post: Any, signer: Signer) -> list[Any]:
    sealed = seal(post, {provider: signer}, NOW)
    return providers.verify(
        provider,
        headers=sealed.headers,
        body=sealed.body,
        url=URL + sealed.path,
        secrets=[signer.secret],
        now=NOW,
        config={},
    )


@pytest.mark.parametrize(("name", "provider"), PLAYED)
def test_every_post_is_genuine_or_refused_as_the_scenario_says(name: str, provider: str) -> None:
    signer = Signer(new_secret(provider), public_url=URL)
    life, steps = play(name, provider, "", 7, NOW)
    posts = [post for step in steps for post in step if post.provider != orders.CLIENT]
    assert posts
    for post in posts:
        if not SCENARIOS[name].takes_effect:
            with pytest.raises(SignatureRejected):
                verified(provider, post, signer)
            continue
        found = verified(provider, post, signer)
        assert [one.event_id for one in found] == [event.event_id for event in post.events]
        for one in found:
            providers.interpret(provider, one.kind or "", one.body)
    signs_mode = provider in SIGN_THEIR_MODE and not (provider == "shopify" and "dispute" in name)
    assert (life.provider, life.livemode) == (provider, False if signs_mode else None)


def test_the_same_seed_makes_the_same_ids() -> None:
    assert play("captured", "stripe", "", 7, NOW) == play("captured", "stripe", "", 7, NOW)
    assert play("captured", "stripe", "", 7, NOW)[0] != play("captured", "stripe", "", 8, NOW)[0]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost:1", True),
        ("https://pay.example", False),
    ],
)
def test_another_machine_is_reported(url: str, here: bool) -> None:  # noqa: FBT001 - the expected answer
    assert leads_to_loopback(url) is here


def test_whoever_signs_webhooks_about_money_is_played_or_it_is_explained_why_not() -> None:
    of_money = {name for name in providers.names() if providers.find(name).payments}  # type: ignore[union-attr]
    played = {provider for _, provider in PLAYED}
    assert played | UNPLAYED.keys() == of_money
    assert not played & UNPLAYED.keys()
    for player in PLAYERS.values():
        assert player.cannot.keys() <= SCENARIOS.keys(), player.name


@pytest.mark.parametrize(
    ("name", "provider", "why"),
    [
        ("captured", "paypal", "PayPal signs with a certificate"),
        ("captured", "mpesa", "M-Pesa signs nothing"),
        ("captured", "github", "'github' can't be played; there are stripe, adyen"),
        ("multicapture", "square", "Square completes a payment once"),
        ("stale", "razorpay", "razorpay signs no time"),
        ("captured", "razorpay", None),
    ],
)
def test_what_can_not_be_played_is_explained(name: str, provider: str, why: str | None) -> None:
    found = why_not(name, provider)
    assert (found or "").startswith(why or "")
    assert (found is None) == (why is None)


def test_braintrees_secret_is_a_pair() -> None:
    assert can_sign("braintree", new_secret("braintree"))
    assert not can_sign("braintree", "private_key_alone")
    assert not can_sign("square", " ")
