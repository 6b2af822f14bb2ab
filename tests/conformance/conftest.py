from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from client_builds import BUILDERS, LANGUAGES, Client
from live import Live
from live import live as running_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Client]:
    """Give a function that builds a language's client, once a session."""
    made: dict[str, Client] = {}

    def build(language: str) -> Client:
        if language not in made:
            made[language] = BUILDERS[language](tmp_path_factory.mktemp(language))
        return made[language]

    return build


@pytest.fixture(params=LANGUAGES)
def client(request: pytest.FixtureRequest, built: Callable[[str], Client]) -> Client:
    return built(request.param)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run `ratchet up` once for all clients; each language has a source, a gateway and an account of its own."""
    sources = [f"billing-{language}" for language in BUILDERS]
    gateways = {f"gateway-{language}": [f"standard_webhooks/loop{language}"] for language in BUILDERS}
    reported = {"RATCHET_SOURCES": json.dumps(sources), "RATCHET_EXECUTORS": json.dumps(gateways)}
    secrets = json.dumps(["whsec_" + base64.b64encode(b"of the clients' test alone").decode()])
    reported |= {f"RATCHET_PROVIDERS__{name}__SECRETS": secrets for name in ("STRIPE", "STANDARD_WEBHOOKS")}
    for language in BUILDERS:
        reported[f"RATCHET_PROVIDERS__STANDARD_WEBHOOKS__ACCOUNTS__LOOP{language.upper()}__SECRETS"] = secrets
    with running_live(tmp_path_factory.mktemp("live"), **reported) as found:
        yield found
