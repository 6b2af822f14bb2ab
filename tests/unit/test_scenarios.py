"""Scenarios for developers: each is a life that its provider's signatures and meaning bear out."""

from __future__ import annotations

from typing import Any

import pytest

import providers
from ops.loopback import leads_to_loopback
from ops.sample.scenarios import SCENARIOS, play, providers_of
from ops.sample.signing import Signer, new_secret, seal
from schemas.errors import SignatureRejected

PLAYED = [(name, provider) for name in SCENARIOS for provider in providers_of(name)]
NOW = 1_790_000_000


def verified(provider: str, post: Any, signer: Signer) -> list[Any]:
    sealed = seal(post, {provider: signer}, NOW)
    return providers.verify(
        provider, headers=sealed.headers, body=sealed.body, url="", secrets=[signer.secret], now=NOW, config={}
    )


@pytest.mark.parametrize(("name", "provider"), PLAYED)
def test_every_post_is_genuine_or_refused_as_the_scenario_says(name: str, provider: str) -> None:
    signer = Signer(new_secret(provider))
    life, steps = play(name, provider, "", 7, NOW)
    posts = [post for step in steps for post in step]
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
    assert (life.provider, life.livemode) == (provider, False if provider == "stripe" else life.livemode)


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
def test_another_machine_is_told(url: str, here: bool) -> None:  # noqa: FBT001 - the expected answer
    assert leads_to_loopback(url) is here
